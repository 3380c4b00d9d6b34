"""Published predictions of pruned classifiers, to the canonical table and back.

A published file is a pickled table with one column of probabilities per class, and mostly `label`, the positive classes
joined by '|'. It names no images: its rows are those of the label file of the test split.
"""

import logging
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cxrflow.cohort.adapters.long_tail_labels import read_label_files
from cxrflow.cohort.long_tail import CLASSES, LongTail, label_file
from cxrflow.errors import UserError
from cxrflow.files import write_bytes, write_table
from cxrflow.forgetting.predictions import DENSE, read_classes, read_seed, write_predictions
from cxrflow.prunecxr.pickled_tables import read_pickled_table
from cxrflow.prunecxr.published_grid import NETWORK, file_name, find_grid

logger = logging.getLogger(__name__)

LABEL = "label"
_PROTOCOL = 4  # the newest that every Python since 3.4 reads
_OVERHEAD = 1_000_000  # bytes of a pickle beside its cells
_ORDER_HINT = "predictions and label files must be of one release, and their rows in the published order."


@dataclass(frozen=True)
class PublishedSource:
    """Where published predictions are, and the label files that say which images they are of."""

    folder: Path
    """Of the pickles."""
    label_folder: Path
    """Of the label files of all three parts."""
    labels: LongTail
    network: str = "resnet50"
    """As the files are named."""


def read_test_labels(source: PublishedSource) -> pd.DataFrame:
    """Return image_id and the classes (1.0 or 0.0) of the published test split, in the order of its label file."""
    published = read_label_files(source.label_folder, source.labels)
    test = published[published["official_split"] == "test"]
    return test[["image_id", *CLASSES[source.labels]]].reset_index(drop=True)


def read_published(path: Path, truth: pd.DataFrame) -> NDArray[np.float32]:
    """Return probabilities (N, C) of one published file, in the order of `truth` (image_id and C columns of classes).

    Raises UserError where the file is no table of probabilities of these classes with as many rows as `truth`, or where
    its labels are not those of `truth`.
    """
    classes = _classes(truth)
    table = read_pickled_table(path, size_limit(len(truth), classes))
    if set(table) - {LABEL} != set(classes):
        missing = sorted(set(classes) - set(table))
        unknown = [name for name in table if name not in (*classes, LABEL)]
        raise UserError(f"{path} lacks the classes {missing} and has the columns {unknown} beside.", _ORDER_HINT)
    if len(table) != len(truth):
        raise UserError(f"{path} has {len(table)} rows, the label file of the test split {len(truth)}.", _ORDER_HINT)
    _require_probabilities(table[classes], path)
    if LABEL in table:
        _require_same_labels(table[LABEL], truth, classes, path)
    return table[classes].to_numpy(dtype=np.float32)


def size_limit(rows: int, classes: Sequence[str]) -> int:
    """Return the bytes that a pickled table can need: float64 cells and labels, in twice the bytes of old protocols."""
    return _OVERHEAD + 2 * rows * (8 * len(classes) + len("|".join(classes)) + 16)


def import_predictions(
    output: Path, source: PublishedSource, split: Path, seed: int, model: str, levels: Sequence[float] | None = None
) -> None:
    """Write one seed's published predictions as the canonical table of the test images of `split`.

    `model` names how the weights were chosen, such as l1 or random; `levels` restricts the sparsities. Rows of other
    images are left out. Raises UserError where the grid of files is not whole (see `find_grid`), or where the seed or a
    test image was not published.
    """
    grid = find_grid(source.folder, source.labels, levels, source.network)
    truth = read_test_labels(source)
    if seed not in grid.seeds:
        raise UserError(f"{source.folder} has no predictions of seed {seed}.", f"seeds there: {list(grid.seeds)}.")
    kept = _of_test_split(truth["image_id"], split)
    image_ids = truth.loc[kept, "image_id"].to_list()
    with write_predictions(output, _classes(truth)) as writer:
        for level in grid.levels:
            probabilities = read_published(grid.files[seed, level], truth)[kept]
            writer.append(model if level else DENSE, seed, level, image_ids, probabilities)


def _of_test_split(published: pd.Series, split: Path) -> NDArray[np.bool_]:
    parts = pd.read_parquet(split, columns=["image_id", "split"])
    wanted = parts.loc[parts["split"] == "test", "image_id"]
    lacking, kept = int((~wanted.isin(published)).sum()), published.isin(wanted).to_numpy()
    if lacking:
        raise UserError(
            f"{lacking} of the cohort's {len(wanted)} test images are not in the published test split.",
            "give the cohort the published label files, so that it is split as they say.",
        )
    logger.info("%d of %d published rows are of no test image of this cohort: left out", (~kept).sum(), len(kept))
    return kept


def export_predictions(
    files: Sequence[Path], output: Path, labels: LongTail, manifest: Path, model: str, network: str = NETWORK
) -> None:
    """Write one seed's canonical predictions into the folder `output` as published files, and their label file.

    Rows are in the order of the canonical table; the label file of the test split, in the same order, says which images
    they are. The files can be read by pandas 1.3 and newer.
    """
    classes = read_classes(files[0])
    image_ids = pq.ParquetFile(files[0]).read_row_group(0, columns=["image_id"]).column(0).to_pylist()
    read = read_seed(files, model, image_ids)
    images = pd.read_parquet(manifest).set_index("image_id").loc[image_ids]
    write_table(label_file(output, labels, "test"), _label_table(images, labels, classes))
    joined = _joined(images, classes)
    for level, probabilities in zip(read.levels, read.probabilities, strict=True):
        table = pd.DataFrame(probabilities, columns=pd.Index(classes, dtype=object))
        table[LABEL] = pd.Series(joined, dtype=object)  # older pandas knows strings as objects alone
        content = pickle.dumps(table, protocol=_PROTOCOL)
        write_bytes(output / file_name(labels, network, read.seed, level), content)


def _classes(truth: pd.DataFrame) -> list[str]:
    return [str(name) for name in truth if name != "image_id"]


def _label_table(images: pd.DataFrame, labels: LongTail, classes: Sequence[str]) -> pd.DataFrame:
    first = images.index.rename("id") if labels == "nih-cxr-lt" else pd.Index(images["path"], name="path")
    return (images[list(classes)] == 1.0).astype(int).set_axis(first).reset_index()


def _joined(truth: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    positive = truth[list(classes)].to_numpy() == 1.0
    names = np.array(classes, dtype=object)
    return ["|".join(names[row]) for row in positive]


def _require_probabilities(table: pd.DataFrame, path: Path) -> None:
    words = [name for name in table if table[name].dtype.kind not in "fiu"]
    if words:
        raise UserError(f"The columns {words} of {path} are no numbers.", _ORDER_HINT)
    bad = int((~table.ge(0) | ~table.le(1)).to_numpy().sum())
    if bad:
        raise UserError(
            f"{bad} of {table.size} values in {path} are no probabilities.",
            "sigmoid outputs lie between 0 and 1: was the file cut, or does it hold logits?",
        )


def _require_same_labels(written: pd.Series, truth: pd.DataFrame, classes: Sequence[str], path: Path) -> None:
    """Compare the positive classes of every row; files may join them in any order."""
    expected = [sorted(joined.split("|")) for joined in _joined(truth, classes)]
    different = sum(sorted(str(joined).split("|")) != names for joined, names in zip(written, expected, strict=True))
    if different:
        raise UserError(f"{different} of {len(written)} rows of {path} contradict the label file.", _ORDER_HINT)
