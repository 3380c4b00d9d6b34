"""Which labels occur together: a table of label pairs, and its heat map.

The unit is the study, since a label that was read from a report holds for the whole study. A study has a label where
any of its images has it present (1.0); uncertain and absent labels do not count. Where every study is one image, as in
NIH's data set, this is the same as counting images.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patches import Rectangle

from cxrflow.plotting import caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ["n_patients", "n_studies", "label", "given", "n_both", "n_given", "share"]
CELL = 0.5  # inches
SMALLEST = 7  # cells that the square is wide at least, so that the title fits
FEW = 10  # studies; shares of fewer are not coloured
CENTRE: dict[str, Any] = {"ha": "center", "va": "center"}


def cooccurrence(manifest: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return one row per ordered pair of labels: label, given, n_both, n_given, share.

    `n_given` studies have the label `given`, `n_both` of them have `label` too, and `share` = n_both / n_given
    estimates P(label | given); it is empty where n_given is 0. n_patients and n_studies are those of the manifest.
    Needs the columns patient_id, study_id and `labels`, one row per image.
    """
    studies = (manifest[labels] == 1.0).groupby(manifest["study_id"]).any()
    present = studies.to_numpy(dtype=np.float64)  # counts stay exact, and products of floats are much faster
    both = (present.T @ present).astype(np.int64)
    table = pd.DataFrame(
        {
            "n_patients": manifest["patient_id"].nunique(),
            "n_studies": len(studies),
            "label": np.tile(labels, len(labels)),
            "given": np.repeat(labels, len(labels)),
            "n_both": both.ravel(),
            "n_given": np.repeat(both.diagonal(), len(labels)),
        }
    )
    return table.assign(share=(table["n_both"] / table["n_given"]).astype(float))[COLUMNS]


def plot_cooccurrence(table: pd.DataFrame, output: Path, cohort: str, simulated: bool) -> None:
    """Draw the heat map of a co-occurrence table: rows are given, the most frequent label first, shares in per cent.

    Labels that no study has are left out, and the caption names them.
    """
    import matplotlib.pyplot as plt

    numbers = table.loc[table["label"] == table["given"]].set_index("label")["n_given"]
    numbers = numbers.sort_values(ascending=False, kind="stable")
    drawn = numbers[numbers > 0]
    size = CELL * max(len(drawn), SMALLEST)
    with figure_style(), sns.axes_style("white"):
        figure = plt.figure(figsize=(size, size))
        axis = figure.add_axes((0, 0, 1, 1))
        if len(drawn):
            draw_shares(axis, table, drawn)
        else:
            axis.set(xticks=[], yticks=[])
            axis.text(0.5, 0.5, "No study has a label.", ha="center", color="0.4")
        axis.set_title(_title(table, cohort, simulated), fontsize=13, pad=14)
        caption(figure, _caption(numbers), simulated, images="images")
        save_figure(figure, output)


def draw_shares(axis: "Axes", table: pd.DataFrame, numbers: pd.Series) -> None:
    """Draw the square of the labels in `numbers` (label -> studies, the order of rows and columns).

    Shares are colours and whole per cents, the diagonal is grey and holds the numbers of studies.
    """
    order = numbers.index.tolist()
    shares = 100 * table.pivot_table(index="given", columns="label", values="share").loc[order, order]
    diagonal = np.eye(len(order), dtype=bool)
    few = np.broadcast_to((numbers.to_numpy() < FEW)[:, None], diagonal.shape)
    coloured = shares.mask(diagonal | few)
    top = float(np.nanmax([10.0, *coloured.to_numpy().ravel()]))
    scale = axis.inset_axes((1.03, 0.2, 0.02, 0.6))
    sns.heatmap(
        coloured, ax=axis, cbar_ax=scale, square=True, cmap="Blues", vmin=0, vmax=10 * np.ceil(top / 10),
        annot=shares.map(share_text), fmt="", annot_kws={"fontsize": 9}, linewidths=1.5, linecolor="white",
        cbar_kws={"label": "share of the row's studies (%)"},
    )  # fmt: skip
    for text in axis.texts:
        text.set_color("0.6" if text.get_text() == "0" else text.get_color())
    for row, column in np.argwhere(few & ~diagonal):
        share = shares.to_numpy()[row, column]
        axis.text(column + 0.5, row + 0.5, share_text(share), color="0.6", fontsize=9, **CENTRE)
    for at, number in enumerate(numbers):
        axis.add_patch(Rectangle((at, at), 1, 1, facecolor="0.9", edgecolor="white", linewidth=1.5))
        axis.text(at + 0.5, at + 0.5, f"{number:,}", color="0.2", fontsize=7.5, **CENTRE)
    _name_axes(axis, order)


def _name_axes(axis: "Axes", order: list[str]) -> None:
    axis.set(xlabel="... also have", ylabel="Of the studies with ...")
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    axis.tick_params(length=0)
    axis.set_xticks(axis.get_xticks(), labels=order, rotation=45, ha="left", rotation_mode="anchor")
    axis.set_yticks(axis.get_yticks(), labels=order, rotation=0)


def share_text(percent: float) -> str:
    """Return a share as whole per cent; '<1' and '>99' keep rare and never, almost and always apart."""
    if 0 < percent < 1:
        return "<1"
    if 99 < percent < 100:
        return ">99"
    return f"{percent:.0f}"


def _title(table: pd.DataFrame, cohort: str, simulated: bool) -> str:
    lines = [f"Labels that occur together: {cohort}"]
    if len(table):
        first = table.iloc[0]
        lines.append(f"{first['n_studies']:,} studies of {first['n_patients']:,} patients")
    return "\n".join(lines) + (", simulated radiographs" if simulated else "")


def _caption(numbers: pd.Series) -> str:
    texts = ["Grey squares: number of studies with the label. Only labels that are present count."]
    if (numbers.between(1, FEW - 1)).any():
        texts.append(f"Shares of fewer than {FEW} studies have no colour.")
    absent = numbers.index[numbers == 0].tolist()
    if absent:
        texts.append(f"No study has: {', '.join(absent)}.")
    return "\n".join(texts)
