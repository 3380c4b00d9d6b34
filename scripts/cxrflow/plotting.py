"""What all figures share: the look, the caption, and saving whole files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns

from cxrflow.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colour-blind safe palette of every figure, in the order in which series appear.
PALETTE = sns.color_palette("colorblind")


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the house style to figures made inside the block."""
    with sns.axes_style("whitegrid"), plt.rc_context({"figure.dpi": 120, "savefig.dpi": 160, "font.size": 10}):
        yield


def caption(figure: "Figure", text: str, simulated: bool) -> None:
    """Write `text` below the figure; simulated images are always named as such."""
    note = f"{text} Simulated radiographs." if simulated else text
    figure.text(0.5, -0.01, note, ha="center", va="top", fontsize=9, wrap=True, color="0.3")


def save_figure(figure: "Figure", path: Path | str) -> None:
    """Save a figure whole, without a time stamp, and close it."""
    path = Path(path)
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], bbox_inches="tight", metadata=metadata)
    plt.close(figure)
