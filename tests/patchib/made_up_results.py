"""Made-up tables, exports and stores for the figures, and the words that a figure is drawn with."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.store import ImageStore
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.figures import (
    EMBEDDINGS,
    PANELS,
)

COMMON = {"cohort": "c", "simulated": True, "n_patients": 12}


DISTRIBUTION = pd.DataFrame({"split": "validate", "label": ["images", "patients"], "count": [11, 9]})


def made_up_metrics() -> pd.DataFrame:
    """Return a table in which every model, embedding and panel has a value of its own."""
    has = [("A", "own", 1), *(("C", name, 2) for name in EMBEDDINGS)]
    rows = [
        {**COMMON, "n_seeds": seeds, "model": model, "embedding": name, "task": task, "label": label, "metric": metric}
        for model, name, seeds in has
        for task, label, metric in [*PANELS, ("retrieval i2t", "", "recall@1")]
    ]
    table = pd.DataFrame(rows)
    value = np.linspace(0.3, 0.9, len(table))
    return table.assign(value=value, low=value - 0.1, high=value + 0.1, chance=0.05)


def made_up_differences(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one in which the whole radiograph's embedding of C differs and nothing else does."""
    others = metrics[metrics["model"] != "A"].assign(against="A")
    return others.assign(p_holm=np.where(others["embedding"] == "full", 0.01, 0.2))


# model, share, radiographs per second, multiplications, bytes; a model's own share is first


EFFICIENCY = pd.DataFrame(
    [
        ("0", 1, 80, 50, 9e6),
        ("A", 1, 90, 50, 9e6),
        ("C", 0.5, 70, 55, 9e6),
        ("E", 0.5, 150, 30, 5e6),
        ("E", 1, 90, 50, 9e6),
        ("E", 0.5, 149, 30, 5e6),
        ("E", 0.25, 200, 20, 4e6),
    ],
    columns=["model", "keep_ratio", "images_per_s", "macs", "peak_bytes"],
).assign(batch=4, device="cpu")


def write_export(folder: Path, model: str, masks: bool, **read: np.ndarray) -> Exported:
    names = {"0/share/1": np.zeros(1)} if masks else {}
    np.savez(folder / f"{model}.npz", **names, **{f"0/{name}": values for name, values in read.items()})
    return Exported(model, 0, folder / f"{model}.npz")


def store_of(images: list[str]) -> ImageStore:
    index = pd.DataFrame({"image_id": images, "row": range(len(images)), "height": 8, "width": 8})
    return ImageStore(np.zeros((len(images), 8, 8), np.uint8), index)


def drawn_texts(monkeypatch: pytest.MonkeyPatch, module: str) -> list[str]:
    """Return a list that will hold all words of the figures that a module makes."""
    said: list[str] = []
    monkeypatch.setattr(
        f"cxrflow.patchib.{module}.save_figure",
        lambda figure, *_: said.extend(
            text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))
        ),
    )
    return said
