"""A page of radiographs, the graph of each one's report, and the graphs that its vector is nearest to."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_text
from cxrflow.igcl.retrieval_measures import Embeddings
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.reports.graph_drawing import sentence_svg
from cxrflow.reports.report_page import drawn_sentences, entity_legend, relation_legend, style
from cxrflow.retrieval import ranks

_STYLE = (
    "main{max-width:1680px}.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:6px 22px;"
    "margin:20px 0;padding-top:16px;border-top:1px solid #ddd}.pair img{width:100%;max-width:300px;display:block}"
    ".own,.other{zoom:.8;border-left:4px solid #ccc;padding-left:10px}.own{border-color:#029e73}"
    ".pair svg{min-width:0!important}h3{font-size:14px;margin:10px 0 4px}"
)


@dataclass(frozen=True)
class Nearest:
    """One radiograph: its place among the test pairs, the rank of its own graph, and the nearest texts' graphs: the
    place of each, the cosine, and whether it is its own."""

    place: int
    rank: float
    graphs: list[tuple[int, float, bool]]


def nearest_graphs(found: Embeddings, settings: EvaluationSettings) -> tuple[list[Nearest], int]:
    """Return radiographs with their nearest graphs, and the number of different texts.

    They stand at equal steps from the best to the worst rank of their own graph, both ends left out.
    """
    texts, first = np.unique(found.groups, return_index=True)
    rank = ranks(found.images, found.graphs[first], found.groups, texts)
    count = min(settings.gallery, len(rank))
    steps = ((np.arange(count) + 0.5) / count * len(rank)).astype(int)
    chosen = np.argsort(rank, kind="stable")[steps]
    similarity = found.images[chosen] @ found.graphs[first].T
    best = np.argsort(-similarity, axis=1, kind="stable")[:, : settings.nearest]
    shown = []
    for row, place in enumerate(chosen.tolist()):
        near = [
            (int(first[text]), float(similarity[row, text]), bool(texts[text] == found.groups[place]))
            for text in best[row]
        ]
        shown.append(Nearest(place, float(rank[place]), near))
    return shown, len(texts)


def show_gallery(
    output: Path, embeddings: Path, graphs: Path, cohort: CohortFiles, simulated: bool, settings: EvaluationSettings
) -> None:
    """Write the page; no patient, study or image is named on it, and no script runs on it."""
    found = Embeddings.read(embeddings, cohort)
    shown, texts = nearest_graphs(found, settings)
    studies = found.samples["study_id"]
    places = {place for one in shown for place in (one.place, *(graph for graph, _, _ in one.graphs))}
    drawn = read_graphs(graphs, {str(studies[place]) for place in places})
    store = cohort.store()
    rows = store.rows(found.samples["image_id"])
    parts = [
        _pair(store.images[rows[one.place]], one, lambda place: drawn[str(studies[place])], texts) for one in shown
    ]
    note = gallery_note(len(rows), found.samples["patient_id"].nunique(), texts, simulated)
    write_text(output, _page(note, parts))


def read_graphs(file: Path, studies: set[str]) -> dict[str, Mapping[str, Any]]:
    """Return the graphs of some studies; only lines that may be theirs are parsed."""
    found: dict[str, Mapping[str, Any]] = {}
    names = [json.dumps(study, ensure_ascii=False) for study in studies]
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if any(name in line for name in names):
                graph = json.loads(line)
                if str(graph["study_id"]) in studies:
                    found[str(graph["study_id"])] = graph
    return found


def gallery_note(images: int, patients: int, texts: int, simulated: bool) -> str:
    """Return whose radiographs these are, how they were chosen, and what stands where."""
    said = (
        f"Test split, {images:,} radiographs of {patients:,} patients, {texts:,} different reports. Radiographs at "
        "equal steps from those that find the graph of their own report best to those that find it worst. Green: their "
        "own report; grey: others. One pretraining (seed); single examples, so no intervals."
    )
    return f"{said} Simulated radiographs." if simulated else said


def _pair(image: NDArray[np.uint8], one: Nearest, graph_of: Any, texts: int) -> str:
    """Return one row: the radiograph above the graph of its own report, then a column per nearest graph."""
    title = f"graph of its report: rank {one.rank:g} of {texts}"
    own = f'<h3>{title}</h3><div class="own">{_graph(graph_of(one.place))}</div>'
    near = "".join(
        f'<div><h3>{number}. nearest: cosine {cosine:.2f}</h3><div class="{"own" if same else "other"}">'
        f"{_graph(graph_of(place))}</div></div>"
        for number, (place, cosine, same) in enumerate(one.graphs, start=1)
    )
    picture = f'<img alt="radiograph" src="{_picture(image)}">'
    return f'<section class="pair"><div>{picture}{own}</div>{near}</section>'


def _graph(graph: Mapping[str, Any]) -> str:
    tokens, entities = graph["text"].split(), graph["entities"]
    return "".join(_drawings(tokens, entities))


def _drawings(tokens: Sequence[str], entities: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Yield the sentences that have an entity; of the others the encoder sees nothing."""
    starts = [entity["start_ix"] for entity in entities.values()]
    for start, end in drawn_sentences(tokens, entities):
        if any(start <= one < end for one in starts):
            yield f'<div class="row">{sentence_svg(tokens, entities, start, end)}</div>'


def _picture(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _page(note: str, parts: Sequence[str]) -> str:
    title = "Radiographs and the report graphs nearest to them"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><style>{style()}{_STYLE}</style></head>
<body><main><h1>{title}</h1><p class="note">{escape(note)}</p>
{entity_legend()}{relation_legend()}{"".join(parts)}</main></body></html>
"""
