"""One figure of radiographs per label, with the boxes that are known: to see at a glance what a cohort looks like."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from cxrflow.cohort.decoding import decode
from cxrflow.cohort.hounsfield import Window
from cxrflow.cohort.tables import read_labels
from cxrflow.files import confined
from cxrflow.panels import panel_canvas
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 6
SIDE, ROOM = 1.75, 0.05  # inches of a panel, and between the uppermost ones and the title
SHOWN_SIZE = 320  # pixels along each side to which an image is decoded for the figure
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
        figure, axes = panel_canvas(len(rows), COLUMNS, size=SIDE)
        for (label, examples), line in zip(rows.items(), axes, strict=True):
            line[0].set_title(f"{label} ({count_of(table, label)} of {len(table)} images)", loc="left", fontsize=8)
            for axis, (_, row) in zip(line, examples.iterrows(), strict=False):
                _show(axis, row, label, root, window)
        kind = "CT slices" if window else "Radiographs"
        title = f"{kind} of each label" + (", simulated" if simulated else "")
        figure.suptitle(title, y=1 + ROOM / figure.get_figheight(), va="bottom")
        images, patients = len(table), table["patient_id"].nunique()
        text = f"{images} images of {patients} patients. Boxes: solid for the row's label, dashed for others."
        caption(figure, text, simulated, images="CT slices" if window else "radiographs")
        save_figure(figure, output)


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


def _show(axis: "Axes", row: "pd.Series[Any]", label: str, root: Path, window: Window | None) -> None:
    shown = decode(confined(root, row["path"]), SHOWN_SIZE, window)
    # The square is stretched back to the image's own shape, and boxes are in its pixels.
    axis.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=(0, row["width"], row["height"], 0))
    for box in row["boxes"] if row["boxes"] is not None else ():
        own = box["label"] == label
        style: dict[str, Any] = {"linewidth": 0.9 if own else 0.5, "linestyle": "-" if own else ":"}
        colour = PALETTE[1] if own else PALETTE[9]
        axis.add_patch(Rectangle((box["x"], box["y"]), box["w"], box["h"], fill=False, edgecolor=colour, **style))
    axis.text(0.02, 0.97, row["view"], color="white", fontsize=6, va="top", transform=axis.transAxes)
