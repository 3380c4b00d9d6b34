"""The reader survey in one picture: what readers said of exemplars and of other images (published as figure 6)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxrflow.plotting import PALETTE, caption, figure_style, save_figure
from cxrflow.prunecxr.survey_settings import QUESTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARMS = {"pie": ("exemplars", PALETTE[3]), "other": ("other images", PALETTE[0])}
PANELS = {
    "agree": ("share that fully agrees\nwith the label", (0.0, 1.0)),
    "quality": ("image quality\n(1 to 5)", (1.0, 5.0)),
    "difficulty": ("difficulty of diagnosis\n(1 to 5)", (1.0, 5.0)),
}
"""What the axis of each question says, and its ends."""
EFFECTS = {"risk_difference": "difference", "cliffs_delta": "Cliff's delta"}


def plot_survey(survey: pd.DataFrame, tests: pd.DataFrame, outputs: Sequence[Path]) -> None:
    """Draw one panel per question from the tables of the survey."""
    import matplotlib.pyplot as plt

    with figure_style():
        figure, axes = plt.subplots(1, len(QUESTIONS), figsize=(9.6, 3.9), layout="constrained")
        for axis, question in zip(axes, QUESTIONS, strict=True):
            draw_question(axis, survey[survey["question"] == question], tests[tests["question"] == question])
        caption(figure, survey_caption(survey), bool(survey["simulated"].any()))
        save_figure(figure, *outputs)


def draw_question(axis: "Axes", means: pd.DataFrame, tests: pd.DataFrame) -> None:
    """Draw the mean of each arm with its interval (thick) and standard deviation (thin), and the test above."""
    question = str(means["question"].iloc[0])
    label, (low, high) = PANELS[question]
    labels = []
    for place, (arm, (name, colour)) in enumerate(ARMS.items()):
        row = means[means["arm"] == arm]
        value, least, most, spread = row[["value", "low", "high", "sd"]].to_numpy(dtype=float)[0]
        labels.append(f"{name}\n(n = {int(row['n'].iloc[0])})")
        if np.isfinite(value):
            ends = np.clip([value - spread, value + spread], low, high)
            axis.plot([place, place], ends, color=colour, linewidth=1, alpha=0.7)
            axis.plot([place, place], [least, most], color=colour, linewidth=4, solid_capstyle="butt")
            axis.plot(place, value, marker="o", color=colour, markersize=7, markeredgecolor="white")
            axis.text(place + 0.12, value, f"{value:.2f}", va="center", fontsize=9)
    axis.set_xticks(range(len(ARMS)), labels=labels)
    axis.set_xlim(-0.6, len(ARMS) - 0.3)
    margin = 0.04 * (high - low)
    axis.set_ylim(low - margin, high + margin)
    axis.set_ylabel(label)
    axis.grid(visible=False, axis="x")
    axis.set_title(result_text(tests), fontsize=9)


def result_text(tests: pd.DataFrame) -> str:
    """Return the effect with its interval, and the p-values of the published test and of the one within forms."""
    rows = tests.set_index("metric")
    lines = []
    for metric, name in EFFECTS.items():
        if metric in rows.index:
            value, low, high = rows.loc[[metric], ["value", "low", "high"]].to_numpy(dtype=float)[0]
            lines.append(f"{name} {value:+.2f} [{low:+.2f}, {high:+.2f}]" if np.isfinite(low) else f"{name}: –")
    pooled, within = (p_text(float(rows["p"][metric])) for metric in ("kruskal_wallis", "permutation_within_forms"))
    return "\n".join([*lines, f"Kruskal-Wallis {pooled}", f"within forms {within}"])


def p_text(p: float) -> str:
    """Return a p-value as it is printed."""
    if not np.isfinite(p):
        return "p not defined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def survey_caption(survey: pd.DataFrame) -> str:
    """Return what the figure must say: forms, answers, bars, and that p-values are not adjusted."""
    forms = int(survey["n_forms"].iloc[0])
    missing = int(survey["n_missing"].sum())
    said = (
        f"{forms} form{'s' if forms != 1 else ''}. Thick bars: 95 % bootstrap intervals over images within form; thin "
        "bars: standard deviation. Within forms: permutation of exemplars and other images of the same form. p-values "
        "are not adjusted here; survey_tests has them adjusted for three questions."
    )
    return said + (f" {missing} answer{'s' if missing != 1 else ''} missing." if missing else "")
