"""Figures show the bags, slices and numbers that the tables hold."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from tests.clear.made_up_patients import LABELS, predictions_of, telling_store, write_cohort

from cxrflow.clear.attention import Shown, attention_note, key_attention, read_attention, shown_bags
from cxrflow.clear.attention_figures import draw_bag, plot_attention, plot_top_slices
from cxrflow.clear.confusion import plot_confusion
from cxrflow.clear.downstream_settings import MeasuringSettings, TaskSettings
from cxrflow.clear.efficiency_figure import plot_efficiency
from cxrflow.clear.embedding_map import SEVERAL, bag_means, kinds_of, plot_embedding, principal_plane
from cxrflow.clear.measures import measure
from cxrflow.clear.slice_order import slices_in_order
from cxrflow.clear.tasks import read_tasks
from cxrflow.cohort.cohort_files import CohortFiles


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    return write_cohort(tmp_path_factory.mktemp("cohort"), patients=20)


@pytest.fixture(scope="module")
def attention(cohort: CohortFiles, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Attention of two encoders: `sees` looks at the key slices alone, `blind` at all slices alike."""
    slices = slices_in_order(cohort)
    rows = []
    for bag, own in slices.groupby("patient_id"):
        key = own["boxes"].notna().to_numpy(dtype=float)
        for encoder, weights in (("sees", key if key.any() else np.ones(len(own))), ("blind", np.ones(len(own)))):
            about = {"encoder": encoder, "seed": 0, "task": "t", "aggregator": "abmil", "bag": bag}
            rows += [
                {**about, "image_id": name, "attention": weight}
                for name, weight in zip(own["image_id"], weights / weights.sum(), strict=True)
            ]
    file = tmp_path_factory.mktemp("attention") / "a.parquet"
    pd.DataFrame(rows).to_parquet(file)
    return read_attention([file], "t")


def test_attention_on_key_slices_is_compared_with_their_share(cohort: CohortFiles, attention: pd.DataFrame) -> None:
    slices = slices_in_order(cohort)
    found = key_attention(attention, slices["boxes"].notna().set_axis(slices["image_id"])).set_index("encoder")
    np.testing.assert_allclose(found.loc["sees", "on_key"], 1)
    np.testing.assert_allclose(found.loc["blind", "on_key"], found.loc["blind", "share"])
    assert "sees 100 %" in attention_note(attention, slices, ["sees", "blind"], "t")


def test_shown_bags_have_their_slices_in_order(cohort: CohortFiles, attention: pd.DataFrame) -> None:
    slices = slices_in_order(cohort)
    shown = shown_bags(attention, slices, "sees", 4)
    assert len({bag.bag for bag in shown}) == 4
    for bag in shown:
        own = slices[slices["patient_id"] == bag.bag]
        assert bag.slices["image_id"].tolist() == own["image_id"].tolist()
        np.testing.assert_allclose(bag.attention["sees"][bag.slices["key"].to_numpy()].sum(), 1)


def test_a_panel_has_a_line_per_encoder_and_shades_marked_slices() -> None:
    slices = pd.DataFrame({"key": [False, True, False, True]})
    _, axis = plt.subplots()
    draw_bag(axis, Shown("b", slices, {"one": np.array([0.1, 0.4, 0.1, 0.4])}), {"one": "C0", "absent": "C1"})
    lines = [line for line in axis.lines if line.get_label() == "one"]
    np.testing.assert_allclose(lines[0].get_ydata(), [0.4, 1.6, 0.4, 1.6])
    assert [patch.get_x() for patch in axis.patches] == [1.5, 3.5]
    plt.close("all")


def test_the_plane_is_that_of_principal_components() -> None:
    features = np.random.default_rng(0).normal(size=(30, 5)) @ np.diag([5, 3, 1, 1, 1.0])
    plane = principal_plane(features)
    scaled = (features - features.mean(0)) / features.std(0)
    expected = PCA(2).fit(scaled)
    np.testing.assert_allclose(np.abs(plane.places), np.abs(expected.transform(scaled)), atol=1e-8)
    np.testing.assert_allclose(plane.shares, expected.explained_variance_ratio_)


def test_a_bag_has_one_label_or_several_or_none() -> None:
    rows = pd.DataFrame({"bright": [1.0, 0.0, 1.0, np.nan], "dark": [0.0, 1.0, 1.0, 0.0]})
    assert kinds_of(rows, LABELS).tolist() == ["bright", "dark", SEVERAL, "none of them"]


def test_the_mean_of_a_bag_is_over_its_slices(cohort: CohortFiles, tmp_path: Path) -> None:
    store = telling_store(tmp_path, slices_in_order(cohort))
    own = store.features[store.studies == "000003_01"].astype(float)
    np.testing.assert_allclose(bag_means(store, ["000003_01"])[0], own.mean(axis=0))


def test_every_figure_is_written(cohort: CohortFiles, attention: pd.DataFrame, tmp_path: Path) -> None:
    slices = slices_in_order(cohort)
    shown = shown_bags(attention, slices, "sees", 2)
    plot_attention(shown, ["sees", "blind"], "About.", True, [tmp_path / "attention.png"])
    plot_top_slices(shown, "sees", cohort.store(), 7, "About.", True, tmp_path / "top.png")
    predictions = pd.concat([predictions_of("good", 3.0), predictions_of("poor", 1.0, 1)])
    plot_confusion(predictions[predictions["encoder"] == "good"], True, [tmp_path / "confusion.png"])
    metrics, _ = measure(predictions, "good", {"cohort": "c", "simulated": True}, MeasuringSettings(resamples=20))
    costs = {"encoder": ["good", "poor"], "macs": [1e9, 4e9], "parameters": [1e6, 2e6], "images_per_s": [50.0, 20.0]}
    plot_efficiency(metrics, pd.DataFrame(costs), [tmp_path / "efficiency.png"])
    task = read_tasks({"t": TaskSettings(source="lesion_location")}, cohort)[0]
    stores = {"sees": telling_store(tmp_path, slices)}
    plot_embedding(stores, task, True, [tmp_path / "embedding.png"])
    for name in ("attention", "top", "confusion", "efficiency", "embedding"):
        assert plt.imread(tmp_path / f"{name}.png").std() > 0.01
