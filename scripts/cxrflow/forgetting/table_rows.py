"""The rows of the tables of forgetting, of one way to compress."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.curves import (
    Curves,
    change_estimates,
    drop_estimate,
    forgettability_curves,
    median_over,
    seed_draws,
)
from cxrflow.forgetting.dissimilarity import AGAINST, Overlaps, class_pairs, pair_correlation, pair_places
from cxrflow.forgetting.frequency import COEFFICIENTS, correlations, log_counts, mean_others
from cxrflow.forgetting.joint_model import R_SQUARED, joint_model
from cxrflow.forgetting.measures import METRICS, RESAMPLED, WayMeasures
from cxrflow.forgetting.overall import TESTS, first_significant, mean_over_classes, p_values
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import Estimate, holm, interval

MEAN = "(mean)"
"""The class of rows that are means over all classes."""
FIXED, LEGACY = "fixed", "legacy"
"""Values of the column `formula`: frequency and overlap as defined, and as the released analysis computes them."""
PAIR_COLUMNS: tuple[str, ...] = ("class_a", "class_b", "n_both", "metric", "value", "low", "high", "mean_square")
PAIR_COLUMNS += (*AGAINST, *(f"legacy_{name}" for name in AGAINST))
Row = dict[str, Any]


@dataclass(frozen=True)
class Analysis:
    """What all tables of one way to compress are made from."""

    method: str
    measured: WayMeasures
    curves: Curves
    truth: Truth
    training: NDArray[np.float64]
    """(C, C) training images with both classes."""
    overlap: Overlaps
    """The same of the test split."""
    settings: ForgettingSettings


def metric_rows(found: Analysis) -> Iterator[Row]:
    """Yield every class's metrics, then their means."""
    measured, positives = found.measured, positive_counts(found.truth)
    draws = seed_draws(len(measured.seeds), found.settings.resamples, found.settings.seed)
    for metric in METRICS:
        values = np.median(measured.values[metric], axis=0)
        resampled = median_over(measured.resampled[metric], draws) if metric in RESAMPLED else None
        for place, name in enumerate(measured.classes):
            about = {"class": name, "n_positive": positives[place], "n_classes": int(not np.isnan(values[0, place]))}
            for level, share in enumerate(measured.levels):
                estimate = _estimate(values[level, place], None if resampled is None else resampled[:, level, place])
                yield {**about, "sparsity": share, "metric": metric, **estimate._asdict()}
    for metric in METRICS:
        mean = mean_over_classes(measured, metric, found.settings.seed)
        for level, share in enumerate(measured.levels):
            estimate = _estimate(mean.values[level], None if mean.resampled is None else mean.resampled[:, level])
            about = {"class": MEAN, "n_positive": sum(positives), "n_classes": int(mean.classes[level])}
            yield {**about, "sparsity": share, "metric": metric, **estimate._asdict()}


def overall_rows(found: Analysis) -> Iterator[Row]:
    """Yield the tests of the mean over classes at every level against level 0."""
    levels = found.measured.levels
    for metric in RESAMPLED:
        mean = mean_over_classes(found.measured, metric, found.settings.seed)
        for test in TESTS:
            p = p_values(mean.by_seed, test)
            adjusted = holm(p)
            firsts = first_significant(levels, p), first_significant(levels, adjusted)
            for level, share in enumerate(levels):
                resampled = mean.resampled_change
                change = _estimate(mean.change[level], None if resampled is None else resampled[:, level])
                about = {"sparsity": share, "n_classes": int(mean.classes[level]), "metric": metric}
                tested = {"test": test, "p": p[level], "p_holm": adjusted[level]}
                first = {"first": share == firsts[0], "first_holm": share == firsts[1]}
                yield {**about, **change._asdict(), **tested, **first}


def curve_rows(found: Analysis) -> Iterator[Row]:
    """Yield the forgettability curves of average precision, and those of AUROC."""
    for metric in ("auprc", "auroc"):
        same = metric == "auprc"
        curves = found.curves if same else forgettability_curves(found.measured, found.settings, metric)
        for share, estimates in zip(curves.levels, change_estimates(curves), strict=True):
            for name, estimate in zip(found.measured.classes, estimates, strict=True):
                yield {"class": name, "sparsity": share, "metric": f"{metric}_change", **estimate._asdict()}


