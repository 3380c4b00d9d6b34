"""Results of the graph classifiers and of the vision-language model's own one, with patient-level intervals."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.measured import Measured, difference
from cxrflow.metrics import auroc, estimate, holm, interval, resample_weights
from cxrflow.neural.settings import NO_TEXT, WHOLE, EvaluationSettings
from cxrflow.neural.variants import BLIND
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

METRICS = ("auroc", "auprc")
VARIANT = ["target", "input", "text", "selector", "kept_percent", "labels"]


class Key(NamedTuple):
    """What a row of the results is about."""

    target: str
    input: str
    text: str
    selector: str
    kept_percent: float
    labels: str


class Scored(NamedTuple):
    """One variant: its images seed by seed, how many patients and positives, and the mean over seeds of each metric."""

    images: dict[int, NDArray]
    n_patients: int
    n_positive: int
    measured: dict[str, Measured]


def evaluate_predictions(measured: Mapping[Key, Scored], cohort: str, simulated: bool) -> pd.DataFrame:
    """Return one row per variant and metric.

    `value` is the mean of the seeds' metrics (not the metric of their mean probability: a user trains one model);
    `low` and `high` are the 95 % interval of that mean over resamples of patients. A target with one outcome among
    the test patients has no value.
    """
    rows = []
    for key, scored in measured.items():
        about = {"cohort": cohort, "simulated": simulated, "n_patients": scored.n_patients}
        about |= {"n_seeds": len(scored.images), **key._asdict(), "n_positive": scored.n_positive}
        rows += [
            {**about, "metric": name, **interval(found.value, found.resampled)._asdict()}
            for name, found in scored.measured.items()
        ]
    return pd.DataFrame(rows)


def paired_differences(measured: Mapping[Key, Scored], cohort: str, simulated: bool) -> pd.DataFrame:
    """Return one row per variant, what it is compared `against`, and metric; variants of true labels only.

    `value` is the mean over seeds of metric(variant) - metric(against) on the same images; `low`, `high` and the
    two-sided `p` come from the same resamples of patients for both. `p_holm` is adjusted for all rows of one target
    and metric that are compared with the same thing; it cannot go below their number x 2 / (resamples + 1).
    """
    found = {key: scored for key, scored in measured.items() if key.labels == "true"}
    rows = []
    for key, scored in found.items():
        about = {"cohort": cohort, "simulated": simulated, "n_patients": scored.n_patients}
        about |= {"n_seeds": len(scored.images), **{name: getattr(key, name) for name in VARIANT[:-1]}}
        for against, other in counterparts(key, found):
            changes = _changes(scored, found[other]).items()
            rows += [{**about, "against": against, "metric": name, **change} for name, change in changes]
    table = pd.DataFrame(rows, columns=DIFFERENCES)
    return table.assign(
        p_holm=table.groupby(["target", "metric", "against"])["p"].transform(lambda p: holm(p.to_numpy()))
    )


DIFFERENCES = [
    "cohort",
    "simulated",
    "n_patients",
    "n_seeds",
    *VARIANT[:-1],
    "against",
    "metric",
    "value",
    "low",
    "high",
    "p",
]


def counterparts(key: Key, found: Mapping[Key, object]) -> Iterator[tuple[str, Key]]:
    """Yield what a variant is compared with, by name, as far as it was measured.

    `whole`: the same input and text at 100 % (no report has a part in a whole radiograph alone). For patches that
    attention chose, without a report's graph, the blind selectors at the same share and every codec too.
    """
    alone = key.input == "image"
    whole = key._replace(selector="all", kept_percent=WHOLE, text=NO_TEXT if alone else key.text)
    if key != whole and whole in found:
        yield "whole", whole
    if alone and key.selector == "attention":
        blind = [key._replace(selector=selector, text=NO_TEXT) for selector in BLIND]
        yield from ((other.selector, other) for other in blind if other in found)
        yield from ((other.selector, other) for other in found if other._replace(selector="all") == whole != other)


def _changes(scored: Scored, other: Scored) -> dict[str, dict[str, float]]:
    """Return value, low, high and p of each metric's difference."""
    if scored.images.keys() != other.images.keys() or not all(
        np.array_equal(images, other.images[seed]) for seed, images in scored.images.items()
    ):
        raise ValueError("paired variants must have the same seeds and images")
    return {name: difference(found, other.measured[name]) for name, found in scored.measured.items()}


def scored_variants(predictions: Sequence[Path], settings: EvaluationSettings) -> dict[Key, Scored]:
    """Return every variant in the order of its key, from the prediction tables of all seeds, all over the same
    resamples of patients.

    Each seed is measured on its own labels: permuted ones are another permutation for every seed.
    """
    table = pd.concat([pd.read_parquet(path) for path in predictions], ignore_index=True)
    table = table.sort_values([*VARIANT, "seed", "image_id"], ignore_index=True)
    patients = table["patient_id"].unique()
    drawn = resample_weights(patients, settings.resamples, settings.seed)
    weights = np.ascontiguousarray(drawn.T, dtype=np.float32)
    table["patient"] = pd.Index(patients).get_indexer(table["patient_id"])
    return {
        Key._make(key): _scored([rows for _, rows in group.groupby("seed", sort=True)], weights)
        for key, group in table.groupby(VARIANT, sort=True)
    }


def _scored(seeds: Sequence[pd.DataFrame], weights: NDArray[np.float32]) -> Scored:
    images = {int(rows["seed"].iloc[0]): rows["image_id"].to_numpy() for rows in seeds}
    rankings = [Ranking.of(rows["y"].to_numpy(), rows["probability"].to_numpy()) for rows in seeds]
    values = [(ranking.auroc(), ranking.average_precision()) for ranking in rankings]
    resampled = [
        resampled_areas(ranking, rows["patient"].to_numpy(), weights)
        for ranking, rows in zip(rankings, seeds, strict=True)
    ]
    means = zip(METRICS, np.mean(values, axis=0), np.mean(resampled, axis=0), strict=True)
    measured = {name: Measured(float(value), areas, len(seeds), np.nan) for name, value, areas in means}
    return Scored(images, seeds[0]["patient_id"].nunique(), int(seeds[0]["y"].sum()), measured)


def classifier_table(
    predictions: pd.DataFrame, common: Mapping[str, object], settings: EvaluationSettings
) -> pd.DataFrame:
    """Return one row per finding: the AUC of the vision-language model's classifier on the validate split."""
    rows = []
    for target, group in predictions.groupby("target", sort=True):
        weights = resample_weights(group["patient_id"], settings.resamples, settings.seed)
        area = estimate(auroc, group["y"].to_numpy(), group["logit"].to_numpy(), weights)
        counts = {"n_patients": group["patient_id"].nunique(), "n_positive": int(group["y"].sum())}
        rows.append({**common, **counts, "target": target, "metric": "auroc", **area._asdict()})
    return pd.DataFrame(rows)
