"""Tables about masks: other shares of the patches, changed radiographs, patches taken away one after the other."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from cxrflow.measured import Common
from cxrflow.metrics import interval, weighted_mean
from cxrflow.patchib.exported import CHANGES, Exported, TestSet
from cxrflow.patchib.retrieval_measures import own_recalls

Models = dict[str, list[Exported]]


def shares_table(exports: Models, test: TestSet, common: Common) -> pd.DataFrame:
    """Return one row per model with masks, share of patches and recall (image to text), without training anew."""
    rows = []
    for model, seeds in _masked(exports).items():
        for name in (name for name in seeds[0].names if name.startswith("share/")):
            about = {**common, "n_seeds": len(seeds), "model": model, "keep_ratio": float(name.removeprefix("share/"))}
            hits = [own_recalls(seed.read(name), seed.read("test/text"), test) for seed in seeds]
            for metric in hits[0]:
                values = np.mean([hit[metric] for hit in hits], axis=0)
                rows.append({**about, "metric": metric, **_bounds(values, test.weights)})
    return pd.DataFrame(rows, columns=[*common, "n_seeds", "model", "keep_ratio", "metric", "value", "low", "high"])


def robustness_table(exports: Models, test: TestSet, common: Common) -> pd.DataFrame:
    """Return one row per model with masks and kind of change: the mean Jaccard index of masks before and after.

    `chance` is that of two random masks that keep as many patches.
    """
    rows = []
    for model, seeds in _masked(exports).items():
        for kind in CHANGES:
            pairs = [(seed.read("test/masks"), seed.read(f"changed/{kind}")) for seed in seeds]
            values = np.mean([jaccard(before[None], after).mean(axis=0) for before, after in pairs], axis=0)
            chance = float(np.mean([chance_jaccard(before[None], after).mean() for before, after in pairs]))
            about = {**common, "n_seeds": len(seeds), "model": model, "change": kind, "metric": "jaccard"}
            rows.append({**about, **_bounds(values, test.weights), "chance": chance})
    return pd.DataFrame(
        rows, columns=[*common, "n_seeds", "model", "change", "metric", "value", "low", "high", "chance"]
    )


def jaccard(one: NDArray, other: NDArray) -> NDArray[np.float64]:
    """Return the size of the intersection over that of the union of masks (..., M); 1 where both are empty."""
    union = np.maximum(one, other).sum(axis=-1)
    return np.where(union > 0, np.minimum(one, other).sum(axis=-1) / np.maximum(union, 1), 1.0)


def chance_jaccard(one: NDArray, other: NDArray) -> NDArray[np.float64]:
    """Return the index that two random masks of these sizes have, by their expected intersection and union."""
    first, second = one.mean(axis=-1), other.mean(axis=-1)
    both = first * second
    return both / np.maximum(first + second - both, 1e-9)


def curves_table(exports: Models, test: TestSet, common: Common) -> pd.DataFrame:
    """Return one row per model, curve and share of patches removed or inserted: the similarity to the own report.

    `share` is empty for the area under the whole curve by the trapezoid rule.
    """
    rows = []
    for model, seeds in exports.items():
        weights = test.weights[:, seeds[0].read("curve/images")]
        for curve in ("deletion", "insertion"):
            values = np.mean([seed.read(f"curve/{curve}") for seed in seeds], axis=0)
            shares = np.linspace(0, 1, values.shape[1])
            about = {**common, "n_seeds": len(seeds), "model": model, "curve": curve}
            points = zip([*shares, np.nan], [*values.T, trapezoid(values, shares, axis=1)], strict=True)
            rows += [{**about, "share": share, **_bounds(point, weights)} for share, point in points]
    return pd.DataFrame(rows)


def _masked(exports: Models) -> Models:
    return {model: seeds for model, seeds in exports.items() if seeds[0].has_masks()}


def _bounds(values: NDArray, weights: NDArray) -> dict[str, float]:
    return interval(float(values.mean()), weighted_mean(values, weights))._asdict()
