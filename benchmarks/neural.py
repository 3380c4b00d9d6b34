"""Pruning, graphs, attention and intervals against one-by-one code with networkx and scikit-learn."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx
import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.timing import Comparison
from cxrflow.metrics import auroc, over_resamples, resample_weights
from cxrflow.neural.graphs import GRID_EDGES, image_hubs
from cxrflow.neural.pruning import kept_counts, patch_order
from cxrflow.neural.report_graphs import ReportGraphs, read_text_graphs
from cxrflow.neural.settings import (
    PATCHES,
    AttentionSettings,
    DataSettings,
    GraphSettings,
    TextSettings,
    VlmSettings,
)

PERCENTILES = (1.0, 2.3, 3.0, 5.0, 6.6, 10.0, 25.0, 50.0)
RADIOGRAPHS, STUDIES, EXPORTED, PATIENTS, RESAMPLES = 2000, 200, 64, 1000, 200


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with TemporaryDirectory() as folder:
        yield [_pruning(), _graphs(Path(folder)), _export(), _bootstrap()]


def _pruning() -> Comparison:
    """All shares of all radiographs: prefixes of one ranking, and a threshold per radiograph and share."""
    scores = np.random.default_rng(0).dirichlet(np.ones(PATCHES), RADIOGRAPHS)

    def ours() -> list[np.ndarray]:
        order = patch_order(scores)
        return [order[:, :count] for count in kept_counts(PERCENTILES, "percentile")]

    def reference() -> list[list[np.ndarray]]:
        return [
            [np.flatnonzero(image > np.percentile(image, 100 - share)) for image in scores] for share in PERCENTILES
        ]

    for kept, expected in zip(ours(), reference(), strict=True):
        assert all(set(a) == set(b) for a, b in zip(kept.tolist(), map(np.ndarray.tolist, expected), strict=True))
    return Comparison(f"{len(PERCENTILES)} shares of {RADIOGRAPHS:,} radiographs", ours, reference, goal=5)


def _graphs(folder: Path) -> Comparison:
    """Graphs of every study and share: arrays, with report graphs read from their file, and a loop with networkx.

    The loop is the released code's, except that it keeps the right patches: a threshold per radiograph and share, a
    graph of kept patches, a clique of the entities of each sentence, betweenness computed twice for each maximum, an
    edge between both maxima.
    """
    scores = np.random.default_rng(0).dirichlet(np.ones(PATCHES), STUDIES).astype(np.float32)
    sentences = [_sentences(study) for study in range(STUDIES)]
    ids = [f"{study:04d}" for study in range(STUDIES)]
    lines = [_line(study, found) for study, found in zip(ids, sentences, strict=True)]
    (folder / "reference.jsonl").write_text("\n".join(lines), encoding="utf-8")
    kept = kept_counts(PERCENTILES, "percentile")

    def ours() -> tuple[np.ndarray, np.ndarray, ReportGraphs]:
        order = patch_order(scores)
        reports = read_text_graphs({"reference": folder / "reference.jsonl"}, ids, GraphSettings())
        return order, image_hubs(order, kept), reports["reference"]

    def reference() -> list[networkx.Graph]:
        return [
            _networkx_fusion(image, found, share)
            for image, found in zip(scores, sentences, strict=True)
            for share in PERCENTILES
        ]

    _assert_same_graphs(*ours(), reference())
    name = f"graphs of {STUDIES} studies at {len(PERCENTILES)} shares"
    return Comparison(name, ours, reference, goal=20, repeats=3)


def _sentences(study: int) -> list[list[str]]:
    """Return the entities of each sentence of a made-up report: as many as the reports of Open-I have, about 19."""
    random = np.random.default_rng([1, study])
    return [[f"entity {word}" for word in random.choice(200, random.integers(1, 6), replace=False)] for _ in range(6)]


def _line(study: str, sentences: list[list[str]]) -> str:
    """Return the same graph in the RadGraph schema."""
    names = sorted({name for sentence in sentences for name in sentence})
    pairs = {pair for sentence in sentences for pair in combinations(sorted(sentence), 2)}
    key = {name: str(place) for place, name in enumerate(names)}
    entities = {
        key[name]: {"tokens": name, "label": "OBS-DP", "start_ix": place, "end_ix": place, "relations": []}
        for place, name in enumerate(names)
    }
    for first, second in sorted(pairs):
        entities[key[first]]["relations"].append(["modify", key[second]])  # type: ignore[attr-defined]
    return json.dumps({"study_id": study, "entities": entities})


def _networkx_fusion(scores: np.ndarray, sentences: list[list[str]], share: float) -> networkx.Graph:
    kept = np.flatnonzero(scores > np.percentile(scores, 100 - share)).tolist()
    image: networkx.Graph = networkx.Graph()
    image.add_nodes_from(kept)
    image.add_edges_from((a, b) for a, b in GRID_EDGES.tolist() if a in image and b in image)
    report: networkx.Graph = networkx.Graph()
    report.add_nodes_from(sorted({name for sentence in sentences for name in sentence}))
    for sentence in sentences:
        report.add_edges_from(combinations(sentence, 2))
    fused = networkx.compose(image, report)
    fused.add_edge(_most_central(image), _most_central(report))
    return fused


def _most_central(graph: networkx.Graph) -> object:
    return max(networkx.betweenness_centrality(graph), key=networkx.betweenness_centrality(graph).get)


def _assert_same_graphs(
    order: np.ndarray, hubs: np.ndarray, reports: ReportGraphs, fused: list[networkx.Graph]
) -> None:
    """Both have the same patches and relations, and as central hubs (ties are settled in other ways)."""
    for place, graph in enumerate(fused):
        study, share = divmod(place, len(PERCENTILES))
        patches = [node for node in graph if isinstance(node, int)]
        assert set(patches) == set(order[study, : kept_counts(PERCENTILES, "percentile")[share]].tolist())
        assert len(graph) - len(patches) == np.diff(reports.node_offsets)[study]
        assert sum(not ({a, b} & set(patches)) for a, b in graph.edges) == np.diff(reports.edge_offsets)[study]
        central = networkx.betweenness_centrality(graph.subgraph(patches))
        assert abs(central[int(order[study, hubs[study, share]])] - max(central.values())) < 1e-6


def _export() -> Comparison:
    """Attention of each text: batches that are encoded once, and the whole model for each radiograph and text."""
    import torch

    from cxrflow.neural.attention import attend, encode_images
    from cxrflow.neural.vlm import VisionLanguageModel

    torch.manual_seed(0)
    data, settings, texts = DataSettings(), VlmSettings(), len(TextSettings().settings)
    model = VisionLanguageModel(settings, data.image_size, len(data.labels), settings.decoder.vocabulary).eval()
    images = torch.rand(EXPORTED, 1, data.image_size, data.image_size)
    tokens = torch.randint(3, settings.decoder.vocabulary, (texts, EXPORTED, settings.decoder.max_text_length))
    every = torch.ones_like(tokens[0], dtype=torch.bool)

    def ours() -> np.ndarray:
        found = []
        for part in torch.arange(EXPORTED).split(AttentionSettings().batch_size):
            patches = encode_images(model, images[part])
            found.append(np.stack([attend(model, patches, text[part], every[part]) for text in tokens]))
        return np.concatenate(found, axis=1)

    def reference() -> np.ndarray:
        ones = [slice(place, place + 1) for place in range(EXPORTED)]
        return np.stack([np.concatenate([alone(text, one) for one in ones]) for text in tokens])

    def alone(text: torch.Tensor, one: slice) -> np.ndarray:
        return attend(model, encode_images(model, images[one]), text[one], every[one])

    np.testing.assert_allclose(ours(), reference(), atol=1e-5)
    return Comparison(f"attention of {EXPORTED} radiographs, {texts} texts", ours, reference, goal=1.5, repeats=3)


def _bootstrap() -> Comparison:
    """The AUC over resamples of patients: one sort and a matrix of weights, and scikit-learn on each resample."""
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(PATIENTS), 2)
    truth = random.integers(0, 2, len(patients))
    score = random.normal(truth, 2)
    rows = [np.flatnonzero(patients == patient) for patient in range(PATIENTS)]

    def ours() -> np.ndarray:
        return over_resamples(auroc, truth, score, resample_weights(patients, RESAMPLES, 0))

    def reference() -> list[float]:
        draws = np.random.default_rng(0).integers(PATIENTS, size=(RESAMPLES, PATIENTS))
        chosen = [np.concatenate([rows[patient] for patient in draw]) for draw in draws]
        return [roc_auc_score(truth[choice], score[choice]) for choice in chosen]

    return Comparison(f"AUC over {RESAMPLES} resamples of {PATIENTS:,} patients", ours, reference, goal=5)
