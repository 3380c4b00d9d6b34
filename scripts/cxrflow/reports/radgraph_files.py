"""Which annotation of RadGraph's published files belongs to which study of a cohort.

Files of RadGraph 1.0.0 (train, dev, test, MIMIC-CXR_graphs, CheXpert_graphs) name the study in their keys, behind
varying prefixes. Those of CheXpert Plus (RadGraph-XL) are lists, one section of a report per item, without a name: they
are found by their text. Files are read once from end to end, and kept are places in them, not annotations.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cxrflow.errors import UserError
from cxrflow.reports.json_items import Item, json_items

logger = logging.getLogger(__name__)

_MIMIC = re.compile(r"(?:^|/)s?(\d{8})(?:\.txt)?$")
_CHEXPERT = re.compile(r"(patient\d+)[^A-Za-z0-9]+(study\d+)")
_NO_LETTER = re.compile(r"[^A-Za-z]+")
WHOLE = "study"  # the annotation of a whole report, found by its key


class Place(NamedTuple):
    """Where an annotation is: a file, and the first byte and number of bytes in it."""

    file: Path
    start: int
    length: int


def locate_annotations(files: Sequence[Path], reports: pd.DataFrame) -> dict[str, tuple[Place, ...]]:
    """Return the places of the annotations of each study that has any.

    `reports` has study_id, text and, where known, findings and impression. A study has one place where a key names it
    (the first one, in the order of `files`); else those of its findings and impression; else that of its text. Raises
    UserError where a file is no JSON, or where nothing in the files belongs to the cohort.
    """
    cohort = _Cohort(reports)
    found: dict[str, dict[str, Place]] = {}
    items = 0
    for file in files:
        for item in json_items(file):
            items += 1
            for study, part in cohort.annotated_by(item):
                found.setdefault(study, {}).setdefault(part, Place(file, item.start, item.length))
    if not found:
        raise UserError(
            f"None of the {items} annotations in {', '.join(str(file) for file in files)} belongs to the cohort.",
            "Expected keys such as p10/p10000032/s50414267.txt or train/patient00001/study1, or a list of annotations "
            "whose texts are sections of the cohort's reports.",
        )
    logger.info("%d annotations in the files; %d of %d studies have one", items, len(found), len(reports))
    return {study: _chosen(parts) for study, parts in found.items()}


def study_key(name: str) -> str | None:
    """Return what identifies a study in keys of RadGraph and in study ids of cohorts, None where nothing does.

    'files/p10/p10000032/s50414267.txt' gives '50414267', 'train/patient00001/study2/..' gives 'patient00001/study2'.
    """
    if match := _CHEXPERT.search(name):
        return f"{match[1]}/{match[2]}"
    return match[1] if (match := _MIMIC.search(name)) else None


def unwrapped(value: Any) -> Any:
    """Return the annotation itself: items of CheXpert Plus hold it under the key '0'."""
    return value["0"] if isinstance(value, Mapping) and "0" in value and "text" not in value else value


class _Cohort:
    def __init__(self, reports: pd.DataFrame) -> None:
        self._reports = reports
        self._by_key = {key: str(study) for study in reports["study_id"] if (key := study_key(str(study)))}

    def annotated_by(self, item: Item) -> list[tuple[str, str]]:
        """Return (study, part of its report) that an item annotates: none for studies of other cohorts."""
        key = study_key(item.key) if item.key else None
        if key is not None:
            return [(self._by_key[key], WHOLE)] if key in self._by_key else []
        record = unwrapped(item.value)
        text = record.get("text") if isinstance(record, Mapping) else None
        return self._by_text.get(_letters(text), []) if isinstance(text, str) else []

    @cached_property
    def _by_text(self) -> dict[bytes, list[tuple[str, str]]]:
        table: dict[bytes, list[tuple[str, str]]] = {}
        for part in ("findings", "impression", "text"):
            if part in self._reports:
                for study, text in self._reports[["study_id", part]].dropna().itertuples(index=False):
                    table.setdefault(_letters(text), []).append((str(study), part))
        table.pop(_letters(""), None)
        return table


def _letters(text: str) -> bytes:
    """Return a digest of the letters of a text: tokenizers move blanks, and list numbers come and go."""
    return hashlib.blake2b(_NO_LETTER.sub("", text).lower().encode(), digest_size=16).digest()


def _chosen(parts: Mapping[str, Place]) -> tuple[Place, ...]:
    if WHOLE in parts:
        return (parts[WHOLE],)
    sections = tuple(parts[part] for part in ("findings", "impression") if part in parts)
    return sections or (parts["text"],)
