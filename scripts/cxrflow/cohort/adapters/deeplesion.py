"""DeepLesion (Yan et al., Journal of Medical Imaging 2018): CT slices; each row of its table is a box on a key slice.

Two rows may name the same key slice, and a lesion seen again in another study has a row there. The slices around a key
slice, as far as its Slice_range says, are context: nobody looked for lesions on them, so nothing is known of them.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.cohort.adapters.nih import ages
from cxrflow.cohort.adapters.raw import (
    LONGEST_SIDE,
    RawCohort,
    Source,
    box_column,
    boxes_by_image,
    read_table,
    refuse,
)
from cxrflow.cohort.decoding import dimensions
from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.layouts import DEEPLESION_IMAGES, DEEPLESION_PADDING, DEEPLESION_TABLE
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.unreadable import UnreadableImageError
from cxrflow.errors import UserError
from cxrflow.files import is_file

UNTYPED = "lesion"
"""Label of a box whose type is unknown (-1), as in all rows of the published training split."""
MOST_SLICES = 1000  # of one Slice_range: far more than any scan has
_SPLITS = {"1": "train", "2": "validate", "3": "test"}
_NAME = r"^((\d{6})_(\d{2,4})_(\d{2,4}))_(\d{3,6})\.png$"
_CORNERS = ("left", "top", "right", "bottom")
_INDICES = ("Patient_index", "Study_index", "Series_ID", "Key_slice_index")
_COLUMNS = [
    "File_name", *_INDICES, "Bounding_boxes", "Coarse_lesion_type", "Possibly_noisy", "Slice_range", "Image_size",
    "Patient_gender", "Patient_age", "Train_Val_Test",
]  # fmt: skip
_CARRIED = ["patient_id", "study_id", "sex", "age", "official_split", "height", "width"]


def read_deeplesion(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read DeepLesion: key slices with their boxes and types, and their context slices without any.

    On a key slice a type is present (1.0), or none of the annotated lesions has it (0.0); it is null where the type of
    one of its boxes is unknown or a row was refused. On context slices all types are null. Raises UserError where a
    patient is in two splits.
    """
    table = read_table(source.tables / DEEPLESION_TABLE, _COLUMNS)
    lesions = read_lesions(table, settings.noisy_lesions, refused)
    lesions = _of_the_files_size(lesions, source.root, refused)
    _require_disjoint(lesions)
    doubtful = set(table["File_name"].dropna()) & {row for _, row, _, _ in refused.rows}
    images = with_context(lesions, settings.context_slices)
    key = images["image_id"].isin(lesions["image_id"])
    images = images[key | ~images["image_id"].isin(doubtful)].reset_index(drop=True)
    images = pd.concat([images, type_labels(images["image_id"], lesions, doubtful)], axis="columns")
    images["boxes"] = box_column(images["image_id"], boxes_by_image(lesions))
    context = len(images) - lesions["image_id"].nunique()
    return RawCohort(images, LESION_TYPES, DEEPLESION_TABLE, len(table) + context)


def read_lesions(table: pd.DataFrame, noisy: bool, refused: Quarantine) -> pd.DataFrame:
    """Return a row per box that can be used; the others are refused under their File_name.

    Columns: image_id (File_name), series, slice, first and last (of the slices that go with it), patient_id, study_id,
    sex, age, official_split, height, width, label (a type or 'lesion'), x, y, w, h (pixels).
    """
    table = _with_ids(table, refused)
    table = _with_boxes(table, refused)
    table = _with_context_range(table, refused)
    kinds = dict(enumerate(LESION_TYPES, start=1)) | {-1: UNTYPED}
    table["label"] = pd.to_numeric(table["Coarse_lesion_type"], errors="coerce").map(kinds)
    table["official_split"] = table["Train_Val_Test"].map(_SPLITS)
    for column, reason in {
        "label": "the lesion's type is not 1 to 8 or -1",
        "official_split": "the split is not 1, 2 or 3",
    }.items():
        table = _refuse(table, table[column].isna(), reason, refused)
    table = _refuse(table, ~table["Possibly_noisy"].isin(["0", "1"]), "Possibly_noisy is neither 0 nor 1", refused)
    if not noisy:
        table = _refuse(table, table["Possibly_noisy"] == "1", "marked as possibly noisy by its authors", refused)
    sex = table["Patient_gender"].where(table["Patient_gender"].isin(["M", "F"]))
    years = ages(table["Patient_age"].str.removesuffix(".0"))
    columns = ["image_id", "series", "slice", "first", "last", *_CARRIED, "label", *"xywh"]
    return table.assign(sex=sex, age=years)[columns]


