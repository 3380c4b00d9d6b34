"""What the five papers claim, and which number of a run tells whether it holds here."""

import numpy as np
import pandas as pd

from cxrflow.measured import MEAN
from cxrflow.summary.claims import Claim, Finding, Measure, Tables

PNEUMONIA = "Pneumonia"
PUBLISHED_REDUCTION = (0.934, 0.977)
"""Shares of the data that NEURAL's abstract says are taken away."""


def _first(rows: pd.DataFrame) -> Finding | None:
    """Return the first of some rows as a finding; nothing where there is none."""
    if rows.empty:
        return None
    row = rows.iloc[0]
    return Finding(row["value"], row["low"], row["high"], *(row.get(name, np.nan) for name in Finding._fields[3:]))


def _row(name: str, **where: object) -> Measure:
    """Return a measure: the row of a table with these values."""
    return lambda tables: _first(tables.find(name, **where))


def _nothing(_tables: Tables) -> None:
    return None


def _of_pneumonia(**where: object) -> Measure:
    """Return a measure of NEURAL's: the difference in AUROC for pneumonia, or the run's first target without it."""

    def measure(tables: Tables) -> Finding | None:
        rows = tables.find("differences", metric="auroc", selector="attention", text="generated", **where)
        named = rows[rows["target"] == PNEUMONIA] if "target" in rows else rows
        return _first(named if len(named) else rows)

    return measure


def _bytes_saved(tables: Tables) -> Finding | None:
    """Return the share of the bytes of a lossless image that the asset with 2.3 % of the patches does without."""
    where = {"encoding": "patches", "kept_percent": 2.3, "quantity": "asset_bytes_vs_png", "text": "generated"}
    kept = _first(tables.find("compression", **where))
    return kept and kept._replace(value=1 - kept.value, low=1 - kept.high, high=1 - kept.low)


def _first_loss(tables: Tables) -> Finding | None:
    """Return the lowest sparsity with a significant change of mean average precision (Welch's test, as published)."""
    rows = tables.find("overall", method="l1", metric="auprc", test="welch")
    if rows.empty:
        return None
    lost = rows[rows["first"]]
    level = float(lost["sparsity"].iloc[0]) if len(lost) else 1.0
    return Finding(level, n_patients=rows["n_patients"].iloc[0], n_seeds=rows["n_seeds"].iloc[0])


def _correlated(quantity: str, against: str) -> Measure:
    return _row("correlations", method="l1", quantity=quantity, against=against, formula="fixed", metric="pearson")


def _exemplars(group: str, level: str) -> Measure:
    return _row("pie_ratios", group=group, level=level, formula="fixed", sparsity=0.9, share=0.05)


def _cheaper(tables: Tables) -> Finding | None:
    """Return how many times the multiplications of D model A needs for an image.

    Not the images per second of both: they differ by a few per cent from one measurement to the next.
    """
    rows = tables.read("efficiency")
    macs = rows.drop_duplicates("model").set_index("model")["macs"] if len(rows) else pd.Series(dtype=float)
    return Finding(float(macs["A"] / macs["D"])) if {"A", "D"} <= set(macs.index) else None


def _better_tasks(tables: Tables) -> Finding | None:
    """Return for how many findings igcl is better than image-text pretraining, from 1 % of the labels."""
    rows = tables.find("differences", mode="linear", fraction=0.01, metric="auroc", against="image-text")
    rows = rows[~rows["label"].isin((MEAN, "No Finding"))] if len(rows) else rows
    return Finding(float((rows["value"] > 0).sum()), n_patients=rows["n_patients"].iloc[0]) if len(rows) else None


def _few_labels(**level: float) -> Measure:
    where = {"mode": "linear", "metric": "auroc", "label": MEAN, "against": "image-text", "initialisation": "igcl"}
    return _row("differences", **where, **level)


def _lesions(fraction: float) -> Measure:
    where = {"encoder": "lecl-1", "against": "moco", "task": "lesion_location", "label": MEAN, "metric": "auroc"}
    return _row("differences", aggregator="abmil", fraction=fraction, **where)


def _of_model(model: str, task: str, metric: str, label: str = "") -> Measure:
    return _row("differences", model=model, task=task, embedding="own", label=label, metric=metric, against="A")


