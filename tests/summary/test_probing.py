"""Probes of features on the same patients: what a probe must and must not find."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.measured import MEAN
from cxrflow.summary.feature_sources import Features, Name
from cxrflow.summary.leaderboard import differences, leaderboard, ranked
from cxrflow.summary.probing import PROBE, Examples, probed, standardised
from cxrflow.summary.settings import SummarySettings

LABELS = ["Edema", "Mass"]
SETTINGS = SummarySettings(resamples=60)
COMMON = {"cohort": "here", "simulated": True, "n_patients": 60}


@pytest.fixture(scope="module")
def samples():
    draw = np.random.default_rng(0)
    count = 180
    table = pd.DataFrame(
        {"image_id": [f"i{n}" for n in range(count)], "patient_id": [f"p{n // 2}" for n in range(count)]}
    )
    table["split"] = np.where(np.arange(count) < 120, "train", "test")
    return table.assign(**{label: draw.integers(0, 2, count).astype(float) for label in LABELS})


def source(samples, encoder, values, images=None):
    rows = samples["image_id"] if images is None else images
    return Features(Name("neural", "here", encoder), pd.Index(rows), partial(np.asarray, values))


@pytest.fixture(scope="module")
def measures(samples):
    draw = np.random.default_rng(1)
    seeing = samples[LABELS].to_numpy() + 0.1 * draw.normal(size=(len(samples), 2))
    sources = [source(samples, "seeing", seeing), source(samples, "blind", draw.normal(size=(len(samples), 3)))]
    examples = Examples.of(samples, LABELS, [one.images for one in sources], SETTINGS)
    return probed(sources, examples)


def value(measures, encoder, label, metric="auroc"):
    found = {(key.encoder, key.label, key.metric): one for key, one in measures.items()}
    return found[encoder, label, metric].value


def test_features_that_hold_the_labels_are_read_and_noise_is_not(measures):
    assert value(measures, "seeing", MEAN) > 0.98
    assert 0.2 < value(measures, "blind", MEAN) < 0.8


def test_the_mean_is_that_of_the_labels(measures):
    assert value(measures, "blind", MEAN) == pytest.approx(np.mean([value(measures, "blind", one) for one in LABELS]))


def test_the_better_encoder_comes_first_and_is_better_by_the_difference(measures):
    table = leaderboard(measures, [], [], COMMON)
    assert table["encoder"].iloc[0] == "seeing"
    assert list(ranked(table)) == [("neural", "here", "seeing"), ("neural", "here", "blind")]
    pair = differences(measures, COMMON).set_index("metric").loc["auroc"]
    assert pair["value"] == pytest.approx(value(measures, "seeing", MEAN) - value(measures, "blind", MEAN))
    assert pair["low"] > 0
    assert pair["p"] <= pair["p_holm"]


def test_images_that_one_encoder_lacks_count_for_none(samples):
    few = samples["image_id"][:170]
    examples = Examples.of(samples, LABELS, [pd.Index(samples["image_id"]), pd.Index(few)], SETTINGS)
    assert set(examples.train) | set(examples.test) == set(few)
    assert (
        len(examples.drawn)
        == samples[samples["image_id"].isin(few) & (samples["split"] == "test")]["patient_id"].nunique()
    )


def test_features_are_read_by_image_whatever_their_order(samples):
    values = np.arange(len(samples), dtype=float)[:, None]
    shuffled = np.random.default_rng(2).permutation(len(samples))
    one = source(samples, "a", values[shuffled], samples["image_id"].to_numpy()[shuffled])
    assert one.read(samples["image_id"].tolist()).ravel().tolist() == values.ravel().tolist()


@given(st.integers(1, 40), st.floats(1e-2, 1e3))
def test_standardised_features_have_unit_length_on_average_at_any_width_and_scale(width, scale):
    train = (np.random.default_rng(3).normal(5, scale, size=(200, width))).astype(np.float32)
    found, _ = standardised(train, train)
    assert np.square(found).sum(axis=1).mean() == pytest.approx(1, rel=1e-3)


def test_a_feature_that_never_changes_tells_nothing():
    train = np.ones((5, 2), dtype=np.float32)
    assert not standardised(train, 3 * train)[1].any()


def test_the_task_of_every_probe_is_named(measures):
    assert {key.task for key in measures} == {PROBE}
