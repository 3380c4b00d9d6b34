"""What models look at: radiographs with their true boxes, the heat of a finding's prompt, and every model's mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.panels import PANEL, Panel, draw_boxes, draw_row, enlarged, panel_canvas, typical_rows
from cxrflow.patchib.exported import BOXED_SPLITS, Exported, reference_of
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.prompts import boxed_findings
from cxrflow.plotting import caption, figure_style, save_figure

Floats = NDArray[np.float32]

WIDTH = 11.1  # inches of a row at most
DIMMED = 4  # divides the grey values of patches that are not kept
NO_BOXES = "No radiograph of this cohort has boxes."


@dataclass(frozen=True)
class Looks:
    """n boxed findings of the validate and test splits: one row each in `boxed` (position in the split, patient_id,
    finding, cover of M patches, image_id, height, width, boxes), heat and masks (n, M) by model."""

    boxed: pd.DataFrame
    heat: Mapping[str, Floats]
    masks: Mapping[str, Floats]

    @classmethod
    def read(cls, cohort: CohortFiles, master: Path, exports: Sequence[Exported]) -> "Looks":
        """Return what the exports, one per model, made of them: heat of one or two models, masks of all that have."""
        by_name = {export.model: export for export in exports}
        side = round(exports[0].read("words/test").shape[1] ** 0.5)
        boxed = read_boxed(cohort.manifest, master, side)
        heat = {name: _joined(by_name[name], "words/{}") for name in heat_models(exports)}
        masks = {name: _at(export, boxed) for name, export in by_name.items() if export.has_masks()}
        return cls(boxed, heat, masks)


def heat_models(exports: Sequence[Exported]) -> list[str]:
    """Return the models whose heat is shown: of those without masks the one that others are compared with, and the
    last, which has all that models learn before they select patches; without any such model, the first."""
    whole = [export.model for export in exports if not export.has_masks()]
    return list(dict.fromkeys([reference_of(whole), whole[-1]])) if whole else [exports[0].model]


def read_boxed(manifest: Path, master: Path, side: int) -> pd.DataFrame:
    """Return the rows of `Looks.boxed` on a grid of side x side patches, split by split."""
    table, images = read_master(master), pd.read_parquet(manifest, columns=["image_id", "height", "width", "boxes"])
    parts = []
    for split in BOXED_SPLITS:
        rows = table[table["split"] == split]
        boxed = boxed_findings(manifest, rows, side)
        ids = rows["dicom_id"].to_numpy()[boxed["position"].to_numpy(dtype=int)]
        parts.append(boxed.assign(split=split, image_id=ids))
    return pd.concat(parts, ignore_index=True).merge(images, on="image_id", how="left", validate="many_to_one")


def plot_gallery(looks: Looks, store: ImageStore, simulated: bool, outputs: Sequence[Path]) -> None:
    """Draw one row per boxed finding (the commonest six): radiograph, heat of the finding's prompt, masks.

    The example is the radiograph whose boxes stand out in the heat (of the last model shown) by the median of its
    finding's: neither the best nor the worst.
    """
    examples = typical_rows(looks.boxed, list(prominence(list(looks.heat.values())[-1], looks.boxed)))
    columns = 1 + len(looks.heat) + len(looks.masks)
    with figure_style():
        figure, grid = panel_canvas(len(examples), columns, size=min(PANEL, WIDTH / columns))
        for row, (place, sample) in zip(grid, examples.iterrows(), strict=False):
            image = store.images[store.rows([sample["image_id"]])[0]]
            draw_row(row, row_panels(image, looks, int(place)))  # type: ignore[call-overload]
            for number, axis in enumerate(row):
                draw_boxes(axis, sample, sample["finding"], image.shape[0], 0.8 if number else 1.6)
            row[0].set_title(sample["finding"], loc="left", fontsize=10)
        caption(figure, gallery_note(looks) if len(examples) else NO_BOXES, simulated)
        save_figure(figure, *outputs)


def prominence(heat: Floats, boxed: pd.DataFrame) -> NDArray[np.float64]:
    """Return (n,): by how many standard deviations of a picture's heat (n, M) its mean inside the boxes lies above its
    mean; 0 where the heat is the same everywhere."""
    if boxed.empty:
        return np.zeros(0)
    cover = np.stack(boxed["cover"].tolist())
    spread = heat.std(axis=1)
    inside = (heat * cover).sum(axis=1) / np.maximum(cover.sum(axis=1), 1e-9)
    return np.where(spread > 0, (inside - heat.mean(axis=1)) / np.maximum(spread, 1e-9), 0.0)


def row_panels(image: NDArray[np.uint8], looks: Looks, place: int) -> list[Panel]:
    """Return the pictures of one boxed finding: its radiograph, heat by model, masks with what they keep."""
    cover, side = looks.boxed["cover"][place], image.shape[0]
    panels = [Panel("", image)]
    for model, heat in looks.heat.items():
        panels.append(Panel(f"heat of {model}", image, enlarged(_scaled(heat[place]), side)))
    for model, masks in looks.masks.items():
        kept, found = masks[place].mean(), (masks[place] * cover).sum() / max(cover.sum(), 1e-9)
        title = f"{model}: {kept:.0%} kept, boxes {found:.0%}".replace("%", " %")
        panels.append(Panel(title, np.where(enlarged(masks[place] > 0, side), image, image // DIMMED)))
    return panels


def gallery_note(looks: Looks) -> str:
    """Return whose radiographs these are, how they were chosen, and what colours mean."""
    chose = list(looks.heat)[-1]
    said = (
        f"Validate and test splits, {len(looks.boxed)} boxed findings of {looks.boxed['patient_id'].nunique()} "
        "patients; for each finding the radiograph whose true boxes (orange) stand out in the heat of model "
        f"{chose} by the median. Heat: cosine of each patch to the finding's prompt, from the median (clear) to the "
        "highest (yellow) of each picture."
    )
    if looks.masks:
        said += " Dimmed: patches that a model's mask drops, whatever the finding; kept: of all patches, of the boxes."
    return f"{said} One seed of each model; single examples, so no intervals."


def _scaled(heat: Floats) -> Floats:
    """Return heat (M,) from 0, its median and below, to 1, its highest: half of a picture stays clear."""
    low, high = float(np.median(heat)), float(heat.max())
    return (np.maximum(heat - low, 0) / max(high - low, 1e-9)).astype(np.float32)


def _joined(export: Exported, name: str) -> NDArray:
    return np.concatenate([export.read(name.format(split)) for split in BOXED_SPLITS])


def _at(export: Exported, boxed: pd.DataFrame) -> Floats:
    """Return the masks (n, M) of the radiographs of the rows, which are in order of their splits."""
    positions = {split: boxed.loc[boxed["split"] == split, "position"].to_numpy(dtype=int) for split in BOXED_SPLITS}
    return np.concatenate([export.read(f"{split}/masks")[rows] for split, rows in positions.items()])