def with_context(lesions: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Return a row per slice, key slices and what goes with them, each once.

    Columns: image_id, path, view, and what is known of its series. At most `most` slices are taken on either side of a
    key slice; None: all of its range.
    """
    ranges = lesions.drop_duplicates(["series", "slice", "first", "last"])
    first, last, centre = (ranges[name].to_numpy() for name in ("first", "last", "slice"))
    if most is not None:
        first, last = np.maximum(first, centre - most), np.minimum(last, centre + most)
    counts = last - first + 1
    places = np.repeat(first - np.concatenate([[0], counts.cumsum()[:-1]]), counts) + np.arange(counts.sum())
    slices = pd.DataFrame({"series": np.repeat(ranges["series"].to_numpy(), counts), "slice": places})
    slices = slices.drop_duplicates(ignore_index=True)
    facts = lesions.drop_duplicates("series").set_index("series")[_CARRIED]
    numbers = slices["slice"].map("{:03d}.png".format)
    named = {"image_id": slices["series"] + "_" + numbers, "view": "AXIAL"}
    paths = f"{DEEPLESION_IMAGES}/" + slices["series"] + "/" + numbers
    carried = facts.loc[slices["series"]].reset_index(drop=True)
    return pd.concat([pd.DataFrame({**named, "path": paths}), carried], axis="columns")


def type_labels(image_ids: pd.Series, lesions: pd.DataFrame, doubtful: set[str]) -> pd.DataFrame:
    """Return a float32 column per type (see `read_deeplesion`) for images; rows of `doubtful` ones were refused."""
    boxes = lesions.assign(row=pd.Index(image_ids).get_indexer(pd.Index(lesions["image_id"])))
    values = np.full((len(image_ids), len(LESION_TYPES)), np.nan, dtype=np.float32)
    values[boxes["row"]] = 0.0
    open_ones = boxes["label"].eq(UNTYPED) | boxes["image_id"].isin(doubtful)
    values[boxes.loc[open_ones, "row"]] = np.nan
    typed = boxes[boxes["label"] != UNTYPED]
    values[typed["row"], pd.Index(LESION_TYPES).get_indexer(pd.Index(typed["label"]))] = 1.0
    return pd.DataFrame(values, columns=list(LESION_TYPES), index=image_ids.index)


def _with_ids(table: pd.DataFrame, refused: Quarantine) -> pd.DataFrame:
    """Add the ids; refuse rows whose file is named after other indices than those that they give."""
    parts = table["File_name"].str.extract(_NAME)
    named = parts[[1, 2, 3, 4]].astype("Float64").set_axis(list(_INDICES), axis="columns")
    given = table[list(_INDICES)].apply(pd.to_numeric, errors="coerce").astype("Float64")
    bad = ~(named == given).fillna(False).all(axis="columns")
    ids = {"image_id": table["File_name"], "series": parts[0], "patient_id": parts[1]}
    table = table.assign(**ids, study_id=parts[1] + "_" + parts[2], slice=named["Key_slice_index"])
    table = _refuse(table, bad, "the file's name and the indices do not belong together", refused)
    return table.astype({"slice": int})


def _with_boxes(table: pd.DataFrame, refused: Quarantine) -> pd.DataFrame:
    """Add height, width and the box's x, y, w, h, cut at the image's border; refuse rows without such numbers."""
    size, corners = numbers(table["Image_size"], 2), numbers(table["Bounding_boxes"], 4)
    whole = (size.ge(1) & size.le(LONGEST_SIDE) & (size % 1 == 0)).all(axis="columns")
    table = table.assign(width=size[0], height=size[1], **dict(zip(_CORNERS, corners.to_numpy().T, strict=True)))
    table = _refuse(table, ~whole, "the image's size is not two numbers", refused)
    table = _refuse(table, table["left"].isna(), "the box is not four numbers", refused)
    table = table.astype({"width": int, "height": int})
    outside = table[["left", "top"]].lt(-DEEPLESION_PADDING).any(axis="columns")
    for end, side in (("right", "width"), ("bottom", "height")):
        outside |= table[end].gt(table[side] + DEEPLESION_PADDING)
    table["x"], table["y"] = table["left"].clip(lower=0), table["top"].clip(lower=0)
    table["w"] = table["right"].clip(upper=table["width"]) - table["x"]
    table["h"] = table["bottom"].clip(upper=table["height"]) - table["y"]
    reason = "the box has no area or lies outside of the image"
    return _refuse(table, outside | table[["w", "h"]].le(0).any(axis="columns"), reason, refused)


def _with_context_range(table: pd.DataFrame, refused: Quarantine) -> pd.DataFrame:
    """Add the first and last slice that go with the key slice; refuse rows whose range does not hold it."""
    ends, key = numbers(table["Slice_range"], 2), table["slice"]
    holds = ends[0].ge(0) & ends[0].le(key) & ends[1].ge(key) & ends[1].sub(ends[0]).lt(MOST_SLICES)
    table = table.assign(first=ends[0], last=ends[1])
    bad = ~(holds & (ends % 1 == 0).all(axis="columns"))
    table = _refuse(table, bad, "the range of slices is not two numbers around the key slice", refused)
    return table.astype({"first": int, "last": int})


def numbers(written: pd.Series, count: int) -> pd.DataFrame:
    """Return `count` numbers per cell from lists such as '226.1, 90.0'; none at all where a cell is no such list."""
    parts = written.str.split(",", n=count, expand=True).reindex(columns=range(count + 1))
    values = parts.iloc[:, :count].apply(pd.to_numeric, errors="coerce").astype(float)
    return values.where(np.isfinite(values).all(axis="columns") & parts[count].isna())


def _refuse(table: pd.DataFrame, bad: pd.Series, reason: str, refused: Quarantine) -> pd.DataFrame:
    return refuse(table, bad, "File_name", DEEPLESION_TABLE, reason, refused)


def _of_the_files_size(lesions: pd.DataFrame, root: Path, refused: Quarantine) -> pd.DataFrame:
    """Refuse boxes on files of another size than the table's: they would lie elsewhere.

    Files that are absent or no images pass; they are told where images are looked at.
    """

    def size(place: tuple[str, int]) -> tuple[int, int] | None:
        path = root / DEEPLESION_IMAGES / place[0] / f"{place[1]:03d}.png"
        try:
            return dimensions(path) if is_file(path) else None
        except UnreadableImageError:
            return None

    places = list(lesions[["series", "slice"]].itertuples(index=False, name=None))
    files = sorted(set(places))
    with ThreadPoolExecutor() as pool:
        found = dict(zip(files, pool.map(size, files), strict=True))
    told = zip(places, lesions["height"], lesions["width"], strict=True)
    same = [found[place] in (None, (height, width)) for place, height, width in told]
    reason = "the file has another size than Image_size, in whose pixels the box is"
    return refuse(
        lesions, ~pd.Series(same, index=lesions.index, dtype=bool), "image_id", DEEPLESION_TABLE, reason, refused
    )


def _require_disjoint(lesions: pd.DataFrame) -> None:
    shared = lesions.groupby("patient_id")["official_split"].nunique().gt(1)
    if shared.any():
        raise UserError(
            f"{int(shared.sum())} patients are in more than one split of {DEEPLESION_TABLE}.",
            "its split is by patient: is this the original, unedited file? Mend the column Train_Val_Test.",
        )
