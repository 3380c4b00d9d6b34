"""Subsets are of whole patients, contain the smaller ones, and have the patients that were asked for."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.labelled_subsets import Level, labelled_places

LABELS = ["Edema", "Fracture"]


def samples_of(seed: int, patients: int) -> pd.DataFrame:
    """One to three radiographs per patient; Edema in a third of them, Fracture in a few, some unknown."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    table = pd.DataFrame({"patient_id": [f"p{number}" for number in ids]})
    for label, share in zip(LABELS, (0.3, 0.05), strict=True):
        table[label] = np.where(rng.random(len(ids)) < 0.1, np.nan, rng.random(len(ids)) < share)
    return table.sample(frac=1, random_state=seed, ignore_index=True)


@given(st.integers(0, 1000), st.integers(1, 60), st.floats(0.001, 1), st.floats(0.001, 1))
@settings(max_examples=60, deadline=None)
def test_a_larger_share_contains_the_smaller_one_whole_patients_at_a_time(
    seed: int, patients: int, one: float, other: float
) -> None:
    samples = samples_of(seed, patients)
    small, large = (labelled_places(samples, LABELS, Level(fraction=share), seed) for share in sorted((one, other)))
    assert set(small) <= set(large)
    chosen = set(samples["patient_id"].iloc[small])
    assert len(chosen) == max(1, round(min(one, other) * patients))
    assert samples["patient_id"].isin(chosen).sum() == len(small)


@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_shots_are_patients_with_each_label_and_nested(seed: int, patients: int, shots: int) -> None:
    samples = samples_of(seed, patients)
    few, more = (labelled_places(samples, LABELS, Level(shots=count), seed) for count in (shots, shots + 1))
    assert set(few) <= set(more)
    positive = samples.groupby("patient_id")[LABELS].max().eq(1)
    chosen = positive.loc[sorted(set(samples["patient_id"].iloc[few]))]
    for label in LABELS:
        assert chosen[label].sum() >= min(shots, positive[label].sum())
    assert len(chosen) <= shots * len(LABELS)


def test_all_labels_are_all_radiographs_and_another_seed_draws_others() -> None:
    samples = samples_of(0, 60)
    assert len(labelled_places(samples, LABELS, Level(fraction=1.0), 3)) == len(samples)
    draws = {tuple(labelled_places(samples, LABELS, Level(fraction=0.1), seed)) for seed in range(5)}
    assert len(draws) == 5


def test_the_order_of_rows_changes_no_patient() -> None:
    samples = samples_of(1, 60)
    turned = samples.iloc[::-1].reset_index(drop=True)
    for level in (Level(fraction=0.2), Level(shots=3)):
        one, other = (
            set(table["patient_id"].iloc[labelled_places(table, LABELS, level, 0)]) for table in (samples, turned)
        )
        assert one == other
