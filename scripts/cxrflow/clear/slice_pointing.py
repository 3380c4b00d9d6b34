"""Does the slice with most attention show a lesion? The pointing game over the slices of test patients."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.metrics import interval, resample_weights, weighted_mean


def read_seeds(files: Sequence[Path | str], task: str) -> pd.DataFrame:
    """Return encoder, seed, bag, image_id, attention and more of a task, by the first aggregator that attends."""
    rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    rows = rows[rows["task"] == task]
    return rows[rows["aggregator"].isin(rows["aggregator"].iloc[:1])]


def slice_pointing(attention: pd.DataFrame, slices: pd.DataFrame, settings: MeasuringSettings) -> pd.DataFrame:
    """Return one row per encoder: how often its slice with most attention is one with a marked lesion.

    Columns: encoder, n_seeds, value, low, high, chance (a slice drawn at random), centre (the middle slice), n (bags),
    n_patients. `attention` is that of `read_seeds`; `slices` (image_id, patient_id, boxes) are in the order of the
    scan. Seeds are averaged; intervals are over resamples of patients.
    """
    hits = bag_hits(attention, slices)
    rows = []
    for encoder, own in hits.groupby("encoder", sort=False):
        bags = own.groupby(["bag", "patient_id"], sort=True)[["hit", "chance", "centre"]].mean().reset_index()
        weights = resample_weights(bags["patient_id"], settings.resamples, settings.seed)
        bounds = interval(float(bags["hit"].mean()), weighted_mean(bags["hit"], weights))
        about = {"encoder": encoder, "n_seeds": own["seed"].nunique(), **bounds._asdict()}
        beside = {name: float(bags[name].mean()) for name in ("chance", "centre")}
        rows.append({**about, **beside, "n": len(bags), "n_patients": bags["patient_id"].nunique()})
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = ["encoder", "n_seeds", "value", "low", "high", "chance", "centre", "n", "n_patients"]


def bag_hits(attention: pd.DataFrame, slices: pd.DataFrame) -> pd.DataFrame:
    """Return encoder, seed, bag, patient_id, hit, chance and centre, one row per bag with both kinds of slices.

    Of equal slices, and of the two in the middle of an even number, each counts in part. Bags in which no slice or
    every slice has a marked lesion are left out: there is nothing to find, or nothing to miss.
    """
    told = pd.DataFrame(
        {
            "image_id": slices["image_id"],
            "patient_id": slices["patient_id"],
            "key": slices["boxes"].notna().astype(float),
            "place": np.arange(len(slices)),
        }
    )
    rows = attention.merge(told, on="image_id", validate="many_to_one").sort_values("place", kind="stable")
    found = [
        {
            **dict(zip(("encoder", "seed", "bag"), names, strict=True)),
            "patient_id": own["patient_id"].iloc[0],
            "hit": _highest(own["attention"].to_numpy(), own["key"].to_numpy()),
            "chance": float(own["key"].mean()),
            "centre": _middle(own["key"].to_numpy()),
        }
        for names, own in rows.groupby(["encoder", "seed", "bag"], sort=False)
    ]
    table = pd.DataFrame(found, columns=["encoder", "seed", "bag", "patient_id", "hit", "chance", "centre"])
    return table[(table["chance"] > 0) & (table["chance"] < 1)].reset_index(drop=True)


def _highest(attention: NDArray[np.floating], key: NDArray[np.float64]) -> float:
    return float(key[attention == attention.max()].mean())


def _middle(key: NDArray[np.float64]) -> float:
    return float(key[(len(key) - 1) // 2 : len(key) // 2 + 1].mean())
