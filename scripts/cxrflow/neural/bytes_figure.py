"""Pruning beside codecs at equal bytes: classification against how much a radiograph weighs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cxrflow.neural.figures import OTHERS, TEXTS, well_measured
from cxrflow.plotting import PALETTE, caption, error_bars, figure_style, panel_columns, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "os^v"  # of the text settings
CODECS = {"jpeg": ("whole image, JPEG", PALETTE[3], "D"), "side": ("whole image, down-sampled", PALETTE[1], "X")}
WHOLE = ("whole image, lossless PNG", "black", "*")
SIDEWAYS = 1.03
"""Series that weigh the same are drawn beside each other: each is this factor of bytes to the right of the last."""

UNITS = ((1_000_000, "MB"), (1_000, "kB"), (1, "B"))


class Series(NamedTuple):
    """One way to make a radiograph small: its name, its look, and its rows (bytes, value, low, high by target)."""

    name: str
    colour: Any
    marker: str
    line: str
    points: pd.DataFrame


def plot_bytes(metrics: pd.DataFrame, compression: pd.DataFrame, outputs: list[Path]) -> None:
    """Draw one panel per target: AUROC against the mean bytes per radiograph (logarithmic), images alone.

    `metrics` and `compression` are the tables of the same names. Pruned radiographs weigh what their patch ids and
    features do (`feature_bytes`); no report is counted or classified.
    """
    import matplotlib.pyplot as plt

    metrics, left_out = well_measured(metrics)
    points = weighed(metrics, compression)
    series, targets = list(series_of(points)), sorted(points["target"].unique())
    columns = panel_columns(max(1, len(targets)))
    rows = max(1, -(-len(targets) // columns))
    with figure_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(4.1 * min(3, columns), 3.1 * rows), sharex=True, sharey=True, squeeze=False
        )
        for axis, target in zip(axes.flat, targets, strict=False):
            _draw_target(axis, series, target)
        for axis in list(axes.flat)[len(targets) :]:
            axis.set_visible(False)
        _label(axes)
        _legend(figure, axes[0, 0])
        caption(figure, bytes_caption(points) + left_out, bool(metrics["simulated"].any()))
        figure.tight_layout(w_pad=1.4)
        save_figure(figure, *outputs)


def weighed(metrics: pd.DataFrame, compression: pd.DataFrame) -> pd.DataFrame:
    """Return the AUROC rows of classifiers that saw images alone, each with the mean `bytes` of what it saw.

    Raises KeyError where a variant's bytes are not in `compression`: the tables would be of different runs.
    """
    chosen = (metrics["metric"] == "auroc") & (metrics["input"] == "image") & metrics["value"].notna()
    if "labels" in metrics:
        chosen &= metrics["labels"] == "true"
    sizes = compression[compression["metric"] == "bytes"]
    patches = sizes[sizes["quantity"] == "feature_bytes"].set_index("kept_percent")["value"]
    files = sizes[(sizes["encoding"] != "patches") & (sizes["quantity"] == "bytes")]
    names = [_codec_name(*key) for key in zip(files["encoding"], files["setting"], strict=True)]
    by_name = dict(zip(names, files["value"].tolist(), strict=True))
    rows = metrics[chosen].copy()
    rows["bytes"] = [
        _weight(selector, share, patches, by_name)
        for selector, share in zip(rows["selector"], rows["kept_percent"], strict=True)
    ]
    return rows


def series_of(points: pd.DataFrame) -> Iterator[Series]:
    """Yield what is there, in the order of the legend; points run from few bytes to many."""
    points = points.sort_values(["target", "bytes"])
    attention = points[points["selector"] == "attention"]
    for (text, (name, colour)), marker in zip(TEXTS.items(), MARKERS, strict=True):
        yield from _series(f"attention to {name}", colour, marker, "-", attention[attention["text"] == text])
    for selector, (name, colour, marker) in OTHERS.items():
        yield from _series(f"patches by {name}", colour, marker, ":", points[points["selector"] == selector])
    for codec, (name, colour, marker) in CODECS.items():
        yield from _series(name, colour, marker, "--", points[points["selector"].str.startswith(f"{codec}_")])
    yield from _series(*WHOLE, "", points[points["selector"] == "all"])


def bytes_caption(points: pd.DataFrame) -> str:
    """Return what the figure must say: patients, seeds, the interval, and what was weighed."""
    if points.empty:
        return "No classifier saw images alone: neural.gnn.inputs names no image."
    patients, seeds = points["n_patients"], points["n_seeds"]
    count = " to ".join(str(number) for number in sorted({patients.min(), patients.max()}))
    return (
        f"Test split, {count} patients; mean of {int(seeds.max())} seed(s); bars: 95 % bootstrap interval over "
        "patients. The same graph network on images alone. Patches weigh their ids and float16 features (selectors "
        "of equal weight are drawn side by side), whole images their file at the model's size; the report that guided "
        "attention is not weighed."
    )


def _weight(selector: str, share: float, patches: pd.Series, files: dict[str, float]) -> float:
    if selector == "all":
        return files["png"]
    return files[selector] if selector.partition("_")[0] in CODECS else float(patches.loc[share])


def _codec_name(encoding: str, setting: float) -> str:
    return encoding if encoding not in CODECS else f"{encoding}_{setting:.0f}"


def _series(name: str, colour: Any, marker: str, line: str, points: pd.DataFrame) -> Iterator[Series]:
    if len(points):
        yield Series(name, colour, marker, line, points)


def _draw_target(axis: "Axes", series: list[Series], target: str) -> None:
    """Draw the series of one target; the whole image is also a line across, to compare with."""
    aside = _sideways(series)
    for one in series:
        points = one.points[one.points["target"] == target]
        whole = one.name == WHOLE[0]
        axis.errorbar(
            points["bytes"] * aside.get(one.name, 1.0), points["value"], yerr=error_bars(points), label=one.name,
            color=one.colour, marker=one.marker, linestyle=one.line, markersize=11 if whole else 5.5,
            markeredgecolor="white", markeredgewidth=0.6, linewidth=1.3, elinewidth=0.9, zorder=4,
        )  # fmt: skip
        for value in points["value"] if whole else []:
            axis.axhline(value, color="0.25", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    everything = pd.concat([one.points for one in series])
    positive = int(everything.loc[everything["target"] == target, "n_positive"].max())
    axis.set_xscale("log")
    axis.set_title(f"{target} (n = {positive} positive)", fontsize=10)


def _sideways(series: list[Series]) -> dict[str, float]:
    """Return the factor by which each selector's points are moved, so that bars do not hide each other."""
    selectors = [one.name for one in series if one.line in ("-", ":")]
    middle = (len(selectors) - 1) / 2
    return {name: SIDEWAYS ** (place - middle) for place, name in enumerate(selectors)}


def _label(axes: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in axes.flat:
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: byte_label(size)))
        axis.xaxis.set_minor_locator(NullLocator())
    for column in axes.T:
        for lowest in [axis for axis in column if axis.get_visible()][-1:]:
            lowest.set_xlabel("mean bytes per radiograph")
            lowest.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("AUROC")


def byte_label(size: float) -> str:
    """Return a number of bytes with its unit (powers of ten), e.g. "100 B" or "10 kB"."""
    unit, name = next(((unit, name) for unit, name in UNITS if size >= unit), UNITS[-1])
    return f"{size / unit:g} {name}"


def _legend(figure: "Figure", axis: "Axes") -> None:
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
