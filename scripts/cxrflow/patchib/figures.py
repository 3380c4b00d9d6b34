"""Training and comparison of the models, drawn from their histories and results tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxrflow.measured import MEAN
from cxrflow.plotting import PALETTE, caption, colours_by_place, error_bars, figure_style, save_figure, seeds_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 11.1  # inches of every figure
VALIDATION = {
    "loss": "contrastive loss",
    "recall": "mean recall (R@1, 5, 10, both ways)",
    "auc": "mean AUROC of a probe",
}
PANELS = {
    ("retrieval i2t", "", "recall@10"): "image to text\nR@10",
    ("retrieval t2i", "", "recall@10"): "text to image\nR@10",
    ("zero-shot", MEAN, "auroc"): "zero-shot\nmean AUROC",
    ("linear probe", MEAN, "auroc"): "linear probe\nmean AUROC",
}
"""Task, label and metric of the ablation's panels, and their titles."""
EMBEDDINGS = {
    "own": ("own: as trained", PALETTE[0], "o"),
    "full": ("full: the whole radiograph", PALETTE[1], "s"),
    "kept tokens": ("kept tokens: a pass on these alone", PALETTE[2], "D"),
}
"""Embeddings of a radiograph: name, colour and marker."""
BETWEEN = 0.2  # of a row, between the embeddings of one model


def read_histories(files: Sequence[Path], trained: Sequence[tuple[str, int]]) -> pd.DataFrame:
    """Return the histories of models and seeds, one after the other, with columns model, seed and `at`.

    `at` counts epochs from where everything begins to learn: those of the new modules alone are below 0, so that
    models with and without them stand above each other. It is the end of the epoch, where the model was validated.
    """
    parts = []
    for file, (model, seed) in zip(files, trained, strict=True):
        rows = pd.read_csv(file)
        heads = int((rows["phase"] == "heads").sum())
        at = rows["epoch"] + 1 - heads * (rows["phase"] == "heads")
        parts.append(rows.assign(model=model, seed=seed, at=at))
    return pd.concat(parts, ignore_index=True)


def plot_training(
    histories: pd.DataFrame, distribution: pd.DataFrame, simulated: bool, outputs: Sequence[Path]
) -> None:
    """Draw validation loss, mean recall, a probe's AUROC and the learning rate by epoch from `read_histories`.

    `distribution` (the table of that name) says how many radiographs and patients were validated on.
    """
    import matplotlib.pyplot as plt

    with figure_style():
        figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.2), sharex=True, layout="constrained")
        for axis, (name, title) in zip(axes.flat, VALIDATION.items(), strict=False):
            draw_history(axis, histories, name)
            axis.set_title(f"Validation: {title}", fontsize=10)
        draw_rates(axes[1, 1], histories)
        for axis in axes.flat:
            _mark_phases(axis, histories)
        for axis in axes[1]:
            axis.set_xlabel("epochs since all weights learn")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=10, frameon=False)
        caption(figure, training_caption(histories, distribution), simulated)
        save_figure(figure, *outputs)


def draw_history(axis: "Axes", histories: pd.DataFrame, name: str) -> None:
    """Draw one thick line per model, the mean over the seeds that trained that long, and a thin one per seed."""
    for model, colour in colours_by_place(histories["model"]).items():
        own = histories[histories["model"] == model]
        if len(set(own["seed"])) > 1:
            for _, seed in own.groupby("seed"):
                axis.plot(seed["at"], seed[name], color=colour, linewidth=0.7, alpha=0.6)
        mean = own.groupby("at")[name].mean()
        axis.plot(mean.index, mean, color=colour, linewidth=1.8, marker="o", markersize=3.5, label=f"model {model}")


def draw_rates(axis: "Axes", histories: pd.DataFrame) -> None:
    """Draw the highest learning rate of each epoch in its middle, phase by phase: all models are given the same."""
    for _, rows in histories.groupby("phase"):
        rates = rows.groupby("at")["learning_rate"].mean()
        axis.plot(rates.index - 0.5, rates, color="black", linewidth=1.5, marker="o", markersize=3.5)
    axis.set_yscale("log")
    axis.set_title("Learning rate of the uppermost layers, highest of each epoch", fontsize=10)


def training_caption(histories: pd.DataFrame, distribution: pd.DataFrame) -> str:
    """Return who was validated on, how many seeds there are, and what the shades are."""
    counts = distribution[distribution["split"] == "validate"].set_index("label")["count"]
    seeds = histories.groupby("model")["seed"].nunique()
    said = (
        f"Validate split, {int(counts['images'])} radiographs of {int(counts['patients'])} patients; thick: "
        f"{seeds_note(seeds)}; thin: single seeds; no intervals."
    )
    return said + (" Shaded: both towers are frozen, new modules and projections learn." if _heads(histories) else "")


