"""What all figures share: the look, the caption, and saving whole files."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from cxrflow.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

# seaborn's colour-blind safe palette, in the order in which series appear. Its import would take as long as a figure.
PALETTE = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
MARGIN = 0.1  # inches around what is drawn


def colours_by_place(names: Iterable[str]) -> dict[str, str]:
    """Return the colour of each model by its place in the configuration, the same in every figure."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(dict.fromkeys(names))}


def seeds_note(counts: Collection[int]) -> str:
    """Return what was averaged, e.g. "mean of 1 to 2 seeds"."""
    fewest, most = min(counts), max(counts)
    return f"mean of {fewest} to {most} seeds" if fewest < most else f"mean of {most} seed{'s' if most != 1 else ''}"


def error_bars(rows: "DataFrame") -> NDArray[np.float64]:
    """Return (2, n): how far the interval of each row reaches below and above its value; nothing where there is none.

    Columns: value, low, high.
    """
    reach = np.array([rows["value"] - rows["low"], rows["high"] - rows["value"]], dtype=np.float64)
    return np.clip(np.nan_to_num(reach), 0, None)


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the house style to figures made inside the block."""
    with (
        plt.style.context("seaborn-v0_8-whitegrid"),
        plt.rc_context({"figure.dpi": 160, "savefig.dpi": 160, "font.size": 10, "legend.frameon": True}),
        plt.rc_context({"font.sans-serif": ["DejaVu Sans"]}),  # it comes with matplotlib: the same on every machine
    ):
        yield


def caption(figure: "Figure", text: str, simulated: bool, images: str = "radiographs") -> None:
    """Write `text` below the figure; simulated `images` are always named as such."""
    note = f"{text} Simulated {images}." if simulated else text
    figure.text(0.5, -0.01, note, ha="center", va="top", fontsize=9, wrap=True, color="0.3")


def panel_columns(count: int) -> int:
    """Return how many panels of `count` stand side by side: up to four, so that few places stay empty."""
    return count if count < 3 else min((3, 4), key=lambda columns: -count % columns)


def name_lowest(axes: NDArray, name: str) -> None:
    """Name the horizontal axis of the lowest panel of each column of `axes`; places below it may be switched off."""
    for column in axes.T:
        for axis in [axis for axis in column if axis.axison][-1:]:
            axis.set_xlabel(name)
            axis.tick_params(labelbottom=True)


def save_figure(figure: "Figure", *outputs: Path, compression: int = 6) -> None:
    """Save a figure whole in each of the forms wanted, without a time stamp, and close it.

    It is laid out and measured once: each form would do both again, in most of its time. `compression` (0 to 9) is of
    png files: photographs take a third of the time at 2, and are hardly larger.
    """
    with _images_left_out(figure):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(MARGIN)
    for path in outputs:
        about: dict[str, Any] = {"metadata": {"CreationDate": None}}
        if path.suffix == ".png":
            about = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": compression}}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], bbox_inches=box, **about)
    plt.close(figure)


@contextmanager
def _images_left_out(figure: "Figure") -> Iterator[None]:
    """Leave images out of what is drawn inside the block: bringing them to size takes long, and moves nothing else."""
    images = [image for axes in figure.axes for image in axes.get_images() if image.get_visible()]
    for image in images:
        image.set_visible(False)
    yield
    for image in images:
        image.set_visible(True)
