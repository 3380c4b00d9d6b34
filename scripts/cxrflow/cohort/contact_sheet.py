"""One figure of radiographs per label, with the boxes that are known: to see at a glance what a cohort looks like."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from cxrflow.cohort.decoding import decode
from cxrflow.cohort.hounsfield import Window
from cxrflow.cohort.tables import read_labels
from cxrflow.files import confined
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Grey = NDArray[np.uint8]

COLUMNS = 6
SIDE, GAP, TITLE = 280, 8, 48  # pixels of a square panel, between two, and above each row for its title
NORMAL = "No Finding"


def write_contact_sheet(
    manifest: Path, index: Path, root: Path, output: Path, simulated: bool, window: Window | None = None
) -> None:
    """Draw up to six images of every label that occurs in `manifest`, 'No Finding' first, into the figure `output`.

    Images are read below `root`; those that could not be decoded are not in the store's `index`. Boxes of the row's
    label are solid, those of other labels dashed. Works as well for a cohort without boxes or without labels (then its
    first images make the only row). CT slices are shown through `window` (HU).
    """
    table = pd.read_parquet(manifest).sort_values("image_id", ignore_index=True)
    table = table[table["image_id"].isin(pd.read_parquet(index, columns=["image_id"])["image_id"])]
    rows = example_rows(table, read_labels(manifest))
    with figure_style():
        figure, axis, sheet = _empty_sheet(len(rows))
        for top, (label, examples) in zip(range(TITLE, len(sheet), TITLE + SIDE), rows.items(), strict=True):
            axis.text(0, top - GAP, f"{label} ({count_of(table, label)} of {len(table)} images)", fontsize=8)
            for left, (_, row) in zip(range(0, sheet.shape[1], SIDE + GAP), examples.iterrows(), strict=False):
                _show(axis, sheet[top : top + SIDE, left : left + SIDE], (left, top), row, label, root, window)
        # One picture of all, in colours that need no conversion: matplotlib takes far longer over many small grey ones.
        coloured = np.dstack([sheet, sheet, sheet, np.full_like(sheet, 255)])
        axis.imshow(coloured, interpolation="nearest", extent=(0, sheet.shape[1], sheet.shape[0], 0))
        kind = "CT slices" if window else "Radiographs"
        figure.suptitle(f"{kind} of each label" + (", simulated" if simulated else ""), y=1, va="bottom")
        images, patients = len(table), table["patient_id"].nunique()
        text = f"{images} images of {patients} patients. Boxes: solid for the row's label, dashed for others."
        caption(figure, text, simulated, images="CT slices" if window else "radiographs")
        save_figure(figure, output, compression=2)


def example_rows(table: pd.DataFrame, labels: list[str]) -> dict[str, pd.DataFrame]:
    """Choose the images of each label that occurs: of different patients, evenly spread over the table."""
    order = [label for label in (NORMAL, *(one for one in labels if one != NORMAL)) if label in labels]
    rows = {label: _spread(table[table[label] == 1.0]) for label in order}
    rows = {label: examples for label, examples in rows.items() if len(examples)}
    return rows or {"All images": _spread(table)}


def count_of(table: pd.DataFrame, label: str) -> int:
    """Count the images with a label; all of them where it is no column of the table."""
    return int((table[label] == 1.0).sum()) if label in table else len(table)


def _spread(table: pd.DataFrame) -> pd.DataFrame:
    patients = table.drop_duplicates("patient_id")
    return patients.iloc[np.unique(np.linspace(0, len(patients) - 1, min(COLUMNS, len(patients))).astype(int))]


def _empty_sheet(rows: int) -> "tuple[Figure, Axes, Grey]":
    """Return a figure, its axes whose units are pixels of the sheet, and the white sheet for so many rows."""
    import matplotlib.pyplot as plt

    sheet = np.full((rows * (TITLE + SIDE), COLUMNS * (SIDE + GAP) - GAP), 255, dtype=np.uint8)
    figure = plt.figure()
    figure.set_size_inches(sheet.shape[1] / figure.dpi, sheet.shape[0] / figure.dpi)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    return figure, axis, sheet


def _show(
    axis: "Axes", panel: Grey, corner: tuple[int, int], row: "pd.Series[Any]", label: str, root: Path,
    window: Window | None,
) -> None:  # fmt: skip
    """Paste an image into the middle of its `panel` of the sheet, and draw its boxes and view on it.

    `corner` is the panel's upper left one (x, y) on the sheet. The decoded square is brought back to the image's own
    shape, and boxes are in its pixels.
    """
    decoded = Image.fromarray(decode(confined(root, row["path"]), SIDE, window))
    scale = SIDE / max(row["width"], row["height"])
    width, height = (max(1, round(row[side] * scale)) for side in ("width", "height"))
    right, down = (SIDE - width) // 2, (SIDE - height) // 2
    panel[down : down + height, right : right + width] = np.asarray(decoded.resize((width, height)))
    left, top = corner[0] + right, corner[1] + down
    for box in row["boxes"] if row["boxes"] is not None else ():
        own = box["label"] == label
        style: dict[str, Any] = {"linewidth": 0.9 if own else 0.5, "linestyle": "-" if own else ":"}
        place, size = (left + box["x"] * scale, top + box["y"] * scale), (box["w"] * scale, box["h"] * scale)
        axis.add_patch(Rectangle(place, *size, fill=False, edgecolor=PALETTE[1 if own else 9], **style))
    axis.text(left + 0.02 * width, top + 0.03 * height, row["view"], color="white", fontsize=6, va="top")
