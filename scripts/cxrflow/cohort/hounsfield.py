"""Hounsfield units: how 16-bit PNG files hold them, and the windows through which they become 8-bit grey."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

OFFSET = 32768
"""What DeepLesion's 16-bit PNGs add to a value in HU, so that no pixel is negative."""
LOWEST, HIGHEST = -1024, 3071
"""The range of a CT scanner's 12 bits in HU."""
Window = tuple[float, float]
"""Lower and upper end in HU: these and everything beyond become 0 and 255."""
WindowName = Literal["whole", "soft tissue", "lung", "bone"]
WINDOWS: dict[WindowName, Window] = {
    "whole": (-1000, 400),
    "soft tissue": (-160, 240),
    "lung": (-1350, 150),
    "bone": (-450, 1050),
}


def named_window(window: WindowName | Sequence[float]) -> Window:
    """Return both ends of a window given by its name or by its ends."""
    if isinstance(window, str):
        return WINDOWS[window]
    low, high = window
    return low, high


def windowed(stored: NDArray[np.uint16], window: Window) -> NDArray[np.float32]:
    """Return stored pixels (any shape) as grey from 0 to 255, not rounded."""
    low, high = window
    values = stored.astype(np.float32)
    values -= np.float32(OFFSET + low)
    values *= np.float32(255 / (high - low))
    return values.clip(0, 255, out=values)


def stored(hounsfield: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return values in HU as DeepLesion stores them, cut to what a scanner tells apart."""
    return (np.rint(hounsfield.clip(LOWEST, HIGHEST)) + OFFSET).astype(np.uint16)
