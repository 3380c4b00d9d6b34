"""Writes the compressed asset: a few radiographs at a time, so that memory does not grow with the cohort."""

import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.files import atomic_path
from cxrflow.neural.asset import VERSION
from cxrflow.neural.graphs import GRID_EDGES, Graphs
from cxrflow.neural.report_graphs import ReportGraphs, read_report_graphs
from cxrflow.neural.settings import GRID_SIDE, PATCHES

logger = logging.getLogger(__name__)

CHUNK = 512  # radiographs in memory at once


@dataclass(frozen=True)
class AssetSources:
    """Beside graphs and images: the text setting's report graphs, exported features, and tables of whose they are."""

    report_graphs: Path
    features: Sequence[Path]
    images: Sequence[Path]


class AssetLabel(NamedTuple):
    """What an asset says of itself; `text` is the text setting whose attention and report graphs it holds."""

    cohort: str
    simulated: bool
    text: str
    kept_percent: float


class Streamed(NamedTuple):
    """An array that is made part by part along its first axis."""

    shape: tuple[int, ...]
    dtype: type[np.generic]
    parts: Iterator[NDArray]


def write_asset(graphs: Graphs, store: ImageStore, sources: AssetSources, label: AssetLabel, output: Path) -> None:
    """Write the asset of all radiographs of the graphs, in their order.

    Raises UserError where the graphs lack the text setting or the share, or where the files are of different runs.
    """
    patches, hubs = kept_patches(graphs, label)
    edges, offsets = touching_patches(patches)
    members: dict[str, NDArray | Streamed] = {
        "version": np.array(VERSION),
        **{name: np.array(value) for name, value in label._asdict().items()},
        "grid_side": np.array(GRID_SIDE),
        "image_size": np.array(store.images.shape[1]),
        **{name: getattr(graphs, name) for name in ("image_id", "patient_id", "split")},
        "patches": patches,
        "visual_edges": edges,
        "visual_offsets": offsets,
        "visual_hubs": hubs,
        **report_arrays(sources.report_graphs, graphs.image_id.tolist(), graphs.reports[label.text]),
        "pixels": kept_pixels(store, graphs.image_id.tolist(), patches),
        "features": kept_features(sources, graphs.image_id.tolist(), patches),
    }
    write_npz(output, members)
    logger.info("%d radiographs, %d patches each, %.1f MB", *patches.shape, output.stat().st_size / 1e6)


def kept_patches(graphs: Graphs, label: AssetLabel) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the kept patches (N, K), those with most attention first, and the place of each hub (N,)."""
    key, shares = f"attention_{label.text}", graphs.percentiles.tolist()
    if key not in graphs.orders or label.text not in graphs.reports:
        raise UserError(
            f"The graphs were not made with the attention of the text setting {label.text!r} (they have "
            f"{', '.join(sorted(graphs.orders))}).",
            "Add `attention` to neural.pruning.selectors and the setting to neural.texts.settings.",
        )
    if label.kept_percent not in shares:
        raise UserError(
            f"The graphs keep {shares} per cent of the patches, not {label.kept_percent:g}.",
            "Add the share to neural.pruning.percentiles.",
        )
    share = shares.index(label.kept_percent)
    return graphs.orders[key][:, : int(graphs.kept[share])], graphs.hubs[key][:, share]


def touching_patches(patches: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the edges among kept patches (N, K): places of both (E, 2), image by image, and offsets (N + 1,)."""
    count, kept = patches.shape
    found, sizes = [], [np.zeros(1, dtype=np.int64)]
    for start in range(0, count, CHUNK):
        part = patches[start : start + CHUNK]
        place = np.full((len(part), PATCHES), -1, dtype=np.int16)
        np.put_along_axis(place, part.astype(np.int64), np.arange(kept, dtype=np.int16)[None], axis=1)
        ends = place[:, GRID_EDGES]
        inside = (ends >= 0).all(axis=2)
        found.append(ends[inside].astype(np.uint8))
        sizes.append(inside.sum(axis=1))
    return np.concatenate([np.zeros((0, 2), np.uint8), *found]), np.cumsum(np.concatenate(sizes), dtype=np.int64)


