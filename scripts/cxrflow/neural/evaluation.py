"""Results of the graph classifiers and of the vision-language model's own one, with patient-level intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cxrflow.metrics import Metric, auroc, average_precision, estimate, mean_estimate, resample_weights
from cxrflow.neural.settings import EvaluationSettings

METRICS: dict[str, Metric] = {"auroc": auroc, "auprc": average_precision}
VARIANT = ["target", "input", "text", "selector", "kept_percent"]


def evaluate_predictions(
    predictions: Sequence[Path], cohort: str, simulated: bool, settings: EvaluationSettings
) -> pd.DataFrame:
    """Return one row per variant and metric, from the prediction tables of all seeds.

    `value` is the mean of the seeds' metrics (not the metric of their mean probability: a user trains one model);
    `low` and `high` are the 95 % interval of that mean over resamples of patients. A target with one outcome among
    the test patients has no value.
    """
    table = pd.concat([pd.read_parquet(path) for path in predictions], ignore_index=True)
    table = table.sort_values([*VARIANT, "seed", "image_id"], ignore_index=True)
    images = table.drop_duplicates("image_id").sort_values("image_id")
    weights = resample_weights(images["patient_id"], settings.resamples, settings.seed)
    places = pd.Index(images["image_id"])
    rows = []
    for key, group in table.groupby(VARIANT, sort=True):
        first = group[group["seed"] == group["seed"].min()]
        outcome = first["y"].to_numpy()
        drawn = weights[:, places.get_indexer(first["image_id"])]
        scores = [seed["probability"].to_numpy() for _, seed in group.groupby("seed", sort=True)]
        about = {
            "cohort": cohort,
            "simulated": simulated,
            "n_patients": first["patient_id"].nunique(),
            "n_seeds": len(scores),
            **dict(zip(VARIANT, key, strict=True)),
            "n_positive": int(outcome.sum()),
        }
        for name, metric in METRICS.items():
            rows.append({**about, "metric": name, **mean_estimate(metric, outcome, scores, drawn)._asdict()})
    return pd.DataFrame(rows)


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
