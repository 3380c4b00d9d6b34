"""Does a model look where the finding is? Heat of prompts and masks against known boxes, chance and the centre."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.measured import Common
from cxrflow.metrics import average_precision, interval, resample_weights, weighted_mean
from cxrflow.patchib.exported import BOXED_SPLITS, Exported
from cxrflow.patchib.settings import EvaluationSettings

Floats = NDArray[np.float64]

ALL = "all"
INSIDE = 0.5  # share of a patch that boxes must cover for it to lie in them
CENTRE = "centre"
PROMPT, MASK = "prompt", "mask"


def grounding_table(
    boxed: dict[str, pd.DataFrame], exports: dict[str, list[Exported]], common: Common, settings: EvaluationSettings
) -> pd.DataFrame:
    """Return one row per model, kind of heat, finding (and `all`) and metric.

    `boxed` has the boxed findings of the validate and the test split (prompts.boxed_findings). `prompt` is the heat of
    the finding's prompt: pointing (the hottest patch lies in a box), auprc over patches, iou of the hotter half
    (as released). `mask` is the model's own selection, whatever the finding: pointing of its highest logit, iou, recall
    (share of the boxes that is kept) and precision (share of what is kept that lies in boxes). `chance` is what patches
    drawn at random give, `centre` what the most central ones do. Patients are resampled; seeds are averaged.
    """
    pairs = pd.concat([boxed[split].assign(split=split) for split in BOXED_SPLITS], ignore_index=True)
    if pairs.empty:
        return pd.DataFrame(columns=[*common, *COLUMNS])
    cover = np.stack(pairs["cover"].tolist())
    rows: list[dict[str, object]] = []
    for model, seeds in exports.items():
        for kind, values in _of_model(seeds, pairs, cover).items():
            rows += _rows({**common, "model": model, "kind": kind, "n_seeds": len(seeds)}, values, pairs, settings)
    return pd.DataFrame(rows, columns=[*common, *COLUMNS])


COLUMNS = ("n_seeds", "model", "kind", "finding", "metric", "value", "low", "high", "chance", CENTRE, "n", "n_patients")
Values = dict[str, tuple[Floats, Floats, Floats]]


def _of_model(seeds: list[Exported], pairs: pd.DataFrame, cover: Floats) -> dict[str, Values]:
    """Return for each kind and metric: values, those of chance, and those of the centre, (n,) each, seeds averaged."""
    found: dict[str, list[Values]] = {}
    for export in seeds:
        heat = np.concatenate([export.read(f"words/{split}") for split in BOXED_SPLITS])
        found.setdefault(PROMPT, []).append(heat_values(heat, cover))
        if export.has_masks():
            logits, masks = (_of_pairs(export, name, pairs) for name in ("logits", "masks"))
            found.setdefault(MASK, []).append(mask_values(logits, masks, cover))
    return {kind: _seed_mean(values) for kind, values in found.items()}


def _of_pairs(export: Exported, name: str, pairs: pd.DataFrame) -> NDArray[np.float32]:
    parts = [export.read(f"{split}/{name}")[pairs.loc[pairs["split"] == split, "position"]] for split in BOXED_SPLITS]
    return np.concatenate(parts)


def _seed_mean(seeds: list[Values]) -> Values:
    return {
        name: (*(np.mean([values[name][part] for values in seeds], axis=0) for part in range(3)),) for name in seeds[0]
    }


def heat_values(heat: NDArray, cover: Floats) -> Values:
    """Return pointing, auprc and iou of heat maps (n, M) on boxes that cover `cover` (n, M) of each patch."""
    central = np.tile(centrality(heat.shape[1]), (len(heat), 1))
    inside = cover >= INSIDE
    return {
        "pointing": (_pointing(heat, cover), cover.mean(axis=1), _pointing(central, cover)),
        "auprc": (_precision(heat, inside), inside.mean(axis=1), _precision(central, inside)),
        "iou of the hotter half": (_iou(_half(heat), cover), _chance_iou(0.5, cover), _iou(_half(central), cover)),
    }


def mask_values(logits: NDArray, masks: NDArray, cover: Floats) -> Values:
    """Return pointing, iou, recall and precision of masks (n, M) with their logits (n, M)."""
    share = masks.mean(axis=1)
    order = np.argsort(np.argsort(-centrality(masks.shape[1]), kind="stable"), kind="stable")
    central = (order[None, :] < masks.sum(axis=1, keepdims=True)).astype(np.float64)
    boxes = cover.mean(axis=1)
    return {
        "pointing": (_pointing(logits, cover), boxes, _pointing(np.tile(-order, (len(masks), 1)), cover)),
        "iou": (_iou(masks, cover), _chance_iou(share, cover), _iou(central, cover)),
        "recall": (_recall(masks, cover), share, _recall(central, cover)),
        "precision": (_kept_inside(masks, cover), boxes, _kept_inside(central, cover)),
    }


def centrality(patches: int) -> Floats:
    """Return (M,): minus the distance of each patch of a square grid from its middle."""
    side = round(patches**0.5)
    line = np.arange(side) - (side - 1) / 2
    return -np.hypot(line[:, None], line[None, :]).ravel()


def _pointing(heat: NDArray, cover: Floats) -> Floats:
    """Return the covered share of the hottest patch (of the first of equal ones)."""
    return np.take_along_axis(cover, heat.argmax(axis=1)[:, None], axis=1)[:, 0]


def _precision(heat: NDArray, inside: NDArray[np.bool_]) -> Floats:
    """Return the area under the precision-recall curve of each image's patches; NaN without any patch inside."""
    return np.array([float(average_precision(one, score)[0]) for one, score in zip(inside, heat, strict=True)])


def _half(heat: NDArray) -> NDArray:
    return (heat > np.median(heat, axis=1, keepdims=True)).astype(np.float64)


def _iou(masks: NDArray, cover: Floats) -> Floats:
    """Return intersection over union by area: a patch that boxes cover in part counts in part."""
    return np.minimum(masks, cover).sum(axis=1) / np.maximum(masks, cover).sum(axis=1)


def _chance_iou(share: float | NDArray, cover: Floats) -> Floats:
    """Return about what a random mask of a share of the patches gives: expected intersection over expected union."""
    boxes = cover.mean(axis=1)
    return share * boxes / (share + boxes - share * boxes)


def _recall(masks: NDArray, cover: Floats) -> Floats:
    return (masks * cover).sum(axis=1) / np.maximum(cover.sum(axis=1), 1e-9)


def _kept_inside(masks: NDArray, cover: Floats) -> Floats:
    return (masks * cover).sum(axis=1) / np.maximum(masks.sum(axis=1), 1e-9)


def _rows(
    about: Common, values: Values, pairs: pd.DataFrame, settings: EvaluationSettings
) -> Iterator[dict[str, object]]:
    findings = pairs["finding"].to_numpy()
    for finding in [ALL, *sorted(set(findings))]:
        chosen = np.ones(len(pairs), dtype=bool) if finding == ALL else findings == finding
        patients = pairs.loc[chosen, "patient_id"]
        weights = resample_weights(patients, settings.resamples, settings.seed)
        for metric, (value, chance, centre) in values.items():
            own = value[chosen]
            bounds = interval(float(np.nanmean(own)), weighted_mean(own, weights))._asdict()
            beside = {"chance": float(np.nanmean(chance[chosen])), CENTRE: float(np.nanmean(centre[chosen]))}
            counts = {"n": int(chosen.sum()), "n_patients": patients.nunique()}
            yield {**about, "finding": finding, "metric": metric, **bounds, **beside, **counts}