def report_arrays(path: Path, image_ids: Sequence[str], reports: ReportGraphs) -> dict[str, NDArray]:
    """Return the report graphs with their words: one row per different entity, sorted, and the nodes as rows of it.

    Words come from JSON lines in the RadGraph schema (study_id is the image's), edges and hubs from `reports`.
    """
    numbers: dict[tuple[str, str], int] = {}
    nodes: dict[str, NDArray[np.int32]] = {}
    for image, graph in read_report_graphs(path):
        nodes[image] = np.array([numbers.setdefault(node, len(numbers)) for node in graph.nodes], dtype=np.int32)
    sizes = [len(nodes[image]) if image in nodes else -1 for image in image_ids]
    if not np.array_equal(sizes, np.diff(reports.node_offsets)):
        raise _other_run("report graphs")
    kinds = sorted(numbers)
    row = np.empty(len(kinds), dtype=np.int32)
    row[[numbers[kind] for kind in kinds]] = np.arange(len(kinds), dtype=np.int32)
    return {
        "entities": np.array([tokens for tokens, _ in kinds], dtype=str),
        "entity_labels": np.array([label for _, label in kinds], dtype=str),
        "report_nodes": row[np.concatenate([np.zeros(0, np.int32), *(nodes[image] for image in image_ids)])],
        "report_node_offsets": reports.node_offsets,
        "report_edges": reports.edges,
        "report_edge_offsets": reports.edge_offsets,
        "report_hubs": reports.hubs,
    }


def kept_pixels(store: ImageStore, image_ids: Sequence[str], patches: NDArray[np.uint8]) -> Streamed:
    """Return (N, K, p, p): the pixels of kept patches (N, K), from images of (12 p) x (12 p) pixels."""
    rows, step = store.rows(list(image_ids)), store.images.shape[1] // GRID_SIDE

    def part(start: int, stop: int) -> NDArray[np.uint8]:
        images = np.stack([store.images[row] for row in rows[start:stop]])
        tiles = images.reshape(-1, GRID_SIDE, step, GRID_SIDE, step).swapaxes(2, 3).reshape(-1, PATCHES, step, step)
        return tiles[np.arange(len(tiles))[:, None], patches[start:stop]]

    return Streamed((*patches.shape, step, step), np.uint8, _parts(part, len(rows)))


def kept_features(sources: AssetSources, image_ids: Sequence[str], patches: NDArray[np.uint8]) -> Streamed:
    """Return (N, K, d): the exported features of kept patches (N, K), wherever the images are in the files."""
    files = [np.load(file, mmap_mode="r", allow_pickle=False) for file in sources.features]
    tables = [pd.read_parquet(table, columns=["image_id"])["image_id"] for table in sources.images]
    if [len(file) for file in files] != [len(table) for table in tables]:
        raise _other_run("exported features")
    which = np.repeat(np.arange(len(files)), [len(table) for table in tables])
    within = np.concatenate([np.arange(len(table)) for table in tables])
    places = pd.Index(pd.concat(tables)).get_indexer(pd.Index(image_ids))
    if (places < 0).any():
        raise _other_run("exported images")
    which, within = which[places], within[places]

    def part(start: int, stop: int) -> NDArray[np.float16]:
        kept = np.empty((stop - start, patches.shape[1], files[0].shape[2]), dtype=np.float16)
        for number in np.unique(which[start:stop]):
            here = np.flatnonzero(which[start:stop] == number)
            kept[here] = files[number][within[start:stop][here, None], patches[start:stop][here]]
        return kept

    return Streamed((*patches.shape, files[0].shape[2]), np.float16, _parts(part, len(image_ids)))


def write_npz(path: Path, members: Mapping[str, NDArray | Streamed]) -> None:
    """Write arrays as one npz, whole or not at all; equal content gives equal bytes.

    Streamed arrays are stored as they are, so that they can be memory-mapped: deflating them saved 6 % of the pixels
    and 8 to 30 % of the features, at about 25 MB/s. The others are deflated.
    """
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in members.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_STORED if isinstance(array, Streamed) else zipfile.ZIP_DEFLATED
            whole = array if isinstance(array, Streamed) else _whole(array)
            header = {"descr": np.dtype(whole.dtype).str, "fortran_order": False, "shape": whole.shape}
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for part in whole.parts:
                    stream.write(np.ascontiguousarray(part, dtype=whole.dtype).data)


def _whole(array: NDArray) -> Streamed:
    return Streamed(array.shape, array.dtype, iter([array]))  # type: ignore[arg-type]


def _parts(part: Callable[[int, int], NDArray], count: int) -> Iterator[NDArray]:
    return (part(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def _other_run(what: str) -> UserError:
    return UserError(
        f"Graphs and {what} are of different radiographs.",
        "They come from different runs: delete results/<cohort>/neural/graphs.npz and run again.",
    )
