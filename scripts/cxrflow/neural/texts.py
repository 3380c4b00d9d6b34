"""Texts that guide attention and make report graphs: the radiologist's or the model's, whole or masked, by image."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxrflow.errors import UserError
from cxrflow.files import atomic_path, write_table
from cxrflow.neural.masking import hidden_findings, masked_graph, tidy

logger = logging.getLogger(__name__)

Report = tuple[str, dict[str, Any]]
"""A text and its graph in RadGraph's schema."""


@dataclass(frozen=True)
class TextFiles:
    """One text setting: a parquet of image_id and text, and JSON lines with the graph of each (study_id = image_id)."""

    texts: Path
    graphs: Path


@dataclass(frozen=True)
class ReadFiles:
    """What an extractor read in reports: their graphs (JSON lines) and the findings that they mention."""

    graphs: Path
    findings: Path


@dataclass(frozen=True)
class ReadReports:
    """Reports by key (a study, or an image where generated): text, graph as a JSON line, spans of what is to hide."""

    texts: Mapping[str, str]
    graphs: Mapping[str, str]
    mentions: Mapping[str, Sequence[tuple[int, int]]]

    @classmethod
    def load(cls, texts: Mapping[str, str], files: ReadFiles, hidden: frozenset[str]) -> "ReadReports":
        """Read the graphs of `texts` and the mentions of the findings in `hidden`; each text must have a graph."""
        graphs = _lines(files.graphs)
        missing = sorted(set(texts) - set(graphs))
        if missing:
            raise UserError(
                f"{len(missing)} of {len(texts)} reports have no graph in {files.graphs}.",
                "It was made from other reports or only in part: delete it and run again.",
            )
        return cls(texts, graphs, _spans(files.findings, hidden) if hidden else {})

    def whole(self, key: str) -> Report:
        """Return a report as it was read."""
        return self.texts[key], json.loads(self.graphs[key])

    def masked(self, key: str) -> Report:
        """Return a report without its mentions of the hidden findings.

        The text is that of the graph's tokens, spaced like writing: not a word is in it that the extractor, which
        found the mentions, has not read.
        """
        graph = masked_graph(json.loads(self.graphs[key]), self.mentions.get(key, ()))
        return tidy(graph["text"]), graph


def write_texts(
    samples: pd.DataFrame,
    outputs: Mapping[str, TextFiles],
    reference: ReadFiles,
    targets: Sequence[str],
    written: Sequence[Path] = (),
    generated: ReadFiles | None = None,
) -> None:
    """Write the text and the graph of every image of `samples` (image_id, study_id, text) in every text setting.

    `outputs` are by setting. `reference` is by study. `written` are the generated reports (image_id, text) of all
    splits and `generated` is what was read in them, by image; they may be left out where no setting is generated.
    `targets` are the labels whose findings the masked settings hide.
    """
    hidden = hidden_findings(targets) if any("masked" in name for name in outputs) else frozenset()
    images = samples["image_id"].tolist()
    studies = dict(zip(samples["study_id"], samples["text"].fillna(""), strict=True))
    for own, keys in ((False, samples["study_id"].tolist()), (True, images)):
        chosen = {name: files for name, files in outputs.items() if name.startswith("generated") == own}
        if chosen:
            texts, read = (_written(written, images), generated) if own else (studies, reference)
            if read is None:
                raise ValueError(f"{sorted(chosen)} need what was read in the generated reports")
            reports = ReadReports.load(texts, read, hidden)
            for name, files in chosen.items():
                report = reports.masked if "masked" in name else reports.whole
                _write(files, images, (report(key) for key in keys))
                logger.info("%s: texts and graphs of %d radiographs", name, len(images))


def texts_by_image(path: Path) -> dict[str, str]:
    """Return the text of each image."""
    table = pd.read_parquet(path, columns=["image_id", "text"])
    return dict(zip(table["image_id"], table["text"].fillna(""), strict=True))


def read_texts(files: TextFiles, images: Sequence[str]) -> list[str]:
    """Return the texts of `images`, in their order."""
    return list(_of_images(pd.read_parquet(files.texts), images, files.texts))


def _written(files: Sequence[Path], images: Sequence[str]) -> dict[str, str]:
    tables = [pd.read_parquet(file, columns=["image_id", "text"]) for file in files]
    if not tables:
        raise ValueError("a text setting is generated, and there are no generated reports")
    return dict(zip(images, _of_images(pd.concat(tables), images, files[0].parent), strict=True))


def _of_images(table: pd.DataFrame, images: Sequence[str], source: Path) -> "pd.Series[str]":
    texts = table.set_index("image_id")["text"].reindex(list(images))
    if texts.isna().any():
        raise UserError(
            f"{int(texts.isna().sum())} of {len(images)} radiographs have no text in {source}.",
            "It was made from another cohort or only in part: delete it and run again.",
        )
    return texts


def _write(files: TextFiles, images: Sequence[str], reports: Iterable[Report]) -> None:
    texts = []
    with atomic_path(files.graphs) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for image, (text, graph) in zip(images, reports, strict=True):
            lines.write(json.dumps({**graph, "study_id": image}, ensure_ascii=False) + "\n")
            texts.append(text)
    write_table(files.texts, pd.DataFrame({"image_id": images, "text": texts}))


def _lines(graphs: Path) -> dict[str, str]:
    with graphs.open(encoding="utf-8") as lines:
        return {json.loads(line)["study_id"]: line for line in lines if line.strip()}


def _spans(findings: Path, hidden: frozenset[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the token spans (end inclusive) of the hidden findings' mentions, by report."""
    table = pd.read_parquet(findings, columns=["study_id", "finding", "start", "end"])
    spans: dict[str, list[tuple[int, int]]] = {}
    table = table[table["finding"].isin(hidden)]
    for study, start, end in zip(table["study_id"], table["start"], table["end"], strict=True):
        spans.setdefault(str(study), []).append((int(start), int(end)))
    return spans
