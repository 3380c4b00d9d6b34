"""The published names of each data set's tables: known when jobs are planned, before anything is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxrflow.cohort.hounsfield import Window, named_window
from cxrflow.cohort.long_tail import PARTS, LongTail, label_file
from cxrflow.errors import UserError

Format = Literal[
    "mimic-cxr-jpg", "mimic-cxr-dicom", "nih", "chexpert", "chexpert-plus", "openi-xml", "openi-csv", "deeplesion",
    "slices",
]  # fmt: skip

SPLIT_TABLE = "mimic-cxr-2.0.0-split.csv.gz"
METADATA_TABLE = "mimic-cxr-2.0.0-metadata.csv.gz"
DICOM_LIST = "cxr-record-list.csv.gz"
NIH_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
NIH_TRAIN_LISTS = ("train_val_list.txt", "train_val_list_NIH.txt")
NIH_TEST_LISTS = ("test_list.txt", "test_list_NIH.txt")
NIH_BOXES = "BBox_List_2017.csv"
CHEXPERT_TABLES = ("train.csv", "valid.csv")
CHEXPERT_PLUS_TABLE = "df_chexpert_plus_240401.csv"
OPENI_REPORTS = ("NLMCXR_reports.tgz", "ecgen-radiology")
OPENI_CSV_TABLES = ("indiana_reports.csv", "indiana_projections.csv")
DEEPLESION_TABLE, DEEPLESION_IMAGES = "DL_info.csv", "Images_png"
DEEPLESION_PADDING = 5
"""Pixels by which its boxes are wider than the measured diameters on each side, beyond the image's border too."""


@dataclass(frozen=True)
class Layout:
    """What of a data set's folder must be there: each entry lists the names that one file may have."""

    files: tuple[tuple[str, ...], ...]
    reports: Literal["apart", "inside", "none"]
    """Reports are named in the configuration (`reports`), are part of the folder, or do not exist."""
    credentialed: bool
    """Whether it is given to registered users only, who have signed an agreement not to pass it on."""
    replaced: tuple[tuple[str, ...], ...] = ()
    """Files with its own labels and official split: not needed where long-tailed label files replace these."""
    long_tail: LongTail | None = None
    """The long-tailed label set of its images, where there is one."""
    slices: bool = False
    """Whether its images are CT slices, whose 16-bit files hold Hounsfield units."""


_MIMIC = Layout(((METADATA_TABLE,),), "apart", credentialed=True, replaced=((SPLIT_TABLE,),), long_tail="mimic-cxr-lt")
_NIH_LISTS = (NIH_TRAIN_LISTS, NIH_TEST_LISTS)
LAYOUTS: dict[str, Layout] = {
    "mimic-cxr-jpg": _MIMIC,
    "mimic-cxr-dicom": _MIMIC,
    "nih": Layout((NIH_TABLES,), "none", credentialed=False, replaced=_NIH_LISTS, long_tail="nih-cxr-lt"),
    "chexpert": Layout(((CHEXPERT_TABLES[0],), (CHEXPERT_TABLES[1],)), "none", credentialed=True),
    "chexpert-plus": Layout(((CHEXPERT_PLUS_TABLE,),), "inside", credentialed=True),
    "openi-xml": Layout((OPENI_REPORTS,), "inside", credentialed=False),
    "openi-csv": Layout(((OPENI_CSV_TABLES[0],), (OPENI_CSV_TABLES[1],)), "inside", credentialed=False),
    "deeplesion": Layout(((DEEPLESION_TABLE,),), "none", credentialed=False, slices=True),
    "slices": Layout(((".",),), "none", credentialed=False, slices=True),
}
SIMULATED: tuple[Format, ...] = ("mimic-cxr-jpg", "nih", "chexpert", "deeplesion")
"""Formats in which a cohort can be simulated."""


def is_credentialed(cohort: Mapping[str, Any]) -> bool:
    """Return whether a cohort (as configured) holds credentialed data."""
    return cohort["simulate"] is None and LAYOUTS[cohort["format"]].credentialed


def window_of(cohort: Mapping[str, Any]) -> Window | None:
    """Return the window (HU) of a cohort of CT slices, as configured or the widest; None for radiographs."""
    return named_window(cohort["window"] or "whole") if LAYOUTS[cohort["format"]].slices else None


def label_table(name: str) -> str:
    """Return the file name of a labeler's table of MIMIC-CXR-JPG."""
    return f"mimic-cxr-2.0.0-{name}.csv.gz"


def chexbert_labels(section: str) -> str:
    """Return the path of CheXpert Plus's labels for one section of the reports."""
    return f"chexbert_labels/{section}_fixed.json"


def present(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the first of `names` that exists in `folder`, the first one where none does."""
    return next((folder / name for name in names if (folder / name).exists()), folder / names[0])


def require_raw_files(name: str, cohort: Mapping[str, Any]) -> None:
    """Raise UserError where a file of the (real) cohort `name` is not there."""
    absent = [] if cohort["simulate"] else [file for file in raw_files(cohort) if not Path(file).exists()]
    if absent:
        raise UserError(
            f"The cohort {name} lacks {', '.join(absent)}.",
            f"its `root` and `tables` name the folders of a {cohort['format']} copy, with the published file names.",
        )


def raw_files(cohort: Mapping[str, Any]) -> list[str]:
    """Return the files that tell whether the raw tree of a (real) cohort is there and unchanged."""
    folder = Path(cohort["tables"] or cohort["root"])
    files = [*_label_files(cohort, folder), *(present(folder, names) for names in LAYOUTS[cohort["format"]].files)]
    if cohort["format"] == "mimic-cxr-dicom":
        files.append(Path(cohort["root"]) / DICOM_LIST)
    if cohort["format"] == "chexpert-plus":
        files.append(folder / chexbert_labels(cohort["reading"]["label_section"]))
    optional = [folder / NIH_BOXES] if cohort["format"] == "nih" else []
    return [str(file) for file in files + [file for file in optional if file.exists()]] + (
        [cohort["boxes"]] if cohort["boxes"] else []
    )


def _label_files(cohort: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the long-tailed label files where they are asked for, else those of the data set's own labels."""
    layout = LAYOUTS[cohort["format"]]
    if cohort["long_tail"] and layout.long_tail:
        return [label_file(Path(cohort["long_tail"]), layout.long_tail, part) for part in PARTS]
    files = [present(folder, names) for names in layout.replaced]
    if cohort["format"].startswith("mimic-cxr"):
        files.append(folder / label_table(cohort["reading"]["label_table"]))
    return files
