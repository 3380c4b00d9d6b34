"""Gathers what is known of every encoder of a cohort, and writes the leaderboard, differences and the figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import read_labels
from cxrflow.files import write_twins
from cxrflow.measured import Common
from cxrflow.summary.feature_sources import Features, Name, PatchibExport, embedded, of_asset, of_clear, of_patchib
from cxrflow.summary.leaderboard import Costs, Reported, Training, differences, leaderboard, stored_bytes
from cxrflow.summary.leaderboard_figure import plot_leaderboard
from cxrflow.summary.probing import Examples, probed
from cxrflow.summary.settings import SummarySettings

_PATCHIB_TASKS = ("retrieval i2t", "retrieval t2i", "zero-shot")
_IGCL_TASKS = {"image to graph": "retrieval image to graph", "graph to image": "retrieval graph to image"}


@dataclass(frozen=True)
class Compared:
    """All that is compared on one cohort: features, costs, hours of training, and what systems measured themselves."""

    features: Sequence[Features]
    costs: Sequence[Costs]
    training: Sequence[Training]
    reported: Sequence[Reported]

    @classmethod
    def of(cls, cohort: str, named: Mapping[str, Any], settings: SummarySettings) -> "Compared":
        """Return what a rule's parameters name (`summary_compared` in rules/summary_files.smk)."""
        return cls(
            list(_features(cohort, named, settings)),
            list(_costs(cohort, named)),
            [Training(Name(*name), [Path(file) for file in files]) for *name, files in named["training"]],
            list(_reported(cohort, named)),
        )


def compare(
    cohort: CohortFiles,
    compared: Compared,
    about: Common,
    images: str,
    table: Path,
    pairs: Path,
    figures: Sequence[Path],
    settings: SummarySettings,
) -> None:
    """Write both tables and the figure of a cohort; `images` is what figures call its images."""
    labels = list(settings.labels or read_labels(cohort.manifest))
    samples = cohort.samples(labels, settings.uncertain)
    examples = Examples.of(samples, labels, [source.images for source in compared.features], settings)
    measures = probed(compared.features, examples)
    common = {**about, "n_patients": len(examples.drawn)}
    costs = [row for source in compared.costs for row in source.rows()]
    costs += stored_bytes(compared.features, len(samples) / samples["study_id"].nunique())
    costs += [training.row() for training in compared.training]
    board = leaderboard(measures, [reported.table() for reported in compared.reported], costs, common)
    write_twins(table, board)
    write_twins(pairs, differences(measures, common))
    plot_leaderboard(board, figures, images)


def _features(cohort: str, named: Mapping[str, Any], settings: SummarySettings) -> Iterator[Features]:
    for system, trained_on, features, _ in named["embedded"]:
        yield from embedded(system, trained_on, Path(features))
    yield from (of_asset(cohort, Path(file)) for file in named["assets"])
    if named["patchib"]:
        exports = [
            PatchibExport(model, seeds[: settings.seeds], Path(file))
            for model, seeds, file in named["patchib"]["exports"]
        ]
        yield from of_patchib(cohort, exports, Path(named["patchib"]["master"]))
    if named["clear"]:
        for _, group in groupby(named["clear"]["features"], key=lambda source: source[0]):
            for encoder, features, index in list(group)[: settings.seeds]:
                yield of_clear(cohort, encoder, Path(features), Path(index))


def _costs(cohort: str, named: Mapping[str, Any]) -> Iterator[Costs]:
    yield from (Costs(system, trained_on, Path(cost)) for system, trained_on, _, cost in named["embedded"])
    if named["patchib"]:
        yield Costs("patchib", cohort, Path(named["patchib"]["efficiency"]), "model")
    if named["clear"]:
        yield Costs("clear", cohort, Path(named["clear"]["compute"]))


def _reported(cohort: str, named: Mapping[str, Any]) -> Iterator[Reported]:
    if named["patchib"]:
        table = pd.read_parquet(named["patchib"]["metrics"])
        rows = table[table["task"].isin(_PATCHIB_TASKS) & table["embedding"].isin(("own", "full"))]
        for (model, embedding, task), own in rows.groupby(["model", "embedding", "task"], sort=False):
            encoder = model if embedding == "own" else f"{model}, {embedding}"
            yield Reported(Name("patchib", cohort, str(encoder)), str(task), own)
    if named["igcl"]:
        table = pd.read_parquet(named["igcl"]["retrieval"])
        for direction, own in table.groupby("direction", sort=False):
            yield Reported(Name("igcl", cohort, named["igcl"]["encoder"]), _IGCL_TASKS[str(direction)], own)
