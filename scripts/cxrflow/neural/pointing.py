"""Does attention point at the lesion? Attention and kept patches inside the true boxes, compared with chance."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.boxes import finding_covers
from cxrflow.metrics import interval, resample_weights, weighted_mean
from cxrflow.neural.settings import GRID_SIDE, EvaluationSettings

Floats = NDArray[np.float64]

NO_TEXT = "none"
"""The text setting of what no text took part in."""

COLUMNS = (
    *("finding", "selector", "text", "kept_percent", "metric", "value", "low", "high", "chance"),
    *("n", "n_patients"),
)


def pointing_table(
    samples: pd.DataFrame,
    scores: Mapping[str, NDArray[np.float32]],
    orders: Mapping[str, NDArray[np.uint8]],
    shares: Sequence[tuple[float, int]],
    common: Mapping[str, object],
    settings: EvaluationSettings,
) -> pd.DataFrame:
    """Return one row per finding, selector, text setting and metric.

    `scores` are by text setting and `orders` by ranking key, (n, 144) each, row by row with `samples`.
    mass_in_box: attention inside the finding's boxes. kept_in_box: the part of the kept patches' area that is inside
    them, per share. `chance` is what an even spread gives: the boxes' part of the image. mass_minus_chance and
    kept_minus_chance are paired differences with their own interval; mass_minus_prior compares with the average
    attention map of all these images: above 0, attention moves with the finding. Intervals resample patients.
    """
    rows: list[dict[str, object]] = []
    covers = finding_covers(samples, GRID_SIDE)
    priors = {text: values.mean(axis=0, dtype=np.float64) for text, values in sorted(scores.items())}
    for finding, group in covers.groupby("finding", sort=True):
        places, cover = group["position"].to_numpy(), np.stack(group["cover"].tolist())
        weights = resample_weights(group["patient_id"], settings.resamples, settings.seed)
        facts = {**common, "finding": finding, "n": len(group), "n_patients": group["patient_id"].nunique()}
        facts |= {"chance": float(cover.mean())}
        for text, prior in priors.items():
            kind: dict[str, object] = {"selector": "attention", "text": text}
            measured = mass_in_boxes(scores[text][places], cover, prior)
            rows += [{**facts, **kind, **_row(name, values, weights)} for name, values in measured.items()]
        for key, order in sorted(orders.items()):
            selector, text = selector_and_text(key)
            for share, kept in shares:
                kind = {"selector": selector, "text": text, "kept_percent": share}
                measured = kept_in_boxes(order[places, :kept], cover)
                rows += [{**facts, **kind, **_row(name, values, weights)} for name, values in measured.items()]
    return pd.DataFrame(rows, columns=[*common, *COLUMNS])


def selector_and_text(key: str) -> tuple[str, str]:
    """Return who ranks patches and with whose text, from the name of a ranking such as `attention_masked`."""
    selector, _, text = key.partition("_")
    return selector, text or NO_TEXT


def mass_in_boxes(scores: NDArray[np.float32], cover: Floats, prior: Floats) -> dict[str, Floats]:
    """Return measures of n images' attention (n, 144) in boxes that cover `cover` (n, 144): (n,) each."""
    mass = np.einsum("np,np->n", scores.astype(np.float64), cover)
    return {
        "mass_in_box": mass,
        "mass_minus_chance": mass - cover.mean(axis=1),
        "mass_minus_prior": mass - cover @ prior,
    }


def kept_in_boxes(kept: NDArray[np.uint8], cover: Floats) -> dict[str, Floats]:
    """Return measures of n images' kept patches (n, count) in boxes that cover `cover` (n, 144): (n,) each."""
    inside = np.take_along_axis(cover, kept.astype(np.int64), axis=1).mean(axis=1)
    return {"kept_in_box": inside, "kept_minus_chance": inside - cover.mean(axis=1)}


def _row(metric: str, values: Floats, weights: NDArray) -> dict[str, object]:
    return {"metric": metric, **interval(float(values.mean()), weighted_mean(values, weights))._asdict()}
