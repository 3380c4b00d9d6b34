"""Annotated boxes on a grid of patches: which share of every patch the boxes of a finding cover."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FINE = 16  # steps along the side of a patch


def box_cover(boxes: Iterable[Mapping[str, Any]], height: float, width: float, side: int) -> Floats:
    """Return (side^2,): the share of each patch of a side x side grid that the union of boxes covers, row by row.

    Boxes are in pixels of a height x width image. The union is counted at 1/16 of a patch, so that overlapping boxes
    are not counted twice.
    """
    fine = side * _FINE
    mask = np.zeros((fine, fine), dtype=bool)
    for box in boxes:
        x0, x1 = (round(fine * edge / width) for edge in (box["x"], box["x"] + box["w"]))
        y0, y1 = (round(fine * edge / height) for edge in (box["y"], box["y"] + box["h"]))
        mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
    return mask.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3)).ravel()


def finding_covers(samples: pd.DataFrame, side: int) -> pd.DataFrame:
    """Return one row per image and boxed finding: position (row of `samples`), patient_id, finding, cover (side^2,)."""
    rows: list[dict[str, Any]] = []
    for position, sample in enumerate(samples.to_dict("records")):
        boxes = [] if sample["boxes"] is None else list(sample["boxes"])
        for finding in sorted({box["label"] for box in boxes}):
            own = [box for box in boxes if box["label"] == finding]
            cover = box_cover(own, sample["height"], sample["width"], side)
            rows.append({"position": position, "patient_id": sample["patient_id"], "finding": finding, "cover": cover})
    return pd.DataFrame(rows, columns=["position", "patient_id", "finding", "cover"])
