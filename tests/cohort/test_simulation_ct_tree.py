"""The simulated DeepLesion tree on disk, read back by the adapter of the real data."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.hounsfield import OFFSET
from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import CohortSettings, ReadingSettings
from cxrflow.cohort.simulation.chests import save_chest
from cxrflow.cohort.simulation.ct_plan import plan_ct
from cxrflow.cohort.simulation.ct_slices import render_study
from cxrflow.cohort.simulation.ct_volume import load_volume
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.simulate import simulate_cohort

HEADER = (
    "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,Bounding_boxes,"
    "Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,Possibly_noisy,Slice_range,Spacing_mm_px_,"
    "Image_size,DICOM_windows,Patient_gender,Patient_age,Train_Val_Test"
)
SETTINGS = SimulationSettings(anatomy="phantom", studies=24, size=96, second_study_share=0.25)


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> Path:
    """File of the phantom's volume."""
    path = tmp_path_factory.mktemp("anatomy") / "volume_phantom.npz"
    save_chest("volume_phantom", path)
    return path


@pytest.fixture(scope="module")
def tree(tmp_path_factory, body) -> Path:
    root = tmp_path_factory.mktemp("raw")
    simulate_cohort(root, body, "deeplesion", SETTINGS, workers=1)
    return root / "deeplesion"


@pytest.fixture(scope="module")
def rows(tree) -> pd.DataFrame:
    return pd.read_csv(tree / "DL_info.csv")


@pytest.fixture(scope="module")
def cohort(tree) -> Cohort:
    refused = Quarantine("test")
    found = read_cohort("deeplesion", Source(tree, tree), ReadingSettings(), refused)
    assert refused.rows == []
    return found


def listed(written: pd.Series) -> np.ndarray:
    return np.array([[float(value) for value in cell.split(",")] for cell in written])


def contents(root: Path) -> dict[str, str]:
    kept = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def test_the_table_has_the_published_header_and_quoted_lists(tree):
    first, second, *_ = (tree / "DL_info.csv").read_text().splitlines()
    assert first == HEADER
    assert second.count('"') == 14 or second.count('"') == 16  # seven lists, eight with a window of two


def test_slices_are_16_bit_grey_png_of_hounsfield_units(tree, cohort):
    for path in cohort.manifest["path"]:
        with Image.open(tree / path) as image:
            assert image.size == (96, 96)
            assert image.mode.startswith("I;16")
            values = np.asarray(image).astype(int) - OFFSET
        assert values.min() >= -1024
        assert values.max() <= 3071
        assert -1000 < np.median(values) < 400  # the body fills the middle
        assert (np.abs(values + 1000) < 100).any()  # air


def test_the_adapter_reads_all_of_it(tree, cohort, rows):
    files = sorted(str(path.relative_to(tree)) for path in tree.rglob("*.png"))
    assert sorted(cohort.manifest["path"]) == files
    boxes = cohort.manifest["boxes"].dropna()
    assert boxes.map(len).sum() == len(rows)
    assert set(rows["File_name"]) == set(cohort.manifest.loc[boxes.index, "image_id"])


def test_studies_have_five_to_nine_slices_and_one_key_slice_that_shows_a_lesion(cohort):
    studies = cohort.manifest.groupby("study_id")
    assert studies.ngroups == SETTINGS.studies
    assert studies.size().between(5, 9).all()
    assert (studies["boxes"].count() == 1).all()


def test_some_patients_have_two_studies_and_all_of_a_patient_is_in_one_split(cohort):
    patients = cohort.manifest.groupby("patient_id")
    assert patients["study_id"].nunique().value_counts().to_dict() == {1: 12, 2: 6}
    assert len(cohort.manifest[["patient_id", "official_split"]].drop_duplicates()) == 18
    assert set(cohort.manifest["official_split"]) == {"train", "validate", "test"}


def test_types_are_known_in_all_splits_and_none_is_of_the_pelvis(cohort, rows):
    assert set(rows["Coarse_lesion_type"]) <= set(range(1, 8))
    key = cohort.manifest[cohort.manifest["boxes"].notna()]
    assert not key[list(LESION_TYPES)].isna().any(axis=None)
    assert key["pelvis"].sum() == 0


def test_measurements_lie_in_their_box_and_agree_with_the_diameters(rows):
    boxes, ends = listed(rows["Bounding_boxes"]), listed(rows["Measurement_coordinates"]).reshape(-1, 4, 2)
    assert (ends >= boxes[:, None, :2]).all()
    assert (ends <= boxes[:, None, 2:]).all()
    long = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    short = np.linalg.norm(ends[:, 3] - ends[:, 2], axis=1)
    measured = listed(rows["Lesion_diameters_Pixel_"])
    assert measured == pytest.approx(np.column_stack([long, short]), abs=1e-3)
    assert (long >= short - 1e-6).all()