def plot_ablation(
    metrics: pd.DataFrame,
    differences: pd.DataFrame,
    efficiency: pd.DataFrame,
    outputs: Sequence[Path],
) -> None:
    """Draw the tables of these names as one: models as rows; retrieval, classification and cost as panels."""
    import matplotlib.pyplot as plt

    models = list(dict.fromkeys(metrics["model"]))
    against = differences["against"].iloc[0] if len(differences) else models[0]
    with figure_style():
        size = (WIDTH, 1.6 + 0.5 * len(models))
        figure, axes = plt.subplots(1, len(PANELS) + 1, figsize=size, sharey=True, layout="constrained")
        for axis, (key, title) in zip(axes, PANELS.items(), strict=False):
            draw_measure(axis, _of_panel(metrics, key), _of_panel(differences, key), models)
            axis.set_title(title, fontsize=10)
        draw_costs(axes[-1], efficiency, models, against)
        seeds = metrics.groupby("model")["n_seeds"].max()
        names = [f"{model} ({seeds[model]} seed{'s' if seeds[model] != 1 else ''})" for model in models]
        axes[0].set_yticks(range(len(models)), labels=names)
        axes[0].set_ylim(len(models) - 0.5, -0.5)
        figure.legend(handles=_embedding_marks(axes[0], metrics), loc="outside upper center", ncols=5, frameon=False)
        caption(figure, ablation_caption(metrics, against), bool(metrics["simulated"].any()))
        save_figure(figure, *outputs)


def draw_measure(axis: "Axes", rows: pd.DataFrame, differences: pd.DataFrame, models: Sequence[str]) -> None:
    """Draw values with intervals, a mark per embedding, the chance line, and a star at what differs."""
    told = differences[differences["p_holm"] < 0.05]
    different = set(zip(told["model"], told["embedding"], strict=True))
    counts = rows["model"].value_counts()
    for place, (embedding, (_, colour, marker)) in enumerate(EMBEDDINGS.items()):
        part = rows[rows["embedding"] == embedding]
        heights = [models.index(model) + BETWEEN * (place - (counts[model] - 1) / 2) for model in part["model"]]
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "elinewidth": 1.2}
        axis.errorbar(part["value"], heights, xerr=error_bars(part), linestyle="none", **style)
        for model, high, height in zip(part["model"], part["high"], heights, strict=True):
            if (model, embedding) in different:
                axis.annotate("*", (high, height), (3, -1), textcoords="offset points", va="center", fontsize=11)
    axis.margins(x=0.1)
    axis.axvline(rows["chance"].mean(), color="0.35", linestyle=":", linewidth=1.3)
    axis.grid(visible=False, axis="y")


def draw_costs(axis: "Axes", efficiency: pd.DataFrame, models: Sequence[str], against: str) -> None:
    """Draw the multiplications of one radiograph as multiples of those of the model `against`, at each own share."""
    own = efficiency.drop_duplicates("model").set_index("model")["macs"]
    for place, model in enumerate(models):
        ratio = own[model] / own[against]
        axis.barh(place, ratio, height=0.45, color="0.75")
        axis.text(ratio, place, f"{ratio:.2f} ", ha="right", va="center", fontsize=9)
    axis.axvline(1, color="0.35", linewidth=0.8)
    axis.set_xlim(0, 1.1 * float(own.max() / own[against]))
    axis.grid(visible=False, axis="y")
    axis.set_title(f"multiplications per\nradiograph / those of {against}", fontsize=10)


def ablation_caption(metrics: pd.DataFrame, against: str) -> str:
    """Return on whom, over how many seeds, and what the bars, lines and stars are."""
    return (
        f"Test split, {int(metrics['n_patients'].max()):,} patients; {seeds_note(metrics['n_seeds'])}; bars: 95 % "
        "bootstrap intervals over patients; dotted: chance. Stars: the paired difference from model "
        f"{against} (own) on the same patients has p < .05 after Holm's adjustment."
    )


def _of_panel(table: pd.DataFrame, key: tuple[str, str, str]) -> pd.DataFrame:
    task, label, metric = key
    labels = table["label"].fillna("")
    return table[(table["task"] == task) & (labels == label) & (table["metric"] == metric)]


def _embedding_marks(axis: "Axes", metrics: pd.DataFrame) -> list[Any]:
    shown = [look for embedding, look in EMBEDDINGS.items() if (metrics["embedding"] == embedding).any()]
    return [
        axis.plot([], [], color=colour, marker=marker, markersize=5, linestyle="none", label=name)[0]
        for name, colour, marker in shown
    ]


def _mark_phases(axis: "Axes", histories: pd.DataFrame) -> None:
    """Shade the epochs in which both towers are frozen."""
    from matplotlib.ticker import MaxNLocator

    if heads := _heads(histories):
        axis.axvspan(-heads - 0.02, 0, color="0.93", zorder=0, linewidth=0)
        axis.axvline(0, color="0.35", linestyle=":", linewidth=1.2)
    axis.set_xlim(-heads - 0.02, float(histories["at"].max()) + 0.05)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _heads(histories: pd.DataFrame) -> int:
    """Return the most epochs in which the towers were frozen."""
    return int((histories["phase"] == "heads").groupby([histories["model"], histories["seed"]]).sum().max())
