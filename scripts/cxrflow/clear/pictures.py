"""What the figures of `clear` share: their width, and how slices, tasks and aggregators are named."""

from typing import TYPE_CHECKING

from cxrflow.plotting import caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 11.1  # inches of a figure


def note(figure: "Figure", text: str, simulated: bool) -> None:
    """Write `text` below the figure; simulated slices are always named as such."""
    caption(figure, text, simulated, images="CT slices")


def spoken(name: str) -> str:
    """Return a task's or an aggregator's name as figures write it."""
    return name.replace("_", " ").replace("abmil", "ABMIL").replace("pma", "PMA")
