"""How much smaller a pruned radiograph really is: patches, pixels and bytes (the released code counts none)."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.metrics import interval, resampled_sums
from cxrflow.neural.codecs import codec_parts, encoded
from cxrflow.neural.graphs import GRID_EDGES, Graphs
from cxrflow.neural.report_graphs import ReportGraphs
from cxrflow.neural.settings import GRID_SIDE, PATCHES, EvaluationSettings

FEATURE_BYTES = 2  # float16
EDGE_BYTES = 2  # two places among the kept patches
HUB_BYTES = 1
REFERENCE_QUALITY = 95

Floats = NDArray[np.float64]


class Measure(NamedTuple):
    """One quantity of every test radiograph: how it was made small, what is measured, and the values (n,)."""

    encoding: str
    setting: float
    text: str
    kept_percent: float
    quantity: str
    metric: str
    values: Floats


def compression_table(
    graphs: Graphs,
    features: Path,
    store: ImageStore,
    codecs: Mapping[str, Path],
    cohort: str,
    simulated: bool,
    settings: EvaluationSettings,
    threads: int = 1,
) -> pd.DataFrame:
    """Return what each encoding leaves of the test split's radiographs, one row per encoding, share and quantity.

    `encoding` patches, with the share as `setting`: `patches` kept of 144 and their `pixels` in the source image (the
    same share, as all patches have one size), and the bytes of five records: `pixel_bytes` (patch ids and grey values
    at the model's size), `feature_bytes` (ids and float16 features), `report_bytes` (report graph), `bytes` (what the
    graph network reads: features and report graph), `asset_bytes` (pixels, features, both graphs). Those with a report
    have one row per text setting. Other encodings, at 100 %: `source` (the cohort's own file), `raw` (8 bit at the
    source's height and width), and at the model's size `png` (lossless), `jpeg` and `side` (codecs; `setting` is
    quality or side).

    Each number of bytes (metric `bytes`) is also given as a ratio (metric kept_fraction): `_vs_source`, `_vs_raw`,
    `_vs_png` and `_vs_jpeg_95`; above 1 the record is the larger. `bytes_vs_jpeg` and `report_bytes_vs_jpeg` are older
    names of their ratios to the source file. `value` is the mean with its 95 % interval over patients; q1, median and
    q3 are over radiographs. `codecs` names the files of bytes that codecs took.
    """
    rows = np.flatnonzero(graphs.split == "test")
    if not len(rows):
        raise UserError("The test split has no radiograph.", "Compare cohort/split.parquet with the store's index.")
    width = int(np.load(features, mmap_mode="r", allow_pickle=False).shape[2])
    files = file_sizes(store, graphs.image_id[rows].tolist(), threads)
    references = {**files, **codec_sizes(codecs, len(rows))}
    measures = [*patch_measures(graphs, rows, width, store.images.shape[1] // GRID_SIDE)]
    measures += [
        Measure(*_encoding(name), "none", 100.0, "bytes", "bytes", sizes) for name, sizes in references.items()
    ]
    measures = [other for measure in measures for other in (measure, *_ratios(measure, files))]
    about = {"cohort": cohort, "simulated": simulated}
    return summarised(measures, graphs.patient_id[rows], about, settings)


def patch_measures(graphs: Graphs, rows: NDArray[np.int64], width: int, step: int) -> Iterator[Measure]:
    """Yield what pruning keeps of the radiographs `rows`: shares of patches and pixels, and bytes of each record.

    `width` is how many features a patch has, `step` its side in pixels at the model's size.
    """
    same = np.ones(len(rows))
    for share, kept in zip(graphs.percentiles.tolist(), graphs.kept.tolist(), strict=True):
        share_row = Measure("patches", share, "none", share, "patches", "kept_fraction", same * kept / PATCHES)
        pixel, feature = kept * (step**2 + 1), kept * (FEATURE_BYTES * width + 1)
        yield from (share_row, share_row._replace(quantity="pixels"))
        yield share_row._replace(quantity="pixel_bytes", metric="bytes", values=same * pixel)
        yield share_row._replace(quantity="feature_bytes", metric="bytes", values=same * feature)
        for text, reports in graphs.reports.items():
            report = report_bytes(reports)[rows].astype(np.float64)
            records = {"report_bytes": report, "bytes": feature + report}
            if f"attention_{text}" in graphs.orders:
                edges = EDGE_BYTES * touching_counts(graphs.orders[f"attention_{text}"][rows], kept)
                records["asset_bytes"] = pixel + feature - kept + edges + HUB_BYTES + report  # patch ids once
            for name, sizes in records.items():
                yield share_row._replace(text=text, quantity=name, metric="bytes", values=sizes)


def report_bytes(reports: ReportGraphs) -> NDArray[np.int64]:
    """Return the bytes of each radiograph's report graph (N,): 4 per entity, 8 per relation, 4 for its hub.

    An entity is a number in a table of words that the whole cohort shares; the table is not counted.
    """
    return 4 * np.diff(reports.node_offsets) + 8 * np.diff(reports.edge_offsets) + 4


def touching_counts(order: NDArray[np.uint8], kept: int) -> NDArray[np.int64]:
    """Return (n,): how many pairs of neighbours are among the first `kept` patches of orders (n, 144)."""
    inside = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(inside, order[:, :kept].astype(np.int64), True, axis=1)
    return inside[:, GRID_EDGES].all(axis=2).sum(axis=1)


def file_sizes(store: ImageStore, image_ids: list[str], threads: int) -> dict[str, Floats]:
    """Return the bytes (n,) of each image as its source file, as the source's 8 bit pixels, and at the model's size."""
    places = store.rows(image_ids)
    source = store.index.set_index("row").loc[places]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        sizes = np.array(list(pool.map(lambda place: _png_and_jpeg(np.asarray(store.images[place])), places)))
    return {
        "source": source["source_bytes"].to_numpy(dtype=np.float64),
        "raw": source["height"].to_numpy(dtype=np.float64) * source["width"].to_numpy(dtype=np.float64),
        f"png_{store.images.shape[1]}": sizes[:, 0].astype(np.float64),
        f"jpeg_{REFERENCE_QUALITY}": sizes[:, 1].astype(np.float64),
    }


def codec_sizes(codecs: Mapping[str, Path], count: int) -> dict[str, Floats]:
    """Return the bytes (n,) that each codec took; raise UserError where a file is of other radiographs."""
    sizes = {codec: np.load(file, allow_pickle=False).astype(np.float64) for codec, file in codecs.items()}
    for codec, found in sizes.items():
        if len(found) != count:
            raise UserError(
                f"{codecs[codec]} has the bytes of {len(found)} radiographs, the test split has {count}.",
                "They come from different runs: delete results/<cohort>/neural/codecs and run again.",
            )
    return sizes


def summarised(
    measures: list[Measure], patients: NDArray, about: Mapping[str, object], settings: EvaluationSettings
) -> pd.DataFrame:
    """Return one row per measure: mean with its 95 % interval over resampled patients, median and quartiles.

    All measures share the resamples: one product of matrices for the whole table.
    """
    values = np.stack([measure.values for measure in measures], axis=1)
    drawn = resampled_sums(np.column_stack([values, np.ones(len(values))]), patients, settings.resamples, settings.seed)
    means, quartiles = drawn[:, :-1] / drawn[:, -1:], np.percentile(values, [25, 50, 75], axis=0)
    count = len(np.unique(patients))
    rows = []
    for place, measure in enumerate(measures):
        mean = interval(float(values[:, place].mean()), means[:, place])._asdict()
        q1, median, q3 = quartiles[:, place].tolist()
        rows.append({**about, "n_patients": count, **measure._asdict(), **mean, "median": median, "q1": q1, "q3": q3})
    return pd.DataFrame(rows).drop(columns="values")


def _ratios(measure: Measure, files: Mapping[str, Floats]) -> Iterator[Measure]:
    """Yield a measure of bytes against each reference file."""
    if measure.metric != "bytes":
        return
    for name, sizes in files.items():
        against = "png" if name.startswith("png_") else name
        yield measure._replace(
            quantity=f"{measure.quantity}_vs_{against}", metric="kept_fraction", values=measure.values / sizes
        )
    if measure.encoding == "patches" and measure.quantity in ("bytes", "report_bytes"):
        yield measure._replace(
            quantity=f"{measure.quantity}_vs_jpeg", metric="kept_fraction", values=measure.values / files["source"]
        )


def _encoding(name: str) -> tuple[str, float]:
    """Return encoding and setting, e.g. ("jpeg", 10) of jpeg_10 and ("source", NaN) of what has no setting."""
    if name in ("source", "raw"):
        return name, np.nan
    if name.startswith("png_"):
        return "png", float(name.removeprefix("png_"))
    kind, setting = codec_parts(name)
    return kind, float(setting)


def _png_and_jpeg(image: NDArray[np.uint8]) -> tuple[int, int]:
    return len(encoded(image, "PNG")), len(encoded(image, "JPEG", quality=REFERENCE_QUALITY))
