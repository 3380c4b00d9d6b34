"""The canonical tables that every room after the adapters reads: fixed columns and types, a version in the metadata."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxrflow.errors import UserError
from cxrflow.files import atomic_path

VERSION = "1"
VIEWS = ("PA", "AP", "FRONTAL", "LATERAL", "LL", "AXIAL", "UNKNOWN")
SPLITS = ("train", "validate", "test")
LABEL_VALUES = (1.0, 0.0, -1.0)
SEXES = ("M", "F")

_BOX = pa.struct(
    [("label", pa.string()), ("x", pa.float32()), ("y", pa.float32()), ("w", pa.float32()), ("h", pa.float32())]
)
_IDS = [("image_id", pa.string()), ("patient_id", pa.string()), ("study_id", pa.string())]
MANIFEST = pa.schema(
    [
        *_IDS,
        ("path", pa.string()),
        ("view", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("sex", pa.string()),
        ("age", pa.float32()),
        ("official_split", pa.string()),
        ("boxes", pa.list_(_BOX)),
    ]
)
REPORTS = pa.schema(
    [(name, pa.string()) for name in ("study_id", "patient_id", "findings", "impression", "other", "text")]
)
SPLIT = pa.schema([*_IDS, ("split", pa.string())])


def write_manifest(path: Path, manifest: pd.DataFrame, labels: list[str]) -> None:
    """Validate and write the manifest: one row per image, one float32 column per label after the fixed ones."""
    _require(
        manifest["image_id"].is_unique, "an image_id occurs twice in the manifest", "image ids name one image each."
    )
    _require(manifest["view"].isin(VIEWS).all(), "a view is not canonical", f"views are {', '.join(VIEWS)}.")
    owners = manifest.drop_duplicates(["study_id", "patient_id"])["study_id"]
    _require(owners.is_unique, "a study belongs to two patients", "see the rows of that study in the raw tables.")
    sexes = manifest["sex"].isin(SEXES) | manifest["sex"].isna()
    _require(sexes.all(), "a sex is not canonical", f"sexes are {', '.join(SEXES)} or empty.")
    _require(not (manifest["age"].astype(float) < 0).any(), "an age is negative", "ages are years, or empty.")
    known = manifest[labels].isin(LABEL_VALUES) | manifest[labels].isna()
    _require(bool(known.all(axis=None)), "a label value is not 1, 0, -1 or empty", "see the label table's row.")
    schema = MANIFEST
    for label in labels:
        schema = schema.append(pa.field(label, pa.float32()))
    _write(path, manifest, schema, {"labels": json.dumps(labels)})


def write_reports(path: Path, reports: pd.DataFrame) -> None:
    """Validate and write the reports: one row per study."""
    _require(reports["study_id"].is_unique, "a study has two reports", "study ids name one report each.")
    _write(path, reports, REPORTS, {})


def write_split(path: Path, split: pd.DataFrame) -> None:
    """Validate and write the split: one row per image."""
    _require(split["image_id"].is_unique, "an image is in the split twice", "each image belongs to one split.")
    _require(split["split"].isin(SPLITS).all(), "a split name is not canonical", f"splits are {', '.join(SPLITS)}.")
    _write(path, split, SPLIT, {})


def read_labels(manifest: Path) -> list[str]:
    """Return the names of the manifest's label columns, in their order."""
    return list(json.loads(pq.read_schema(manifest).metadata[b"labels"]))


def _write(path: Path, table: pd.DataFrame, schema: pa.Schema, metadata: dict[str, str]) -> None:
    arrow = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False)
    arrow = arrow.replace_schema_metadata({"version": VERSION, **metadata})
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary)


def _require(holds: bool, what: str, hint: str) -> None:
    if not holds:
        raise UserError(f"The table is not canonical: {what}.", hint)