def test_key_slices_lie_in_their_range_and_places_in_the_body(rows):
    first, last = listed(rows["Slice_range"]).T
    assert ((first <= rows["Key_slice_index"]) & (rows["Key_slice_index"] <= last)).all()
    location = listed(rows["Normalized_lesion_location"])
    assert ((location > 0) & (location < 1)).all()
    step = listed(rows["Spacing_mm_px_"])
    assert (step[:, :2] * 96 > 300).all()  # the field of view in mm
    assert set(step[:, 2]) <= {1.25, 2.5, 5.0}


@pytest.fixture(scope="module")
def without_lesions(body):
    """Each key slice with its lesions and without, under the same noise."""
    volume = load_volume(body)
    faint = SETTINGS.model_copy(update={"finding_strength": 1e-6})
    pairs = []
    for study in plan_ct(SETTINGS):
        key = study.slices.index(study.key)
        pairs.append(tuple(render_study(study, [key], volume, about)[0] for about in (SETTINGS, faint)))
    return pairs


def test_boxes_are_around_what_lesions_change_and_nothing_is_changed_elsewhere(without_lesions):
    for shown, bare in without_lesions:
        change = np.abs(shown.pixels - bare.pixels)
        left = change.copy()
        for marked in shown.boxes:
            box = marked.box
            inside = change[box.y : box.y + box.h, box.x : box.x + box.w]
            assert inside.max() > 20
            left[box.y : box.y + box.h, box.x : box.x + box.w] = 0
        assert (left > 0.6 * change.max()).mean() < 0.002


def test_a_slice_does_not_depend_on_which_others_are_made(body):
    volume, study = load_volume(body), plan_ct(SETTINGS)[3]
    together = render_study(study, list(range(len(study.slices))), volume, SETTINGS)
    for number, image in enumerate(together):
        alone = render_study(study, [number], volume, SETTINGS)[0]
        assert np.array_equal(alone.pixels, image.pixels)
        assert alone.boxes == image.boxes


def test_neighbouring_slices_look_alike_and_those_of_other_patients_do_not(body):
    volume, plan = load_volume(body), plan_ct(SETTINGS)
    mine = [one.pixels for one in render_study(plan[0], [0, 1], volume, SETTINGS)]
    other = render_study(plan[-1], [0], volume, SETTINGS)[0].pixels
    assert np.abs(mine[0] - mine[1]).mean() < np.abs(mine[0] - other).mean()


def test_the_checksums_are_those_of_all_files(tree, cohort):
    lines = dict(line.split("  ")[::-1] for line in (tree / "SHA256SUMS.txt").read_text().splitlines())
    assert len(lines) == len(cohort.manifest) + 1
    for name, digest in lines.items():
        assert hashlib.sha256((tree / name).read_bytes()).hexdigest() == digest


def test_the_number_of_workers_changes_no_byte(tree, tmp_path, body):
    simulate_cohort(tmp_path, body, "deeplesion", SETTINGS, workers=2)
    assert contents(tmp_path) == contents(tree.parent)


def test_only_what_is_missing_is_made_again(tmp_path, body):
    small = SETTINGS.model_copy(update={"studies": 4})
    simulate_cohort(tmp_path, body, "deeplesion", small, workers=1)
    before = contents(tmp_path)
    victim, *others = sorted((tmp_path / "deeplesion").rglob("*.png"))
    stamps = {path: path.stat().st_mtime_ns for path in others}
    victim.unlink()
    (tmp_path / "deeplesion/SHA256SUMS.txt").unlink()
    simulate_cohort(tmp_path, body, "deeplesion", small, workers=1)
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in others} == stamps


def test_another_seed_gives_other_patients(body):
    volume = load_volume(body)
    plans = [plan_ct(SETTINGS.model_copy(update={"seed": seed})) for seed in (0, 1)]
    assert [study.types for study in plans[0]] != [study.types for study in plans[1]]
    first, second = (render_study(plan[0], [0], volume, SETTINGS)[0].pixels for plan in plans)
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_a_plan_keeps_its_number_of_studies_and_deals_out_every_type():
    plan = plan_ct(SimulationSettings(studies=400))
    assert len(plan) == 400
    assert len({study.name for study in plan}) == 400
    by_split = {split: {study.types[0] for study in plan if study.split == split} for split in ("train", "test")}
    assert by_split["train"] == by_split["test"] == set(LESION_TYPES) - {"pelvis"}


def test_it_is_configured_as_the_other_simulated_cohorts_are():
    about = {"format": "deeplesion", "simulate": {"studies": 240, "size": 160}, "image_sizes": [128]}
    parsed = CohortSettings.model_validate(about)
    assert not parsed.has_reports
