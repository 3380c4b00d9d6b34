"""What the model looks at: radiographs with their true boxes, the report's attention, and the patches that are kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.store import ImageStore
from cxrflow.neural.pointing import finding_covers
from cxrflow.neural.pruning import kept_counts, patch_order
from cxrflow.neural.settings import GRID_SIDE, PruningSettings
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = 6


def plot_gallery(
    samples: pd.DataFrame,
    scores: NDArray[np.float32],
    store: ImageStore,
    shares: tuple[float, float],
    pruning: PruningSettings,
    simulated: bool,
    output: Path,
) -> None:
    """Draw one row per boxed finding (the commonest six): radiograph, attention, and what two shares keep.

    Rows of `scores` (n, 144) go with `samples`. The example is the image whose attention mass in its boxes is the
    median of its finding's: neither the best nor the worst.
    """
    import matplotlib.pyplot as plt

    examples = typical_examples(samples, scores)
    with figure_style():
        figure, axes = plt.subplots(max(1, len(examples)), 4, figsize=(9.6, 2.5 * max(1, len(examples))), squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for row, (finding, position) in zip(axes, examples.items(), strict=False):
            image = store.images[store.rows([samples["image_id"].iloc[position]])[0]]
            sample = samples.iloc[position]
            _draw_row(row, image, scores[position], kept_counts(shares, pruning.mode), shares)
            _draw_boxes(row[0], sample, finding, image.shape[0])
            row[0].set_title(finding, loc="left", fontsize=10)
        note = (
            "Validate and test splits; for each finding the radiograph with the median attention inside its true boxes "
            "(orange). Attention of the last decoder layer, teacher-forced with the reference report."
        )
        caption(figure, note if examples else "No radiograph of this cohort has boxes.", simulated)
        figure.tight_layout()
        save_figure(figure, output)


def typical_examples(samples: pd.DataFrame, scores: NDArray[np.float32]) -> dict[str, int]:
    """Return the position of the example of each of the commonest findings with boxes."""
    covers = finding_covers(samples)
    if covers.empty:
        return {}
    mass = [float(scores[row.position] @ row.cover) for row in covers.itertuples()]  # type: ignore[index]
    ranked = covers.assign(mass=mass).sort_values(["finding", "mass", "position"])
    common = ranked["finding"].value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    middle = {finding: group.iloc[len(group) // 2] for finding, group in ranked.groupby("finding")}
    return {str(finding): int(middle[finding]["position"]) for finding in common.index[:ROWS]}


def _draw_row(
    row: NDArray, image: NDArray[np.uint8], scores: NDArray[np.float32], kept: list[int], shares: tuple[float, float]
) -> None:
    side = image.shape[0]
    for axis in row[:2]:
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    heat = np.kron(scores.reshape(GRID_SIDE, GRID_SIDE), np.ones((side // GRID_SIDE, side // GRID_SIDE)))
    row[1].imshow(heat, cmap="autumn", alpha=0.75 * heat / heat.max())
    row[1].set_title("attention of the report", fontsize=9)
    order = patch_order(scores[None])[0]
    for axis, count, share in zip(row[2:], kept, shares, strict=True):
        axis.imshow(pruned_image(image, order[:count]), cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{share:g} % kept ({count} patches)", fontsize=9)


def pruned_image(image: NDArray[np.uint8], patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with every other patch black."""
    inside = np.zeros(GRID_SIDE * GRID_SIDE, dtype=bool)
    inside[patches] = True
    size = image.shape[0] // GRID_SIDE
    return np.where(np.kron(inside.reshape(GRID_SIDE, GRID_SIDE), np.ones((size, size), dtype=bool)), image, 0)


def _draw_boxes(axis: "Axes", sample: pd.Series, finding: str, side: int) -> None:
    from matplotlib.patches import Rectangle

    across, down = side / sample["width"], side / sample["height"]
    for box in sample["boxes"]:
        if box["label"] == finding:
            corner, width, height = (box["x"] * across, box["y"] * down), box["w"] * across, box["h"] * down
            axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=PALETTE[1], linewidth=1.5))
