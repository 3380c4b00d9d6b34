"""One bad input: what is bad, where, and how it has to end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import read_cohort
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.store_building import build_store
from cxrflow.cohort.tables import write_manifest, write_reports

End = Literal["row", "error"]


@dataclass(frozen=True)
class Case:
    """A bad input: `damage` does it to a sound tree; `told` is the reason of its row, or a part of the error."""

    bad: str
    place: str
    end: End
    told: str
    damage: Callable[[Any], object]


@dataclass(frozen=True)
class Area:
    """The cases of one kind of input: `build` writes a sound tree into a folder, `read` returns the reasons of rows."""

    title: str
    build: Callable[[Path], Any]
    read: Callable[[Any], list[str]]
    cases: tuple[Case, ...]


def row(bad: str, place: str, told: str, damage: Callable[[Any], object]) -> Case:
    """A case that ends in a row of the quarantine."""
    return Case(bad, place, "row", told, damage)


def error(bad: str, place: str, told: str, damage: Callable[[Any], object]) -> Case:
    """A case that ends the run with a hint."""
    return Case(bad, place, "error", told, damage)


def with_grey(root: Path) -> None:
    """Give every image of a tree more than one grey value, at its size."""
    for path in [file for file in root.rglob("*") if file.suffix in (".jpg", ".png")]:
        with Image.open(path) as image:
            width, height = image.size
        Image.fromarray(np.arange(width * height, dtype=np.uint8).reshape(height, width)).save(path)


def whole_way(layout: str, source: Source, folder: Path, **settings: object) -> list[str]:
    """Read a tree, write its canonical tables and its image store as the rules do; return the reasons of all rows."""
    refused = Quarantine("catalogue")
    cohort = read_cohort(layout, source, ReadingSettings.model_validate(settings), refused)
    write_manifest(folder / "manifest.parquet", cohort.manifest, cohort.labels)
    write_reports(folder / "reports.parquet", cohort.reports)
    build_store(cohort.manifest, source.root, 8, folder / "images.npy", 1, refused)
    return [reason for _, _, _, reason in refused.rows]
