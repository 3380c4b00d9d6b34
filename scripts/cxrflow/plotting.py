"""What all figures share: the look, the caption, and saving whole files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from cxrflow.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# seaborn's colour-blind safe palette, in the order in which series appear. Its import would take as long as a figure.
PALETTE = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
MARGIN = 0.1  # inches around what is drawn


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the house style to figures made inside the block."""
    with (
        plt.style.context("seaborn-v0_8-whitegrid"),
        plt.rc_context({"figure.dpi": 160, "savefig.dpi": 160, "font.size": 10, "legend.frameon": True}),
        plt.rc_context({"font.sans-serif": ["DejaVu Sans"]}),  # it comes with matplotlib: the same on every machine
    ):
        yield


def caption(figure: "Figure", text: str, simulated: bool) -> None:
    """Write `text` below the figure; simulated images are always named as such."""
    note = f"{text} Simulated radiographs." if simulated else text
    figure.text(0.5, -0.01, note, ha="center", va="top", fontsize=9, wrap=True, color="0.3")


def panel_columns(count: int) -> int:
    """Return how many panels of `count` stand side by side: up to four, so that few places stay empty."""
    return count if count < 3 else min((3, 4), key=lambda columns: -count % columns)


def save_figure(figure: "Figure", *outputs: Path) -> None:
    """Save a figure whole in each of the forms wanted, without a time stamp, and close it.

    It is laid out and measured once: each form would do both again, in most of its time.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(MARGIN)
    for path in outputs:
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], bbox_inches=box, metadata=metadata)
    plt.close(figure)