def forgettability_rows(found: Analysis) -> Iterator[Row]:
    """Yield one row per class; a first drop that is never reached is empty and called censored, and so are the ends of
    its interval. `censored_share` is the share of resamples in which the class never drops."""
    curves, settings, counts = found.curves, found.settings, np.diagonal(found.training)
    positives, others = positive_counts(found.truth), mean_others(found.training)
    for place, name in enumerate(found.measured.classes):
        drop = drop_estimate(curves.drops[place], curves.resampled_drops[:, place])
        final = interval(float(curves.final[place]), curves.resampled_final[:, place])
        yield {
            "class": name,
            "group": tail_group(counts[place], settings),
            "train_count": int(counts[place]),
            "log_frequency": log_counts(counts)[place],
            "cooccurrence": others[place],
            "n_positive": positives[place],
            "first_drop": drop.value,
            "first_drop_low": drop.low,
            "first_drop_high": drop.high,
            "censored": bool(np.isinf(curves.drops[place])),
            "censored_share": drop.censored,
            "final_change": final.value,
            "final_change_low": final.low,
            "final_change_high": final.high,
        }


def tail_group(count: float, settings: ForgettingSettings) -> str:
    """Return where on the long tail a class with so many training images lies."""
    if count >= settings.head:
        return "head"
    return "medium" if count >= settings.medium else "tail"


def correlation_rows(found: Analysis) -> Iterator[Row]:
    """Yield the correlations of classes, then those of pairs, by the formula that the settings choose."""
    curves = found.curves
    properties = {
        "log_frequency": log_counts(np.diagonal(found.training)),
        "cooccurrence": mean_others(found.training),
    }
    quantities = {
        "first_drop": (curves.drops, curves.resampled_drops),
        "final_change": (curves.final, curves.resampled_final),
    }
    for quantity, (values, resampled) in quantities.items():
        for against, numbers in properties.items():
            for row in correlations(values, numbers, resampled, found.settings):
                yield {"quantity": quantity, "against": against, "formula": FIXED, **row._asdict()}
    yield from _pair_correlations(found, found.settings.legacy)


def pair_rows(found: Analysis) -> Iterator[Row]:
    """Yield all pairs of classes that have a curve."""
    pairs, legacy = (class_pairs(found.curves, found.overlap, formula) for formula in (False, True))
    first, second = (pairs.classes[side] for side in pair_places(len(pairs.classes)))
    for place, sides in enumerate(zip(first, second, strict=True)):
        resampled = pairs.resampled_distance[:, place]
        names = dict(zip(("class_a", "class_b"), (found.measured.classes[side] for side in sides), strict=True))
        estimate = interval(float(pairs.distance[place]), resampled)
        related = {name: getattr(pairs.related, name)[place] for name in AGAINST}
        related |= {f"legacy_{name}": getattr(legacy.related, name)[place] for name in AGAINST}
        yield {
            **names,
            "n_both": int(found.overlap.counts[sides]),
            "metric": "fcd",
            **estimate._asdict(),
            "mean_square": pairs.mean_square[place],
            **related,
        }


def joint_rows(found: Analysis) -> Iterator[Row]:
    """Yield the terms of the joint model, by the formula that the settings choose."""
    pairs = class_pairs(found.curves, found.overlap, found.settings.legacy)
    about = {"formula": _formula(found.settings.legacy), "n_pairs": len(pairs.distance), "n_left_out": pairs.left_out}
    for row in joint_model(pairs, found.settings):
        yield {**about, "metric": R_SQUARED if row.term == R_SQUARED else "coefficient", **row._asdict()}


def legacy_rows(found: Analysis) -> Iterator[Row]:
    """Yield the correlations of pairs by both formulas."""
    for legacy in (False, True):
        yield from _pair_correlations(found, legacy)


def positive_counts(truth: Truth) -> list[int]:
    """Return how many test images show each class."""
    return [int(count) for count in (truth.labels > 0).sum(axis=0)]


def _pair_correlations(found: Analysis, legacy: bool) -> Iterator[Row]:
    pairs = class_pairs(found.curves, found.overlap, legacy)
    for against in AGAINST:
        for name in COEFFICIENTS:
            row = pair_correlation(name, pairs, against, found.settings)
            yield {"quantity": "fcd", "against": against, "formula": _formula(legacy), **row._asdict()}


def _formula(legacy: bool) -> str:
    return LEGACY if legacy else FIXED


def _estimate(value: float, resampled: NDArray | None) -> Estimate:
    """Return a value with its interval; without one where nothing was resampled."""
    if resampled is None:
        return Estimate(float(value), np.nan, np.nan)
    return interval(float(value), resampled)
