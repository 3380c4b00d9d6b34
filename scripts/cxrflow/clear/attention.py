"""Where aggregators look: the attention on the slices of test patients, and which of these were marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.pictures import spoken


@dataclass(frozen=True)
class Shown:
    """One bag: its slices in order (image_id, key: whether a lesion is marked, boxes, height, width), and the attention
    (n,) of each by encoder, the mean over seeds."""

    bag: str
    slices: pd.DataFrame
    attention: dict[str, NDArray[np.float64]]


def read_attention(files: Sequence[Path | str], task: str) -> pd.DataFrame:
    """Return encoder, bag, image_id, attention (the mean over seeds) and aggregator: of a task, by the first aggregator
    that attends."""
    rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    rows = rows[rows["task"] == task]
    rows = rows[rows["aggregator"] == rows["aggregator"].iloc[0]]
    keys = ["encoder", "bag", "image_id", "aggregator"]
    return rows.groupby(keys, sort=False)["attention"].mean().reset_index()


def key_attention(attention: pd.DataFrame, key: pd.Series) -> pd.DataFrame:
    """Return by encoder and bag: the attention on slices with a marked lesion, and their share of the slices.

    `key` says of each image, by id, whether one is marked there. Bags without such slices, and without others,
    are left out: nothing can be missed there.
    """
    rows = attention.assign(key=attention["image_id"].map(key).astype(float))
    rows["on_key"] = rows["attention"] * rows["key"]
    found = rows.groupby(["encoder", "bag"], sort=False).agg(on_key=("on_key", "sum"), share=("key", "mean"))
    return found[(found["share"] > 0) & (found["share"] < 1)].reset_index()


def shown_bags(attention: pd.DataFrame, slices: pd.DataFrame, encoder: str, count: int) -> list[Shown]:
    """Return bags at equal steps from where `encoder` attends to key slices most, for their share, to the least.

    Where no bag has both kinds of slices, they stand at equal steps through all bags.
    """
    slices = slices.set_index("image_id", drop=False).assign(key=lambda rows: rows["boxes"].notna())
    found = key_attention(attention[attention["encoder"] == encoder], slices["key"])
    ranked = found.assign(gain=found["on_key"] / found["share"]).sort_values(["gain", "bag"], ascending=[False, True])
    bags = ranked["bag"].tolist() or attention["bag"].drop_duplicates().tolist()
    number = min(count, len(bags))
    chosen = [bags[int((step + 0.5) / number * len(bags))] for step in range(number)]
    return [_shown(bag, attention[attention["bag"] == bag], slices) for bag in chosen]


def attention_note(attention: pd.DataFrame, slices: pd.DataFrame, encoders: Sequence[str], task: str) -> str:
    """Return what the attention is of, and how much of it is on slices with a marked lesion, by encoder."""
    found = key_attention(attention, slices["boxes"].notna().set_axis(slices["image_id"]))
    shares = found.groupby("encoder")[["on_key", "share"]].mean()
    told = [f"{name} {100 * shares['on_key'][name]:.0f} %" for name in encoders if name in shares.index]
    aggregator = spoken(str(attention["aggregator"].iloc[0]))
    about = f"Task {spoken(task)}, {aggregator}, test patients, mean over folds and seeds."
    if not told:
        return about
    return (
        f"{about} Attention on slices with a marked lesion, which are {100 * shares['share'].iloc[0]:.0f} %: "
        f"{', '.join(told)}."
    )


def _shown(bag: str, attention: pd.DataFrame, slices: pd.DataFrame) -> Shown:
    weights = {str(encoder): rows.set_index("image_id")["attention"] for encoder, rows in attention.groupby("encoder")}
    images = next(iter(weights.values())).index
    return Shown(bag, slices.loc[images], {encoder: own.loc[images].to_numpy() for encoder, own in weights.items()})
