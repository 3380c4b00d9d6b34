"""What the model looks at: radiographs with their true boxes, attention by text, and the patches that are kept."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.boxes import finding_covers
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.neural.exports import Exports
from cxrflow.neural.pruning import kept_counts, patch_order
from cxrflow.neural.settings import GRID_SIDE, PruningSettings
from cxrflow.neural.texts import texts_by_image
from cxrflow.panels import Panel, draw_boxes, draw_row, enlarged, panel_canvas, typical_rows
from cxrflow.plotting import caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, LINES = 0.17, 2  # inches of a line of text below a row; how many there are
CHARACTERS = 38  # of text below one panel

TITLES = {
    "reference": "attention: radiologist's report",
    "generated": "attention: model's own report",
    "masked": "attention: radiologist's, hidden",
    "generated_masked": "attention: model's own, hidden",
}
"""Panel titles by text setting; the first two that are there are shown."""


@dataclass(frozen=True)
class Looks:
    """What is known of n radiographs: samples (with boxes), attention scores (n, 144) by text setting, and what the
    model wrote of each, by image id (empty where that is not to be shown)."""

    samples: pd.DataFrame
    scores: Mapping[str, NDArray[np.float32]]
    written: Mapping[str, str]

    @classmethod
    def read(
        cls, exports: Exports, cohort: CohortFiles, layers: str, texts: Sequence[str], written: Path | None
    ) -> "Looks":
        """Return the exported radiographs; `written` is the table of the model's reports, where it wrote some."""
        read = {text: exports.read(cohort, layers, text) for text in texts}
        scores = {text: values for text, (_, values) in read.items()}
        return cls(read[texts[0]][0], scores, texts_by_image(written) if written else {})


def plot_gallery(
    looks: Looks,
    store: ImageStore,
    shares: tuple[float, float],
    pruning: PruningSettings,
    simulated: bool,
    output: Path,
) -> None:
    """Draw one row per boxed finding (the commonest six): radiograph, attention by text, and what two shares keep.

    The example is the image whose attention mass in its boxes is the median of its finding's: neither the best nor
    the worst. The last text shown chose it, and the patches: the model's own report where there is one. What the model
    wrote stands below where the radiographs are simulated; a report of a real patient is never drawn.
    """
    texts = shown_texts(looks.scores)
    examples = typical_examples(looks.samples, looks.scores[texts[-1]])
    with figure_style():
        room = LINE * (LINES + 0.6) if looks.written and simulated else 0.0
        figure, grid = panel_canvas(len(examples), len(texts) + 3, room)
        for row, (finding, position) in zip(grid, examples.items(), strict=False):
            sample = looks.samples.iloc[position]
            image = store.images[store.rows([sample["image_id"]])[0]]
            panels = row_panels(image, {text: looks.scores[text][position] for text in texts}, shares, pruning)
            draw_row(row, panels)
            for number, axis in enumerate(row):
                draw_boxes(axis, sample, finding, image.shape[0], 0.8 if number else 1.6)
            row[0].set_title(finding, loc="left", fontsize=10)
            if simulated and sample["image_id"] in looks.written:
                _write(row[0], looks.written[sample["image_id"]], len(row))
        caption(figure, gallery_note(texts) if examples else "No radiograph of this cohort has boxes.", simulated)
        save_figure(figure, output)


def shown_texts(scores: Mapping[str, NDArray[np.float32]]) -> list[str]:
    """Return the one or two text settings whose attention is drawn."""
    return [text for text in TITLES if text in scores][:2]


def typical_examples(samples: pd.DataFrame, scores: NDArray[np.float32]) -> dict[str, int]:
    """Return the position of the example of each of the commonest findings with boxes."""
    covers = finding_covers(samples, GRID_SIDE)
    if covers.empty:
        return {}
    mass = [float(scores[row.position] @ row.cover) for row in covers.itertuples()]  # type: ignore[index]
    typical = typical_rows(covers, mass)
    return dict(zip(typical["finding"], typical["position"].tolist(), strict=True))


def row_panels(
    image: NDArray[np.uint8],
    scores: Mapping[str, NDArray[np.float32]],
    shares: tuple[float, float],
    pruning: PruningSettings,
) -> list[Panel]:
    """Return the pictures of one radiograph: itself, attention (144,) by text on one scale, two shares of patches."""
    most = max(float(values.max()) for values in scores.values())
    panels = [Panel("", image)]
    for text, values in scores.items():
        panels.append(Panel(TITLES[text], image, enlarged(values / most, image.shape[0])))
    order = patch_order(list(scores.values())[-1][None])[0]
    for share, count in zip(shares, kept_counts(shares, pruning.mode), strict=True):
        panels.append(Panel(f"{share:g} % kept ({count} patches)", pruned_image(image, order[:count])))
    return panels


def pruned_image(image: NDArray[np.uint8], patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with every other patch black."""
    inside = np.zeros(GRID_SIDE * GRID_SIDE, dtype=bool)
    inside[patches] = True
    return np.where(enlarged(inside, image.shape[0]), image, 0)


def gallery_note(texts: Sequence[str]) -> str:
    """Return what the gallery must say of its examples and of whose words guided attention."""
    own = texts[-1].startswith("generated")
    return (
        "Validate and test splits; for each finding the radiograph with the median attention inside its true boxes "
        "(orange). Attention of the decoder while it reads each report, one colour scale per row; kept patches are "
        f"those of the {'model' if own else 'radiologist'}'s report."
    )


def _write(axis: "Axes", text: str, panels: int) -> None:
    """Write what the model said below a row, cut to its room."""
    lines = textwrap.wrap(f"The model wrote: {text}", CHARACTERS * panels, max_lines=LINES, placeholder=" ...")
    axis.annotate(
        "\n".join(lines), (0, 0), (0, -4), xycoords="axes fraction", textcoords="offset points", fontsize=8, va="top",
        color="0.25",
    )  # fmt: skip
