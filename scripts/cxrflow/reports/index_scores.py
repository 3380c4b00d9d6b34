"""Extracted findings, sides and sites against people: the human index of the real Open-I reports.

The lexicon and the rules were tuned on reports with even numbers only; odd numbers are unseen. Both are scored, so
that over-fitting shows.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.openi import OpenIReport, installed_archive, read_openi
from cxrflow.cohort.openi_index import FINDINGS, SIDES, SITES, indexed_findings, is_indexed
from cxrflow.cohort.sections import clean_text, join_sentences
from cxrflow.files import write_twins
from cxrflow.metrics import resampled_sums
from cxrflow.reports.extract import stream
from cxrflow.reports.scores import confusion, scored
from cxrflow.reports.settings import ExtractSettings

# The averages and the places run over diseases that published chest label sets name (granuloma as a lesion of the lung)
# and that the index names in a dozen reports of each half at least; the rarest are consolidation (16 and 14) and
# pneumothorax (13 and 14). Everything else that the index can name has a row of kind `other`, outside the averages:
# too rare (mass, fibrosis), more a sign than a disease (pleural thickening, a wide mediastinum), devices.
SCORED = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fracture", "granuloma", "hernia",
    "nodule", "opacity", "pneumonia", "pneumothorax",
)  # fmt: skip
OTHERS = tuple(finding for finding in FINDINGS if finding not in SCORED)
HALVES = ("even", "odd")
VALUES = {"side": tuple(dict.fromkeys(SIDES.values())), "site": tuple(dict.fromkeys(SITES.values()))}
COLUMNS = [
    "kind", "name", "ids", "precision", "recall", "f1", "f1_low", "f1_high", "n", "n_patients", "recall_if_found",
    "n_found",
]  # fmt: skip
Flags = NDArray[np.bool_]


class Placed(Protocol):
    """A finding with a side and a site, of the index or of the extraction."""

    @property
    def finding(self) -> str: ...
    @property
    def side(self) -> str | None: ...
    @property
    def site(self) -> str | None: ...


class Stated(NamedTuple):
    """What is stated of each report: (reports, SCORED), (reports, OTHERS), (reports, SCORED, sides or sites)."""

    finding: Flags
    other: Flags
    side: Flags
    site: Flags


def write_index_scores(
    target: Path, settings: ExtractSettings, resamples: int, seed: int, workers: int = 1, archive: Path | None = None
) -> None:
    """Write index_scores.csv and its parquet twin."""
    write_twins(target, score_index(settings, resamples, seed, workers, archive))


def score_index(
    settings: ExtractSettings, resamples: int, seed: int, workers: int = 1, archive: Path | None = None
) -> pd.DataFrame:
    """Read the Open-I reports of `archive` (the installed one if None) by the rules and compare with their index.

    Raises UserError where the archive is missing or unreadable. Columns as in `score_statements`.
    """
    reports = [report for report in read_openi(archive or installed_archive()) if is_indexed(report.index)]
    said = present_mentions(reports, settings, workers)
    tables = []
    for remainder, ids in enumerate(HALVES):
        half = [report for report in reports if int(report.uid) % 2 == remainder]
        true = [indexed_findings(report.index) for report in half]
        scores = score_statements(true, [said[report.uid] for report in half], resamples, seed)
        tables.append(scores.assign(ids=ids))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def present_mentions(
    reports: Sequence[OpenIReport], settings: ExtractSettings, workers: int = 1
) -> dict[str, list[Placed]]:
    """Return the present mentions of each report (by its number); it is the rules that are measured here."""
    rules = settings.model_copy(update={"extractor": "rules", "model": None})
    texts = pd.DataFrame({"study_id": [report.uid for report in reports], "text": [text_of(each) for each in reports]})
    return {
        read.study_id: [mention for mention in read.findings if mention.status == "present"]
        for read in stream(texts, rules, workers)
    }


def text_of(report: OpenIReport) -> str:
    """Return findings and impression, cleaned as for every cohort."""
    return join_sentences([clean_text(report.findings), clean_text(report.impression)])


def score_statements(
    true: Sequence[Iterable[Placed]], said: Sequence[Iterable[Placed]], resamples: int, seed: int
) -> pd.DataFrame:
    """Compare what the index states of each report with what was extracted; a report is a patient.

    Rows of kind `finding` and `other` count (report, finding); rows of kind `side` and `site` count (report, finding of
    SCORED, place), where the index or the extraction states one; micro and macro of each kind come last. Columns: kind,
    name, precision, recall, f1, f1_low, f1_high (95 % interval), n (statements of the index), n_patients;
    `recall_if_found` is the recall among the n_found statements about findings that were extracted.
    """
    index, extracted = stated(true), stated(said)
    found = index.finding & extracted.finding
    rows: list[dict[str, Any]] = []
    for kind, names in (("finding", SCORED), *VALUES.items(), ("other", OTHERS)):
        flags = confusion(getattr(index, kind), getattr(extracted, kind))
        counts = flags.sum(axis=1) if kind in VALUES else flags
        drawn = resampled_sums(counts, np.arange(len(counts)), resamples, seed)
        beside = list(_if_found(flags[found])) if kind in VALUES else [{}] * (len(names) + 2)
        scores = zip(scored(names, counts.sum(axis=0, dtype=float), drawn), beside, strict=True)
        rows += [{"kind": kind, "name": name, **row, **more} for (name, row), more in scores]
    columns = [column for column in COLUMNS if column != "ids"]
    return pd.DataFrame(rows).assign(n_patients=len(true)).reindex(columns=columns).astype({"n_found": "Int64"})


def stated(reports: Sequence[Iterable[Placed]]) -> Stated:
    """Bring statements to arrays; a finding on the left and on the right is bilateral, as it is in one index path."""
    findings = (*SCORED, *OTHERS)
    numbers = {finding: number for number, finding in enumerate(findings)}
    found = np.zeros((len(reports), len(findings)), dtype=bool)
    places = {kind: np.zeros((*found.shape, len(values)), dtype=bool) for kind, values in VALUES.items()}
    for at, report in enumerate(reports):
        for row in report:
            number = numbers[row.finding]
            found[at, number] = True
            for kind, values in VALUES.items():
                if (value := getattr(row, kind)) in values:  # the index calls a device's kind its site
                    places[kind][at, number, values.index(value)] = True
    side, site = (places[kind][:, : len(SCORED)] for kind in VALUES)
    return Stated(found[:, : len(SCORED)], found[:, len(SCORED) :], _joined(side), site)


def _joined(sides: Flags) -> Flags:
    left, right, bilateral = (sides[..., VALUES["side"].index(side)] for side in ("left", "right", "bilateral"))
    both = bilateral | left & right
    named = {"left": left & ~both, "right": right & ~both, "bilateral": both}
    return np.stack([named[side] for side in VALUES["side"]], axis=-1)


def _if_found(flags: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    """Yield recall_if_found for each value, micro and macro; `flags` (found statements, values, 3)."""
    hits, misses = flags[..., 0].sum(axis=0), flags[..., 2].sum(axis=0)
    shares = [_share(hit, hit + miss) for hit, miss in zip(hits, misses, strict=True)]
    total = int((hits + misses).sum())
    for share, count in zip(shares, hits + misses, strict=True):
        yield {"recall_if_found": share, "n_found": int(count)}
    yield {"recall_if_found": _share(hits.sum(), total), "n_found": total}
    yield {"recall_if_found": float(pd.Series(shares, dtype=float).mean()), "n_found": total}


def _share(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")
