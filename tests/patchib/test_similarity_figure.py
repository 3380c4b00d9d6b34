"""The matrix of pairs is of unlike patients and reports, and tells hits as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patchib.made_up_results import (
    drawn_texts,
    store_of,
    write_export,
)

from cxrflow.patchib.similarity_figure import Matrix, chosen_pairs, hits, pair_name, plot_similarity

LABELS = ["Cardiomegaly", "Edema", "No Finding"]


def made_up_test_split() -> pd.DataFrame:
    """Return seven radiographs: a and b alone with edema, c the same report as d, g has no label that is known."""
    edema, both, normal = [0, 1, 0], [1, 1, 0], [0, 0, 1]
    labels = [edema, edema, edema, both, normal, normal, [np.nan, np.nan, np.nan]]
    table = pd.DataFrame({"dicom_id": list("abcdefg"), "subject_id": ["p1", "p2", "p3", "p4", "p2", "p5", "p6"]})
    table["query"] = ["report of a", "report of b", "shared", "shared", "report of e", "report of f", "report of g"]
    return table.assign(labels=[np.array(row, np.float32) for row in labels])


def test_pairs_are_of_different_labels_patients_and_reports() -> None:
    own = np.array([0.1, 0.3, 0.2, 0.9, 0.5, 0.4, 1.0])
    test = made_up_test_split()
    # Of the three with edema alone, c has the median similarity; its report is d's, the only one with cardiomegaly.
    assert chosen_pairs(test, own, LABELS) == {2: "Edema", 4: "No Finding"}
    assert chosen_pairs(test, np.array([0.2, 0.3, 0.1, 0.9, 0.5, 0.4, 1.0]), LABELS) == {
        0: "Edema",
        4: "No Finding",
        3: "Cardiomegaly",
    }


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_no_patient_and_no_report_comes_twice(rows: list[tuple[int, int, int]]) -> None:
    table = pd.DataFrame(rows, columns=["label", "subject_id", "query"])
    table["labels"] = list(np.eye(4, dtype=np.float32)[table["label"]])
    chosen = chosen_pairs(table, np.arange(len(table)), ["a", "b", "c", "d"])
    taken = table.iloc[list(chosen)]
    assert taken["subject_id"].is_unique
    assert taken["query"].is_unique
    assert taken["label"].map(dict(enumerate("abcd"))).tolist() == list(chosen.values())


def test_a_pair_is_named_by_its_findings() -> None:
    labels = ["Edema", "Enlarged Cardiomediastinum", "Fracture", "Pneumonia"]
    assert pair_name(np.array([1, 0, 0, np.nan]), labels, "Edema") == "Edema"
    assert pair_name(np.array([1, 1, 0, 0]), labels, "Edema") == "Edema\nEnlarged\nCardiomediastinum"
    assert pair_name(np.ones(4), labels, "Fracture") == "Fracture\nEdema + 2"


def test_a_hit_is_the_highest_value_alone() -> None:
    assert hits(np.eye(3)) == (3, 3)
    assert hits(np.ones((3, 3))) == (0, 0)
    assert hits(np.array([[0.9, 0.1], [0.95, 0.5]])) == (1, 1)


@given(st.integers(0, 2**32 - 1), st.permutations(range(5)))
def test_the_order_of_the_pairs_changes_no_hit(seed: int, order: list[int]) -> None:
    cosines = np.random.default_rng(seed).normal(size=(5, 5))
    assert hits(cosines[np.ix_(order, order)]) == hits(cosines)


def test_the_matrix_is_of_the_model_that_others_are_compared_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "cxrflow.patchib.similarity_figure.read_master", lambda _: made_up_test_split().assign(split="test")
    )
    monkeypatch.setattr("cxrflow.patchib.similarity_figure.label_order", lambda _: LABELS)
    texts = np.eye(7, dtype=np.float32)
    images = texts * np.linspace(0.1, 0.7, 7, dtype=np.float32)
    read = {"test/image/own": images, "test/text": texts}
    exports = [write_export(tmp_path, model, False, **read) for model in "0A"]
    matrix = Matrix.read(exports, tmp_path, tmp_path)
    assert (matrix.model, matrix.labels) == ("A", ["Edema", "No Finding", "Cardiomegaly"])
    assert matrix.rows["dicom_id"].tolist() == ["b", "f", "d"]
    assert matrix.cosines == pytest.approx(np.diag([0.2, 0.6, 0.4]))


@pytest.mark.parametrize("simulated", [True, False])
def test_reports_are_drawn_of_simulated_radiographs_only(
    simulated: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = drawn_texts(monkeypatch, "similarity_figure")
    rows = made_up_test_split().iloc[[0, 4]]
    matrix = Matrix("A", rows, ["Edema", "No Finding"], ["Edema", "No Finding"], np.eye(2, dtype=np.float32))
    plot_similarity(matrix, store_of(["a", "e"]), simulated, [tmp_path / "similarity.png"])
    assert ("report of a" in said) == simulated
    words = " ".join(said)
    assert ("Simulated radiographs." in words) == simulated
    assert "2 of 2 radiographs" in words
    assert not any(name in said for name in ("a", "e", "p1", "p2"))


def test_a_cohort_without_labels_has_an_empty_matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = drawn_texts(monkeypatch, "similarity_figure")
    test = made_up_test_split().tail(1)
    assert chosen_pairs(test, np.ones(1), LABELS) == {}
    matrix = Matrix("A", test.head(0), [], [], np.zeros((0, 0), np.float32))
    plot_similarity(matrix, store_of(["a"]), False, [tmp_path / "similarity.png"])
    assert "No radiograph of the test split has a label." in said