_NEURAL, _POSTER = "arXiv 2508.09715, abstract", "MICCAI 2023 poster"
_TABLE, _IGCL, _CLEAR = (
    "README of the code, retrieval table",
    "arXiv 2405.09594, abstract",
    "arXiv 2411.16803, abstract",
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "neural", "pruned radiographs are read better than whole ones", "AUC 0.88 to 0.95, above baselines",
        _NEURAL, "AUROC at 2.3 % of the patches less that of all (fused graphs)",
        _of_pneumonia(input="fused", kept_percent=2.3, against="whole"),
    ),
    Claim(
        "neural", "attention keeps patches that tell more than others", "implied; no figure", _NEURAL,
        "AUROC at 2.3 % of the patches less that of random ones (patches alone)",
        _of_pneumonia(input="image", kept_percent=2.3, against="random"),
    ),
    Claim(
        "neural", "the data shrink by 93.4 to 97.7 %", "93.4 to 97.7 %", _NEURAL,
        "bytes saved at 2.3 % of the patches against a lossless image", _bytes_saved, bound=PUBLISHED_REDUCTION[0],
    ),
    Claim(
        "prunecxr", "65 % of the weights can go without a significant loss", "0.65", _POSTER,
        "first sparsity with a significant change of mean average precision", _first_loss, bound=0.65,
    ),
    Claim(
        "prunecxr", "rare diseases are forgotten first", "r = 0.64 (NIH), 0.82 (MIMIC)", _POSTER + ", Fig. 3",
        "correlation of the first 20 % drop with log frequency", _correlated("first_drop", "log_frequency"),
    ),
    Claim(
        "prunecxr", "rare diseases lose most in the end", "r = 0.80 (NIH), 0.76 (MIMIC)", _POSTER + ", Fig. 3",
        "correlation of the change at 95 % with log frequency", _correlated("final_change", "log_frequency"),
    ),
    Claim(
        "prunecxr", "diseases of unlike frequency are forgotten unlike", "r = 0.71 (NIH), 0.59 (MIMIC)",
        _POSTER + ", Fig. 4", "correlation of the distance of curves with that of log frequencies",
        _correlated("fcd", "frequency_difference"),
    ),
    Claim(
        "prunecxr", "diseases that occur together are forgotten together", "r = -0.43 (NIH), -0.28 (MIMIC)",
        _POSTER + ", Fig. 4", "correlation of the distance of curves with the fourth root of the overlap",
        _correlated("fcd", "iou_root"), side="below",
    ),
    Claim(
        "prunecxr", "images with many diseases are exemplars", "ratio 3.24 at four or more", _POSTER + ", Fig. 5",
        "share of exemplars over share of others, four or more diseases", _exemplars("diseases", "4+"), bound=1.0,
    ),
    Claim(
        "prunecxr", "images of rare diseases are exemplars", "ratio 7.2 (hernia)", _POSTER + ", Fig. 5",
        "share of exemplars over share of others, hernia", _exemplars("class", "Hernia"), bound=1.0,
    ),
    Claim(
        "prunecxr", "radiologists agree less with the labels of exemplars", "0.55 against 0.575", _POSTER + ", Fig. 6",
        "difference of the share of full agreement", _nothing, side="below", needs_patients=True,
    ),
    Claim(
        "patchib", "local alignment finds more reports", "R@1 24.16 % against 23.69 %", _TABLE,
        "R@1 of B less that of A, image to text", _of_model("B", "retrieval i2t", "recall@1"),
    ),
    Claim(
        "patchib", "a learnt mask finds more reports", "R@1 26.10 % against 23.69 %", _TABLE,
        "R@1 of C less that of A, image to text", _of_model("C", "retrieval i2t", "recall@1"),
    ),
    Claim(
        "patchib", "the best fixed number of patches finds more reports", "R@1 24.98 % against 23.69 %", _TABLE,
        "R@1 of D less that of A, image to text", _of_model("D", "retrieval i2t", "recall@1"),
    ),
    Claim(
        "patchib", "masked embeddings tell findings better", "AUC 0.819 against 0.768", _TABLE,
        "mean AUROC of a probe of C less that of A", _of_model("C", "linear probe", "auroc", MEAN),
    ),
    Claim(
        "patchib", "selecting patches (D) is faster than reading all (A)", "92.2 against 82.4 images/s",
        "README of the code, efficiency table", "multiplications of an image, A over D", _cheaper,
        bound=1.0,
    ),
    Claim(
        "igcl", "graphs teach more than texts: 1 % of the labels", "higher; no figure at hand", _IGCL,
        "mean AUROC of igcl less that of image-text, linear, 1 %", _few_labels(fraction=0.01),
    ),
    Claim(
        "igcl", "graphs teach more than texts: few shots", "higher; no figure at hand", _IGCL,
        "mean AUROC of igcl less that of image-text, linear, 5 shots", _few_labels(shots=5.0),
    ),
    Claim(
        "igcl", "it is best in four of five tasks", "4 of 5", "README of the code",
        "findings for which igcl is above image-text, linear, 1 %", _better_tasks, bound=3.5,
    ),
    Claim(
        "igcl", "it reads like radiologists", "comparable", _IGCL, "distance to their operating points", _nothing,
        needs_patients=True,
    ),
    Claim(
        "clear", "lesions shown in pretraining help to tell where lesions are", "higher; no figure at hand", _CLEAR,
        "mean AUROC of LeCL-1 less that of MoCo, all labels", _lesions(1.0),
    ),
    Claim(
        "clear", "they help more where labels are few", "higher; no figure at hand", _CLEAR,
        "mean AUROC of LeCL-1 less that of MoCo, 10 % of the labels", _lesions(0.1),
    ),
)  # fmt: skip
"""All of them, system by system."""
