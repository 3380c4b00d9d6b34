"""The configuration of one cohort: where its raw files are and what of them is used."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cxrflow.cohort.hounsfield import WindowName, named_window
from cxrflow.cohort.layouts import LAYOUTS, SIMULATED, Format
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.settings import Settings, System


class ReadingSettings(Settings):
    """What an adapter takes from a raw tree."""

    label_table: Literal["chexpert", "negbio"] = "chexpert"
    """MIMIC-CXR: which labeler's table gives the labels."""
    label_section: Literal["report", "findings", "impression"] = "report"
    """CheXpert Plus: the part of the reports that its labels were read from."""
    views: list[Literal["PA", "AP", "FRONTAL", "LATERAL", "LL", "AXIAL", "UNKNOWN"]] = Field(
        default=["PA", "AP", "FRONTAL", "AXIAL"], min_length=1
    )
    """View positions that are kept. FRONTAL is a frontal view of which the table does not tell whether PA or AP,
    AXIAL a CT slice."""
    context_slices: int | None = Field(default=None, ge=0)
    """DeepLesion: slices that are kept on either side of a key slice, as far as there are; 0 keeps key slices alone,
    null all that belong to them."""
    noisy_lesions: bool = False
    """DeepLesion: keep lesions that its authors marked as possibly noisy, instead of quarantining them."""
    text_sections: list[str] = Field(default=["findings", "impression"], min_length=1)
    """Report sections that make up the text which models read, in this order."""
    text_rule: Literal["join", "first"] = "join"
    """`join` these sections, or take the `first` one that a report has."""
    legacy_sections: bool = False
    """MIMIC-CXR: cut sections exactly as the public parser does, its slips included (reports it leaves out are
    quarantined)."""
    minimum_report_characters: int = Field(default=30, ge=0)
    """Reports whose text is shorter are quarantined."""
    on_bad_input: Literal["quarantine", "fail"] = "quarantine"
    """What a bad input row leads to: a row in the quarantine table, or the end of the run."""
    maximum_quarantined: float = Field(default=0.05, ge=0, le=1)
    """Share of quarantined rows above which the run fails."""


class CohortSettings(Settings):
    """One data set, real (`root`) or simulated (`simulate`)."""

    format: Format = "mimic-cxr-jpg"
    """Layout of the raw files; it names the adapter that reads them."""
    root: str | None = None
    """Folder of the images (the one that holds `files/`, `images/`, `train/`, `PNG/` or `Images_png/`; for
    `slices` the one that holds a folder per patient). Absent for a simulated cohort."""
    tables: str | None = None
    """Folder of the csv tables, where that is not the root: MIMIC-CXR's DICOM files are read with the tables of
    MIMIC-CXR-JPG."""
    reports: str | None = None
    """MIMIC-CXR: folder of the report tree (`files/p10/p10000032/s50414267.txt`), or the zip of it, read in place.
    Systems that look at images alone do without."""
    boxes: str | None = None
    """MIMIC-CXR: table of annotated boxes in MS-CXR's columns. Optional; a simulated cohort brings its own."""
    long_tail: str | None = None
    """NIH and MIMIC-CXR: folder of the three label files of NIH-CXR-LT or MIMIC-CXR-LT
    (`miccai2023_nih-cxr-lt_labels_train.csv`, `..._val.csv`, `..._test.csv`). Their classes and split replace the data
    set's own; images that they do not name are left out. A simulated cohort brings its own."""
    radgraph: list[str] = Field(default=[])
    """Files of published RadGraph annotations of these reports, read where `reports.extract.extractor` says so."""
    simulate: SimulationSettings | None = None
    """Make the raw files instead of reading real ones."""
    reading: ReadingSettings = ReadingSettings()
    """What is taken from the raw files."""
    systems: list[System] | None = None
    """Systems of the run that run on this cohort; null: all that see its images, CT slices or radiographs."""
    split_shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Shares of patients for train, validate and test where the data set has no official split."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of that split, and of the part that an official split lacks."""
    official_valid: Literal["validate", "test"] = "test"
    """CheXpert and CheXpert Plus: what their small `valid` part, labelled by experts, serves as. The split that is then
    missing is made from the patients of `train`."""
    window: WindowName | tuple[float, float] | None = None
    """CT slices: window in Hounsfield units, by its two ends or its name (whole -1000 to 400, soft tissue -160 to 240,
    lung -1350 to 150, bone -450 to 1050), that 16-bit files are shown through; null: whole. It is one for all slices: a
    window per slice, as DeepLesion's table has, would tell a lesion's type."""
    image_sizes: list[Annotated[int, Field(gt=0)]] = Field(default=[])
    """Sides in pixels to which the images are decoded, beside those that the systems ask for."""

    @property
    def has_reports(self) -> bool:
        """Whether there are reports to read."""
        apart = LAYOUTS[self.format].reports == "apart"
        named = self.reports is not None or self.simulate is not None
        return named if apart else LAYOUTS[self.format].reports == "inside"

    @model_validator(mode="after")
    def _real_or_simulated(self) -> "CohortSettings":
        if (self.root is None) == (self.simulate is None):
            raise ValueError("give either `root` (real files) or `simulate`, not both and not neither")
        if self.simulate is not None and self.format not in SIMULATED:
            raise ValueError(f"a simulated cohort is written as {' or '.join(SIMULATED)}")
        return self

    @model_validator(mode="after")
    def _long_tail_where_there_is_one(self) -> "CohortSettings":
        if self.long_tail is None:
            return self
        with_one = [name for name, layout in LAYOUTS.items() if layout.long_tail]
        if self.format not in with_one:
            raise ValueError(f"`long_tail` is a key of {', '.join(with_one)}, not of {self.format}")
        if self.simulate is not None:
            raise ValueError("a simulated cohort brings its own label files: leave `long_tail` out")
        return self

    @model_validator(mode="after")
    def _reports_where_they_are_apart(self) -> "CohortSettings":
        if LAYOUTS[self.format].reports != "apart" and (self.reports or self.boxes):
            raise ValueError(f"`reports` and `boxes` are keys of MIMIC-CXR, not of {self.format}")
        return self

    @model_validator(mode="after")
    def _window_where_there_are_hounsfield_units(self) -> "CohortSettings":
        if self.window is None:
            return self
        if not LAYOUTS[self.format].slices:
            raise ValueError(f"`window` is a key of CT slices, not of {self.format}")
        low, high = named_window(self.window)
        if not low < high:
            raise ValueError("`window` must be a lower and a higher value in Hounsfield units")
        return self

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "CohortSettings":
        if min(self.split_shares) <= 0 or abs(sum(self.split_shares) - 1) > 1e-9:
            raise ValueError("`split_shares` must be three positive numbers that sum to 1")
        return self
