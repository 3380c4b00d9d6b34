"""AUROC against what is kept of weights and of patches: every system against its own uncompressed model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from cxrflow.files import write_twins
from cxrflow.forgetting.figures import seeds
from cxrflow.forgetting.relation_figures import first_method
from cxrflow.plotting import caption, colours_by_place, error_bars, figure_style, save_figure
from cxrflow.settings import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = [
    *("cohort", "simulated", "n_patients", "n_seeds", "system", "compression", "method", "kept", "n_classes", "metric"),
    *("value", "low", "high", "bytes_kept", "bytes_of"),
]
LINES = ("-", "--", ":", "-.")
"""Of the cohorts of one system."""
PANEL = 5.4, 4.0  # inches
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Compressed:
    """One analysis of forgetting: the system, what it takes away, and the mean over classes at every level."""

    system: str
    compression: str
    overall: pd.DataFrame
    """The table `overall`, of the way to compress that the analysis is about."""
    weight: pd.Series | None = None
    """Bytes by share kept, relative to the uncompressed ones; named by what was weighed."""

    @classmethod
    def read(cls, system: str, compression: str, overall: Path, stored: Path | None = None) -> "Compressed":
        """Read the tables; `stored` is `compression` of neural or `storage` of prunecxr."""
        table = first_method(pd.read_parquet(overall))
        read = WEIGHED.get(system)
        if read is None or stored is None:
            return cls(system, compression, table)
        return cls(system, compression, table, read(pd.read_parquet(stored)))


def write_compression(table: Path, figures: Sequence[Path], analyses: Sequence[Compressed]) -> None:
    """Write the table and the figure of all analyses."""
    found = compression_table(analyses)
    write_twins(table, found)
    with figure_style():
        save_figure(draw(found), *figures)


def compression_table(analyses: Sequence[Compressed]) -> pd.DataFrame:
    """Return one row per analysis and level: the change of the mean AUROC over classes by the share that is kept.

    `bytes_kept` is relative to what is not compressed at all, and empty where no table tells; `bytes_of` says of what.
    """
    return pd.concat([_rows(analysis) for analysis in analyses], ignore_index=True)[COLUMNS]


def weight_of_patches(compression: pd.DataFrame) -> pd.Series:
    """Return the bytes of kept patches (their ids and features) relative to the radiograph as lossless PNG.

    The whole radiograph weighs 1: it is kept as it is.
    """
    rows = compression[compression["quantity"] == "feature_bytes_vs_png"].drop_duplicates("kept_percent")
    shares = (rows["kept_percent"] / 100).round(6)
    weight = pd.Series(rows["value"].to_numpy(), index=shares, name="ids and features of patches, to a lossless PNG")
    return weight.where(weight.index < 1, 1.0)


def weight_of_weights(storage: pd.DataFrame) -> pd.Series:
    """Return the bytes of the smallest way to store a pruned network relative to the whole one (first method)."""
    rows = first_method(storage)
    rows = rows[rows["quantity"].str.endswith("_bytes")]
    whole = rows.loc[(rows["quantity"] == "dense_bytes") & (rows["sparsity"] == 0), "value"].iloc[0]
    smallest = rows.groupby("sparsity")["value"].min() / whole
    smallest.index = (1 - smallest.index).round(6)
    return smallest.rename("network file, zeros as a bitmap or as places")


WEIGHED = {"neural": weight_of_patches, "prunecxr": weight_of_weights}


def draw(table: pd.DataFrame) -> "Figure":
    """Return the figure: change of AUROC by the share kept, and by the bytes kept where some table tells of them."""
    import matplotlib.pyplot as plt

    panels = {"kept": "kept of weights or patches"}
    if table["bytes_kept"].notna().any():
        panels["bytes_kept"] = "bytes kept, of those of the uncompressed"
    size = (PANEL[0] * len(panels), PANEL[1])
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis, (column, name) in zip(axes[0], panels.items(), strict=True):
        _draw_panel(axis, table, column)
        axis.set_xlabel(f"{name} (%, logarithmic)")
    axes[0, 0].set_ylabel("change of the mean AUROC over classes")
    axes[0, 0].legend(loc="lower left", fontsize=8.5)
    caption(figure, _caption(table), bool(table["simulated"].all()))
    return figure


def _rows(analysis: Compressed) -> pd.DataFrame:
    rows = analysis.overall[analysis.overall["metric"] == "auroc"].drop_duplicates("sparsity").sort_values("sparsity")
    kept = (1 - rows["sparsity"]).round(6)
    rows = rows.assign(system=analysis.system, compression=analysis.compression, metric="auroc_change", kept=kept)
    if analysis.weight is None:
        return rows.assign(bytes_kept=np.nan, bytes_of=None)
    return rows.assign(bytes_kept=kept.map(analysis.weight), bytes_of=str(analysis.weight.name))


def _draw_panel(axis: "Axes", table: pd.DataFrame, column: str) -> None:
    colours = colours_by_place(get_args(System))
    for (system, compression), analyses in table.groupby(["system", "compression"], sort=False):
        for line, (cohort, rows) in zip(LINES * len(table), analyses.groupby("cohort", sort=False), strict=False):
            shown = rows.dropna(subset=column)
            style: dict[str, Any] = {"color": colours[str(system)], "linestyle": line, "marker": "o", "markersize": 4}
            if len(shown):
                label = f"{system}, {cohort}: {compression}"
                axis.errorbar(shown[column], shown["value"], yerr=error_bars(shown), elinewidth=1, label=label, **style)
    axis.axhline(0, color="black", linewidth=0.8, zorder=1)
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.xaxis.set_major_locator(FixedLocator(TICKS))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(PercentFormatter(1, symbol="", decimals=0))


def _caption(table: pd.DataFrame) -> str:
    counted = [
        f"{system} on {cohort}: {_counts(rows)}"
        for (system, cohort), rows in table.groupby(["system", "cohort"], sort=False)
    ]
    weighed = table.dropna(subset="bytes_kept").drop_duplicates("system")
    said = [f"{system} weighs {what}" for system, what in zip(weighed["system"], weighed["bytes_of"], strict=True)]
    return (
        f"Test split. {'; '.join(counted)}. Each against its own uncompressed model; lines: median over seeds; bars: "
        f"95 % bootstrap intervals over patients and seeds.{' Bytes: ' if said else ''}{'; '.join(said)}"
        f"{'.' if said else ''}"
    )


def _counts(rows: pd.DataFrame) -> str:
    return f"{int(rows['n_patients'].iloc[0]):,} patients, {int(rows['n_classes'].iloc[0])} classes, {seeds(rows)}"
