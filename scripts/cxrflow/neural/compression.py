"""How much smaller a pruned radiograph really is: patches, pixels and bytes (the released code counts none)."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.metrics import interval, resample_weights, weighted_mean
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.settings import PATCHES, EvaluationSettings

FEATURE_BYTES = 2  # float16


def compression_table(
    graphs: Graphs, features: Path, store: ImageStore, cohort: str, simulated: bool, settings: EvaluationSettings
) -> pd.DataFrame:
    """Return, for each share and quantity, what is kept as a fraction of the whole, over the test split's radiographs.

    patches: kept of 144; pixels: their area in the source image (equal, as all patches have one size); bytes_vs_jpeg
    and bytes_vs_png: the graph record (float16 patch features, patch ids, report entities and relations) beside the
    source file, and beside a lossless PNG at the size that the model reads; report_bytes_vs_jpeg: the report's part.
    Above 1 the record is larger than the file. `value` is the mean with its 95 % interval over patients.
    """
    rows = np.flatnonzero(graphs.split == "test")
    width = int(np.load(features, mmap_mode="r", allow_pickle=False).shape[2])
    report = report_bytes(graphs)[rows]
    places = store.rows(graphs.image_id[rows].tolist())
    jpeg = store.index.set_index("row")["source_bytes"].loc[places].to_numpy(dtype=np.float64)
    png = np.array([png_bytes(store.images[place]) for place in places], dtype=np.float64)
    weights = resample_weights(graphs.patient_id[rows], settings.resamples, settings.seed)
    common = {"cohort": cohort, "simulated": simulated, "n_patients": len(set(graphs.patient_id[rows].tolist()))}
    found = []
    for share, kept in zip(graphs.percentiles.tolist(), graphs.kept.tolist(), strict=True):
        record = kept * (FEATURE_BYTES * width + 1) + report
        ratios = {
            "patches": np.full(len(rows), kept / PATCHES),
            "pixels": np.full(len(rows), kept / PATCHES),
            "bytes_vs_jpeg": record / jpeg,
            "bytes_vs_png": record / png,
            "report_bytes_vs_jpeg": report / jpeg,
        }
        found += [{**common, "kept_percent": share, **_row(name, ratio, weights)} for name, ratio in ratios.items()]
    return pd.DataFrame(found)


def report_bytes(graphs: Graphs) -> NDArray[np.int64]:
    """Return the bytes of each radiograph's report graph (N,): 4 per entity, 8 per relation, 4 for its hub."""
    entities, relations = np.diff(graphs.reports.node_offsets), np.diff(graphs.reports.edge_offsets)
    return 4 * entities + 8 * relations + 4


def png_bytes(image: NDArray[np.uint8]) -> int:
    """Return the size of an image as optimised grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.tell()


def _row(quantity: str, ratio: NDArray[np.float64], weights: NDArray) -> dict[str, object]:
    mean = interval(float(ratio.mean()), weighted_mean(ratio, weights))
    return {"quantity": quantity, "metric": "kept_fraction", **mean._asdict(), "median": float(np.median(ratio))}
