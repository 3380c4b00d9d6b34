import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrflow.cohort.cooccurrence import COLUMNS, cooccurrence, plot_cooccurrence, share_text

LABELS = ["Edema", "Effusion", "Mass", "Hernia"]
# patient, study, Edema, Effusion, Mass, Hernia: study 1 has two images, of which one shows the effusion
ROWS = [
    ("p", "1", 1.0, np.nan, np.nan, 0.0),
    ("p", "1", 1.0, 1.0, np.nan, 0.0),
    ("p", "2", 1.0, -1.0, 0.0, np.nan),
    ("q", "3", 1.0, 1.0, -1.0, np.nan),
    ("r", "4", np.nan, 1.0, 1.0, np.nan),
    ("s", "5", 1.0, 0.0, np.nan, np.nan),
]


@pytest.fixture
def manifest():
    return pd.DataFrame(ROWS, columns=["patient_id", "study_id", *LABELS])


@pytest.mark.parametrize(
    ("label", "given_label", "both", "number", "share"),
    [
        ("Effusion", "Edema", 2, 4, 0.5),
        ("Edema", "Effusion", 2, 3, 2 / 3),
        ("Mass", "Effusion", 1, 3, 1 / 3),
        ("Effusion", "Mass", 1, 1, 1.0),
        ("Mass", "Edema", 0, 4, 0.0),
        ("Edema", "Edema", 4, 4, 1.0),
    ],
)
def test_studies_are_counted_by_hand(manifest, label, given_label, both, number, share):
    row = cooccurrence(manifest, LABELS).set_index(["label", "given"]).loc[(label, given_label)]
    assert (row["n_both"], row["n_given"]) == (both, number)
    assert row["share"] == pytest.approx(share)
    assert (row["n_studies"], row["n_patients"]) == (5, 4)


def test_a_label_that_no_study_has_gives_no_share(manifest):
    table = cooccurrence(manifest, LABELS).set_index("given")
    assert table.loc["Hernia", "share"].isna().all()
    assert (table.loc["Hernia", "n_given"] == 0).all()


def test_a_cohort_without_labels_gives_an_empty_table_with_all_columns(manifest):
    table = cooccurrence(manifest, [])
    assert len(table) == 0
    assert list(table.columns) == COLUMNS


@given(st.lists(st.lists(st.sampled_from([1.0, 0.0, -1.0, np.nan]), min_size=3, max_size=3), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_counts_are_symmetric_and_bounded_and_bayes_holds(values):
    manifest = pd.DataFrame(values, columns=LABELS[:3])
    manifest["patient_id"] = manifest["study_id"] = [str(at // 2) for at in range(len(values))]
    table = cooccurrence(manifest, LABELS[:3])
    both = table.pivot_table(index="given", columns="label", values="n_both").to_numpy()
    assert (both == both.T).all()
    assert (table["n_both"] <= table["n_given"]).all()
    assert (table["n_given"] <= table["n_studies"]).all()
    joint = table.assign(joint=table["share"] * table["n_given"]).set_index(["label", "given"])["joint"].fillna(0)
    assert np.allclose(joint, joint.swaplevel().reindex(joint.index))


@pytest.mark.parametrize(
    ("percent", "text"),
    [(0, "0"), (0.2, "<1"), (0.5, "<1"), (1, "1"), (33.3, "33"), (99, "99"), (99.5, ">99"), (100, "100")],
)
def test_rare_is_told_from_never_and_almost_from_always(percent, text):
    assert share_text(percent) == text


@pytest.mark.parametrize("labels", [LABELS, ["Hernia"], []])
def test_the_figure_is_drawn_with_many_labels_with_absent_ones_and_with_none(tmp_path, manifest, labels):
    plot_cooccurrence(cooccurrence(manifest, labels), tmp_path / "pairs.png", "tiny", True)
    with Image.open(tmp_path / "pairs.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[1] > 500
    assert pixels.min() < 100 < pixels.max()


def texts_of(monkeypatch, table, simulated):
    """Return all texts of the figure, read from it when it is about to be saved."""
    drawn = []

    def keep(figure, path):
        drawn.append(figure)

    monkeypatch.setattr("cxrflow.cohort.cooccurrence.save_figure", keep)
    plot_cooccurrence(table, None, "tiny", simulated)
    figure = drawn[0]
    axis = figure.axes[0]
    return axis, [axis.get_title(), *(text.get_text() for text in figure.texts)], figure


def test_the_figure_says_cohort_studies_and_simulated_and_orders_labels_by_frequency(monkeypatch, manifest):
    import matplotlib.pyplot as plt

    table = cooccurrence(manifest, LABELS)
    axis, (title, caption), figure = texts_of(monkeypatch, table, True)
    plt.close(figure)
    assert "tiny" in title
    assert "5 studies of 4 patients, simulated radiographs" in title
    assert "No study has: Hernia." in caption
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["Edema", "Effusion", "Mass"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["Edema", "Effusion", "Mass"]
    placed = {text.get_position(): text.get_text() for text in axis.texts}
    assert (placed[0.5, 0.5], placed[1.5, 1.5], placed[2.5, 2.5]) == ("4", "3", "1")
    assert placed[0.5, 1.5] == "67"  # of the studies with effusion, those with edema
    assert placed[1.5, 0.5] == "50"


def test_a_figure_of_real_images_is_not_called_simulated(monkeypatch, manifest):
    import matplotlib.pyplot as plt

    _, texts, figure = texts_of(monkeypatch, cooccurrence(manifest, LABELS), False)
    plt.close(figure)
    assert not any("simulated" in text.lower() for text in texts)
