"""Variants: each once, in a fixed order, as the tables name them; permuted labels move between patients, whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.neural.graphs import Graphs
from cxrflow.neural.report_graphs import ReportGraphs
from cxrflow.neural.variants import Variant, permuted, permuted_rows, variants

EMPTY = ReportGraphs(
    nodes=np.zeros(0, np.int32),
    node_offsets=np.zeros(1, np.int64),
    edges=np.zeros((0, 2), np.int32),
    edge_offsets=np.zeros(1, np.int64),
    hubs=np.zeros(0, np.int32),
    vectors=np.zeros((0, 20), np.float32),
)
ALL = ("fused", "image", "text")


def graphs(selectors: tuple[str, ...], texts: tuple[str, ...]) -> Graphs:
    attended = [f"attention_{text}" for text in texts] if "attention" in selectors else []
    keys = [*attended, *(name for name in selectors if name != "attention")]
    order = {key: np.zeros((0, 144), np.uint8) for key in keys}
    hubs = {key: np.zeros((0, 3), np.uint8) for key in keys}
    nobody = np.zeros(0, dtype=str)
    shares = {"percentiles": np.array([2.3, 25.0, 100.0]), "kept": np.array([4, 36, 144])}
    return Graphs(nobody, nobody, nobody, **shares, orders=order, hubs=hubs, reports=dict.fromkeys(texts, EMPTY))


FULL = graphs(("attention", "random", "centre", "norm"), ("reference", "generated"))


def test_every_variant_once_and_as_many_as_the_design_says() -> None:
    found = variants(FULL, ALL, ["jpeg_10", "side_24"], permuted_control=True)
    assert len(found) == len(set(found))
    blind, whole_and_codecs, attention = 3 * 2, 1 + 2, 2 * 2
    report_alone, fused, fused_whole, control = 2, 2 * 2, 2, 2 * 2
    assert len(found) == blind + whole_and_codecs + attention + report_alone + fused + fused_whole + control
    columns = {(v.input, v.selector, v.text, v.kept_percent, v.labels) for v in found}
    assert len(columns) == len(found)
    assert found == variants(FULL, ALL, ["jpeg_10", "side_24"], permuted_control=True)


def test_a_text_is_named_where_a_report_took_part_and_only_there() -> None:
    for variant in variants(FULL, ALL, ["jpeg_10"], permuted_control=True):
        took_part = variant.input != "image" or variant.selector == "attention"
        assert (variant.text != "none") == took_part
        assert variant.kept == {0.0: 0, 2.3: 4, 25.0: 36, 100.0: 144}[variant.kept_percent]
        assert (variant.selector == "none") == (variant.input == "text")


def test_controls_are_the_smallest_fused_graph_and_the_report_alone() -> None:
    found = {v[:4] for v in variants(FULL, ALL, (), permuted_control=True) if v.labels == "permuted"}
    expected = {("text", "none", text, 0.0) for text in ("reference", "generated")}
    assert found == expected | {("fused", "attention", text, 2.3) for text in ("reference", "generated")}
    assert all(v.labels == "true" for v in variants(FULL, ALL))


def test_what_was_not_asked_for_is_left_out() -> None:
    assert {v.input for v in variants(FULL, ("image",), (), permuted_control=True)} == {"image"}
    no_attention = variants(graphs(("random",), ("reference",)), ALL, (), permuted_control=True)
    assert not any(v.selector == "attention" for v in no_attention)
    assert Variant("fused", "all", "reference", 100.0, 144) in no_attention


@pytest.mark.parametrize(
    ("selector", "text", "ranking"),
    [
        ("attention", "masked", "attention_masked"),
        ("norm", "none", "norm"),
        ("all", "none", None),
        ("jpeg_2", "none", None),
    ],
)
def test_the_ranking_that_chooses(selector: str, text: str, ranking: str | None) -> None:
    assert Variant("image", selector, text, 25.0, 36).ranking == ranking


cohorts = st.lists(st.integers(1, 6), min_size=2, max_size=40)


@given(cohorts, st.integers(0, 5))
@settings(max_examples=60)
def test_labels_are_permuted_and_no_patient_keeps_its_own(counts: list[int], seed: int) -> None:
    patients = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)).astype(str), counts))
    rows = permuted_rows(patients, "train", seed)
    assert sorted(rows.tolist()) == list(range(len(patients)))
    if max(counts) <= min(sum(group) for group in _rings(counts)) / 2:
        assert (patients[rows] != patients).all()
    np.testing.assert_array_equal(rows, permuted_rows(patients, "train", seed))


def _rings(counts: list[int]) -> list[list[int]]:
    return [[count for count in counts if count == size] for size in set(counts)]


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=30)
def test_a_patients_images_take_one_patients_labels(patients: int, images: int, seed: int) -> None:
    ids = np.tile(np.arange(patients).astype(str), images)
    givers = ids[permuted_rows(ids, "test", seed)]
    taken = {patient: set(givers[ids == patient].tolist()) for patient in ids.tolist()}
    assert all(len(givers_of) == 1 for givers_of in taken.values())
    assert all(patient not in givers_of for patient, givers_of in taken.items())


def test_patients_whose_count_nobody_shares_swap_too() -> None:
    patients = np.repeat(["a", "b", "c", "d"], [1, 2, 3, 3])
    for seed in range(5):
        rows = permuted_rows(patients, "train", seed)
        assert (patients[rows[:3]] != patients[:3]).sum() >= 2
        assert set(patients[rows[3:6]]) == {"d"}
    alone = np.repeat(["a", "b", "c"], [1, 1, 2])
    assert all((alone[permuted_rows(alone, "train", seed)] != alone).all() for seed in range(5))


def test_splits_and_seeds_have_permutations_of_their_own() -> None:
    ids = np.arange(50).astype(str)
    drawn = {tuple(permuted_rows(ids, split, seed).tolist()) for split in ("train", "test") for seed in (0, 1)}
    assert len(drawn) == 4


def test_the_prevalence_stays() -> None:
    targets = torch.tensor([[1.0, 0], [0, 0], [1, 1], [float("nan"), 1]])
    shuffled = permuted(targets, np.array(["a", "b", "c", "d"]), "train", 0)
    torch.testing.assert_close(shuffled.nansum(dim=0), targets.nansum(dim=0))
    assert not torch.equal(shuffled.nan_to_num(-1), targets.nan_to_num(-1))
