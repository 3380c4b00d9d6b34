"""Numbers over seeds and patients: means inside the resample, paired differences, prompts in pairs."""

import numpy as np
import pytest

from cxrflow.measured import Measured, measures_table
from cxrflow.metrics import weighted_median
from cxrflow.patchib.classification_measures import zero_shot_scores
from cxrflow.patchib.measures import Key, differences_table, over_seeds
from cxrflow.patchib.prompts import finding_prompts

RNG = np.random.default_rng(0)
KEY = Key("A", "retrieval i2t", "own", "", "recall@10")
COMMON = {"cohort": "made-up", "simulated": True, "n_patients": 9}


def measured(value: float, spread: float = 0.01) -> Measured:
    return Measured(value, value + spread * RNG.normal(size=400), 1, 0.1)


def test_seeds_are_averaged_inside_each_resample() -> None:
    one, other = measured(0.4), measured(0.6)
    mean = over_seeds([{KEY: one}, {KEY: other}])[KEY]
    assert mean.value == pytest.approx(0.5)
    assert mean.n_seeds == 2
    np.testing.assert_allclose(mean.resampled, (one.resampled + other.resampled) / 2)


def test_the_table_says_what_chance_gives() -> None:
    row = measures_table({KEY: measured(0.4)}, Key._fields, COMMON).iloc[0]
    assert row["low"] < 0.4 < row["high"]
    assert (row["chance"], row["model"], row["n_seeds"], row["cohort"]) == (0.1, "A", 1, "made-up")


def test_models_are_compared_with_one_of_them_on_the_same_resamples() -> None:
    noise = 0.2 * RNG.normal(size=400)
    a = Measured(0.5, 0.5 + noise, 2, 0.1)
    better = Measured(0.6, 0.6 + noise + 0.01 * RNG.normal(size=400), 1, 0.1)
    table = differences_table({KEY: a, KEY._replace(model="E"): better}, "A", COMMON)
    assert len(table) == 1
    row = table.iloc[0]
    assert row["low"] > 0, "what both share takes no part in their difference"
    assert row["value"] == pytest.approx(0.1)
    assert row["p_holm"] == pytest.approx(2 / 401)


def test_labels_one_by_one_are_not_compared() -> None:
    by_label = {KEY._replace(model=model, label="Edema"): measured(0.5) for model in "AB"}
    assert differences_table(by_label, "A", COMMON).empty


def test_a_prompt_pair_ranks_images_by_the_side_they_are_closer_to() -> None:
    prompts = np.zeros((2, 1, 2, 3))
    prompts[:, 0, 0, 0], prompts[:, 0, 1, 1] = 1, 1
    images = np.array([[1.0, 0, 0], [0, 1, 0], [0.6, 0.6, 0.5]])
    assert zero_shot_scores(images, prompts)[:, 0] == pytest.approx([1, -1, 0])


def test_prompts_name_the_finding_for_and_against() -> None:
    prompts = finding_prompts(["Pleural Effusion"], [("There is {label}.", "No {label}.")])
    assert prompts.shape == (1, 1, 2)
    assert prompts[0, 0].tolist() == ["There is pleural effusion.", "No pleural effusion."]


def test_medians_of_resamples() -> None:
    weights = np.array([[1, 1, 1, 0], [0, 0, 1, 3]])
    assert weighted_median([5, 1, 3, np.nan], weights).tolist() == [3, 3]
    assert weighted_median([4.0, 2.0]).tolist() == [2.0]
