"""Two analyses of forgetting: the same diseases, the same radiographs, or nothing that can be told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from cxrflow.forgetting.figures import FEW
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.summary.forgotten import (
    DISEASES,
    FEWEST,
    RADIOGRAPHS,
    Forgotten,
    forgotten_table,
    overlaps,
    permuted_shared,
    same_diseases,
    write_forgotten,
)

HOW = ForgettingSettings(resamples=200, permutations=500)
NAMES = ["Edema", "Mass", "Nodule", "Hernia", "Fracture", "Pneumonia"]


def analysis(
    system: str = "neural",
    cohort: str = "c",
    changes: tuple[float, ...] = (-0.9, -0.5, -0.4, -0.3, -0.2, -0.1),
    exemplars: tuple[int, ...] = (0, 1, 2, 3),
    images: int = 40,
) -> Forgotten:
    classes = pd.DataFrame(
        {
            "class": [*NAMES, "No Finding"],
            "cohort": cohort,
            "simulated": True,
            "n_patients": images,
            "n_seeds": 2,
            "method": "m",
            "n_positive": FEW,
            "final_change": [*changes, -0.6],
        }
    )
    ids = [f"{place:03d}" for place in range(images)]
    pie = pd.DataFrame({"image_id": ids, "patient_id": ids, "is_pie": np.isin(np.arange(images), exemplars)})
    return Forgotten(system, "patches taken away", classes, pie)


def rows_of(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(row["metric"]): row for _, row in table.iterrows()}


def test_the_same_order_of_losses_is_a_correlation_of_1_and_its_reverse_of_minus_1() -> None:
    one, reverse = analysis(), analysis(changes=(-0.1, -0.2, -0.3, -0.4, -0.5, -0.9))
    same = same_diseases(one.losses, analysis("prunecxr").losses, HOW)
    other = same_diseases(one.losses, reverse.losses, HOW)
    assert (same["value"], other["value"]) == (pytest.approx(1), pytest.approx(-1))
    assert same["p"] < 0.05
    assert same["n"] == len(NAMES), "No Finding is no disease"


def test_diseases_with_few_positive_images_and_other_names_are_not_compared() -> None:
    one, other = analysis(), analysis()
    other.classes.loc[0, "n_positive"] = FEW - 1
    other.classes.loc[1, "class"] = "Lump"
    row = same_diseases(one.losses, other.losses, HOW)
    assert row["n"] == len(NAMES) - 2 < FEWEST
    assert "value" not in row
    assert "needed" in row["note"]


def test_a_disease_counts_as_the_same_under_the_name_of_another_data_set() -> None:
    one, other = analysis(), analysis("prunecxr")
    one.classes.loc[0, "class"], other.classes.loc[0, "class"] = "Pleural Effusion", "Effusion"
    assert same_diseases(one.losses, other.losses, HOW)["n"] == len(NAMES)


def test_the_same_exemplars_overlap_wholly_and_others_not_at_all() -> None:
    same = rows_of(forgotten_table([analysis(), analysis("patchib")], HOW))
    assert same["jaccard"]["value"] == 1
    assert same["shared_over_expected"]["value"] == pytest.approx(40 / 4)
    assert same["jaccard"]["p"] < 0.01
    other = rows_of(forgotten_table([analysis(), analysis("patchib", exemplars=(10, 11, 12, 13))], HOW))
    assert (other["jaccard"]["value"], other["jaccard"]["n_shared"], other["jaccard"]["p"]) == (0, 0, 1)
    assert other["jaccard"][["low", "high"]].isna().all(), "resamples of nothing shared are no interval"


def test_by_chance_shared_over_expected_is_1_and_p_is_that_of_the_hypergeometric_distribution() -> None:
    how = ForgettingSettings(resamples=100, permutations=20_000)
    row = rows_of(forgotten_table([analysis(), analysis("patchib", exemplars=(0, 1, 20, 21))], how))
    assert row["shared_over_expected"]["chance"] == pytest.approx(1, abs=0.05)
    assert row["jaccard"]["p"] == pytest.approx(hypergeom(40, 4, 4).sf(1), abs=0.01)


def test_only_images_that_both_have_are_compared() -> None:
    more = analysis("patchib", exemplars=(0, 1, 2, 3, 50, 51), images=60)
    row = rows_of(forgotten_table([analysis(), more], HOW))["jaccard"]
    assert (row["value"], row["n"], row["n_patients"]) == (1, 40, 40)


@pytest.mark.parametrize(
    ("other", "note"), [(analysis(cohort="d"), "cohorts"), (analysis(exemplars=()), "no exemplar")]
)
def test_what_can_not_be_told_is_empty_and_says_why(other: Forgotten, note: str) -> None:
    table = forgotten_table([analysis(), other], HOW)
    told = table[table["question"] == RADIOGRAPHS]
    assert told["value"].isna().all()
    assert told["note"].str.contains(note).all()


def test_every_pair_has_a_row_of_diseases_and_two_of_radiographs(tmp_path: Path) -> None:
    write_forgotten(tmp_path / "table.csv", [analysis(), analysis("patchib"), analysis("prunecxr", "d")], HOW)
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["question"].value_counts().to_dict() == {DISEASES: 3, RADIOGRAPHS: 6}
    assert len(pd.read_parquet(tmp_path / "table.parquet")) == 9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), images=st.integers(1, 3))
def test_patients_change_places_with_all_their_images(seed: int, images: int) -> None:
    """Where all images of a patient are in a set or none, shared ones come in whole patients."""
    random = np.random.default_rng(seed)
    first, second = (np.repeat(random.random(12) < 0.4, images) for _ in range(2))
    shared = permuted_shared(first, second, np.repeat(np.arange(12), images), ForgettingSettings(permutations=100))
    assert (shared % images == 0).all()
    assert shared.max() <= min(first.sum(), second.sum())


def test_a_patient_with_as_many_images_as_nobody_else_stays() -> None:
    members = np.array([True, True, False, True])
    shared = permuted_shared(members, members, np.array(["a", "a", "a", "b"]), ForgettingSettings(permutations=100))
    assert set(shared) == {3}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_images_that_count_twice_count_as_two_images(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.random((2, 20)) < 0.5
    times = random.integers(0, 3, 20)
    weighted = overlaps(first, second, times[None])
    repeated = overlaps(np.repeat(first, times), np.repeat(second, times), np.ones((1, int(times.sum()))))
    np.testing.assert_allclose(weighted, repeated)
