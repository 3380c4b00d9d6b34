"""Kept patches are prefixes of one ranking, with exactly the published counts."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrflow.errors import UserError
from cxrflow.neural.pruning import (
    AttentionFiles,
    centre_order,
    kept_counts,
    kept_table,
    patch_order,
    patch_scores,
    random_order,
    rank_patches,
)
from cxrflow.neural.settings import PruningSettings, TextSettings

TABLE = {1: 2, 2.3: 4, 3: 5, 5: 8, 6.6: 10, 10: 15, 25: 36, 50: 72, 100: 144}


def test_counts_are_those_of_the_percentile_rule() -> None:
    assert kept_counts(list(TABLE), "percentile") == list(TABLE.values())


def test_topk_rounds_the_share() -> None:
    assert kept_counts([0.1, 2.3, 50, 100], "topk") == [1, 3, 72, 144]


@given(st.floats(0.5, 99.5), st.integers(0, 100))
def test_counts_equal_numpys_percentile_of_distinct_scores(share: float, seed: int) -> None:
    share = round(share, 1)
    scores = np.random.default_rng(seed).permutation(144) / 8
    above = int((scores > np.percentile(scores, 100 - share)).sum())
    assert kept_counts([share], "percentile") == [max(1, above)]


@given(arrays(np.float32, (3, 144), elements=st.integers(0, 5).map(np.float32)))
def test_ties_go_to_the_lower_patch(scores: np.ndarray) -> None:
    for row, order in zip(scores, patch_order(scores), strict=True):
        assert sorted(range(144), key=lambda patch: (-row[patch], patch)) == order.tolist()


def test_a_smaller_share_is_contained_in_a_larger_one() -> None:
    scores = np.random.default_rng(0).random((20, 144))
    order = patch_order(scores)
    counts = kept_counts(sorted(TABLE), "percentile")
    for smaller, larger in pairwise(counts):
        for row in order:
            assert set(row[:smaller]) < set(row[:larger])


def test_random_order_is_a_permutation_that_the_seed_decides() -> None:
    first = random_order(7, 1)
    assert (np.sort(first, axis=1) == np.arange(144)).all()
    np.testing.assert_array_equal(first, random_order(7, 1))
    assert (first != random_order(7, 2)).any()
    assert (first[0] != first[1]).any()


def test_the_centre_comes_first_and_the_corners_last() -> None:
    order = centre_order(3)
    assert (order == order[0]).all()
    assert order[0, :4].tolist() == [65, 66, 77, 78]  # rows and columns 5 and 6 of 0 to 11
    assert order[0, 4:12].tolist() == [53, 54, 64, 67, 76, 79, 89, 90]  # a knight's move of half patches: 1 and 3
    assert order[0, -4:].tolist() == [0, 11, 132, 143]
    distance = np.hypot(order[0] // 12 - 5.5, order[0] % 12 - 5.5)
    assert (np.diff(distance) >= -1e-9).all()
    assert sorted(order[0].tolist()) == list(range(144))


@pytest.fixture
def exports(tmp_path: Path) -> AttentionFiles:
    """Exports of 3 and 2 radiographs; patch 7 is what `masked` looks at, patch 9 what `reference` does."""
    files = AttentionFiles(
        *([tmp_path / f"{split}_{part}" for split in "ab"] for part in ("a.npz", "n.npy", "i.parquet"))
    )
    rng = np.random.default_rng(0)
    for split, count in enumerate((3, 2)):
        attention = {name: rng.random((count, 2, 144), dtype=np.float32) for name in ("reference", "masked")}
        attention["reference"][:, -1, 9] = attention["masked"][:, -1, 7] = 2
        np.savez(files.attention[split], **attention)
        norms = rng.random((count, 144), dtype=np.float32)
        norms[:, 100 + split] = 5
        np.save(files.norms[split], norms)
        names = [f"{'ab'[split]}{number}" for number in range(count)]
        whose = {"image_id": names, "patient_id": names, "study_id": names, "split": "test"}
        pd.DataFrame(whose).to_parquet(files.images[split])
    return files


TEXTS = TextSettings(settings=("reference", "masked"))


def test_every_selector_and_text_has_its_ranking(exports: AttentionFiles, tmp_path: Path) -> None:
    rank_patches(exports, tmp_path / "ranking.npz", tmp_path / "kept.csv", "last", PruningSettings(), TEXTS)
    ranking = np.load(tmp_path / "ranking.npz")
    orders = {name.removeprefix("order_") for name in ranking.files if name.startswith("order_")}
    assert orders == {"attention_reference", "attention_masked", "random", "centre", "norm"}
    assert ranking["image_id"].tolist() == ["a0", "a1", "a2", "b0", "b1"]
    for key in orders:
        order = ranking[f"order_{key}"]
        assert order.dtype == np.uint8
        assert (np.sort(order, axis=1) == np.arange(144)).all()
    assert ranking["order_attention_reference"][:, 0].tolist() == [9] * 5
    assert ranking["order_attention_masked"][:, 0].tolist() == [7] * 5
    assert ranking["order_norm"][:, 0].tolist() == [100] * 3 + [101] * 2
    norms = np.concatenate([np.load(file) for file in exports.norms])
    assert (np.diff(np.take_along_axis(norms, ranking["order_norm"].astype(int), axis=1), axis=1) <= 0).all()


def test_only_configured_selectors_are_ranked(exports: AttentionFiles, tmp_path: Path) -> None:
    settings = PruningSettings(selectors=("centre",))
    rank_patches(exports, tmp_path / "ranking.npz", tmp_path / "kept.csv", "last", settings, TEXTS)
    names = set(np.load(tmp_path / "ranking.npz").files)
    assert names == {"image_id", "patient_id", "study_id", "split", "order_centre"}


def test_exports_of_other_runs_are_refused(exports: AttentionFiles, tmp_path: Path) -> None:
    outputs = (tmp_path / "ranking.npz", tmp_path / "kept.csv", "last", PruningSettings())
    with pytest.raises(UserError, match="not to 'generated'"):
        rank_patches(exports, *outputs, TextSettings(settings=("generated",)))
    np.save(exports.norms[0], np.ones((7, 144), dtype=np.float32))
    with pytest.raises(UserError, match="norm ranking is of 9 radiographs, the exports name 5"):
        rank_patches(exports, *outputs, TEXTS)
    assert not outputs[0].exists()


def test_the_hash_seed_changes_nothing(exports: AttentionFiles, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from cxrflow.neural.pruning import AttentionFiles, rank_patches\n"
        "from cxrflow.neural.settings import PruningSettings, TextSettings\n"
        "root, made = map(Path, sys.argv[1:])\n"
        "names = ([root / f'{s}_{p}' for s in 'ab'] for p in ('a.npz', 'n.npy', 'i.parquet'))\n"
        "texts = TextSettings(settings=('reference', 'masked'))\n"
        "rank_patches(AttentionFiles(*names), made, made.with_suffix('.csv'), 'last', PruningSettings(), texts)\n"
    )
    made = []
    for seed in ("1", "2"):
        output = tmp_path / f"ranking_{seed}.npz"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, str(tmp_path), str(output)], check=True, env=environment)
        made.append(output.read_bytes())
    assert made[0] == made[1]


def test_layers_are_chosen_or_averaged() -> None:
    attention = np.stack([np.zeros((2, 144)), np.ones((2, 144))], axis=1).astype(np.float32)
    assert (patch_scores(attention, "last") == 1).all()
    assert (patch_scores(attention, "mean") == 0.5).all()


def test_the_realised_share_is_told() -> None:
    table = kept_table(PruningSettings()).set_index("kept_percent")
    assert table.loc[2.3, "realised_percent"] == pytest.approx(100 * 4 / 144)
