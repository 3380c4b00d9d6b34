"""Paired differences: what is compared with what, on the same images, how surely; controls are of their own labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cxrflow.metrics import auroc, paired_difference, resample_weights, two_sided_p
from cxrflow.neural.evaluation import (
    VARIANT,
    Key,
    counterparts,
    evaluate_predictions,
    paired_differences,
    scored_variants,
)
from cxrflow.neural.settings import EvaluationSettings

QUICK = EvaluationSettings(resamples=200)
PATIENTS = 60
FOUND = [
    ("image", "none", "all", 100.0),
    ("image", "none", "jpeg_10", 100.0),
    ("image", "none", "random", 2.3),
    ("image", "none", "random", 25.0),
    ("image", "none", "norm", 2.3),
    ("image", "masked", "attention", 2.3),
    ("image", "reference", "attention", 2.3),
    ("text", "masked", "none", 0.0),
    ("fused", "masked", "attention", 2.3),
    ("fused", "masked", "all", 100.0),
    ("fused", "reference", "all", 100.0),
]


def rows(seed: int, key: tuple[str, str, str, float], strength: float, labels: str = "true") -> pd.DataFrame:
    """Return predictions on two images of each patient; `strength` is how well they tell the outcome."""
    rng = np.random.default_rng([seed, round(1000 * strength), len(key[2]), round(10 * key[3])])
    images = [f"i{number:03d}" for number in range(2 * PATIENTS)]
    y = np.random.default_rng(7).integers(0, 2, len(images))
    if labels == "permuted":
        y = np.random.default_rng(seed).permutation(y)
    table = {"image_id": images, "patient_id": [f"p{n // 2}" for n in range(len(images))], "target": "Edema", "y": y}
    table |= dict(zip(("input", "text", "selector", "kept_percent"), key, strict=True))
    return pd.DataFrame(table | {"labels": labels, "seed": seed, "probability": rng.random(len(y)) + strength * y})


def write(
    folder: Path, strengths: dict[tuple[str, str, str, float], float], seeds: tuple[int, ...] = (0, 1)
) -> list[Path]:
    for seed in seeds:
        parts = [rows(seed, key, strength) for key, strength in strengths.items()]
        pd.concat(parts).sample(frac=1, random_state=seed).to_parquet(folder / f"{seed}.parquet")
    return [folder / f"{seed}.parquet" for seed in seeds]


def test_every_row_is_compared_with_what_belongs_to_it() -> None:
    keys = {Key("Edema", *key, "true"): None for key in FOUND}
    found = {(*key[1:5], against): other[1:5] for key in keys for against, other in counterparts(key, keys)}
    whole, text = ("image", "none", "all", 100.0), ("fused", "masked", "all", 100.0)
    expected = {
        ("image", "none", "jpeg_10", 100.0, "whole"): whole,
        ("image", "none", "random", 2.3, "whole"): whole,
        ("image", "none", "random", 25.0, "whole"): whole,
        ("image", "none", "norm", 2.3, "whole"): whole,
        ("fused", "masked", "attention", 2.3, "whole"): text,
    }
    for setting in ("masked", "reference"):
        attention = ("image", setting, "attention", 2.3)
        expected[(*attention, "whole")] = whole
        expected |= {(*attention, name): ("image", "none", name, 2.3) for name in ("random", "norm")}
        expected[(*attention, "jpeg_10")] = ("image", "none", "jpeg_10", 100.0)
    assert found == expected


def test_a_difference_is_that_of_the_seeds_mean_metrics_on_the_same_resamples(tmp_path: Path) -> None:
    attention, random = ("image", "masked", "attention", 2.3), ("image", "none", "random", 2.3)
    files = write(tmp_path, {attention: 0.4, random: 0.1})
    table = paired_differences(scored_variants(files, QUICK), "c", True)
    row = table[(table["against"] == "random") & (table["metric"] == "auroc")].iloc[0]
    tables = [(rows(seed, attention, 0.4), rows(seed, random, 0.1)) for seed in (0, 1)]
    areas = [[roc_auc_score(one["y"], one["probability"]) for one in pair] for pair in tables]
    assert row["value"] == pytest.approx(np.mean([a - b for a, b in areas]))
    metrics = evaluate_predictions(scored_variants(files, QUICK), "c", True).set_index(["selector", "metric"])["value"]
    assert row["value"] == pytest.approx(metrics[("attention", "auroc")] - metrics[("random", "auroc")])
    assert row[["n_patients", "n_seeds"]].tolist() == [PATIENTS, 2]
    single = paired_differences(scored_variants(files[:1], QUICK), "c", True)
    weights = resample_weights(tables[0][0]["patient_id"], QUICK.resamples, QUICK.seed)
    scores = [one["probability"].to_numpy() for one in tables[0]]
    expected = paired_difference(auroc, tables[0][0]["y"].to_numpy(), *scores, weights)
    found = single[(single["against"] == "random") & (single["metric"] == "auroc")].iloc[0]
    np.testing.assert_allclose(found[["value", "low", "high"]].astype(float), expected)


def test_a_great_difference_is_told_from_none(tmp_path: Path) -> None:
    attention, worse = ("image", "masked", "attention", 2.3), ("image", "none", "norm", 2.3)
    files = write(tmp_path, {attention: 2.0, worse: 0.0}, (0,))
    table = pd.read_parquet(files[0])
    twin = table[table["selector"] == "attention"].assign(selector="all", text="none", kept_percent=100.0)
    pd.concat([table, twin]).to_parquet(files[0])
    found = paired_differences(scored_variants(files, QUICK), "c", True).set_index(["selector", "against", "metric"])
    least = 2 / (QUICK.resamples + 1)
    assert found.loc[("attention", "norm", "auroc"), "p"] == pytest.approx(least)
    assert found.loc[("attention", "norm", "auroc"), "low"] > 0.2
    assert found.loc[("attention", "whole", "auroc"), ["value", "low", "high", "p"]].tolist() == [0, 0, 0, 1]
    assert found.loc[("norm", "whole", "auroc"), "high"] < -0.2
    # Compared with `norm` is one row, with `whole` are two: the smaller p of the two is doubled.
    assert found.loc[("attention", "norm", "auroc"), "p_holm"] == pytest.approx(least)
    assert found.loc[("norm", "whole", "auroc"), "p_holm"] == pytest.approx(2 * least)
    assert found.loc[("attention", "whole", "auroc"), "p_holm"] == 1


@given(st.integers(0, 20))
@settings(max_examples=8, deadline=None)
def test_swapping_both_sides_turns_the_sign_and_keeps_p(seed: int) -> None:
    draws = np.random.default_rng(seed).normal(seed / 10, 1, 99)
    assert two_sided_p(draws) == two_sided_p(-draws)
    assert 2 / 100 <= two_sided_p(draws) <= 1


def test_permuted_labels_are_measured_seed_by_seed_and_never_compared(tmp_path: Path) -> None:
    key = ("text", "masked", "none", 0.0)
    files = []
    for seed in (0, 1):
        permuted = rows(seed, key, 2.0, "permuted")
        pd.concat([rows(seed, key, 0.0), permuted]).to_parquet(tmp_path / f"{seed}.parquet")
        files.append(tmp_path / f"{seed}.parquet")
    table = evaluate_predictions(scored_variants(files, QUICK), "c", True)
    assert not table.duplicated([*VARIANT, "metric"]).any()
    area = table[table["metric"] == "auroc"].set_index("labels")["value"]
    assert area["permuted"] == 1  # its own labels are told perfectly; those of the other seed would give about a half
    assert 0.3 < area["true"] < 0.7
    assert paired_differences(scored_variants(files, QUICK), "c", True).empty


def test_one_outcome_has_neither_difference_nor_p(tmp_path: Path) -> None:
    files = write(tmp_path, {("image", "none", "all", 100.0): 0.2, ("image", "none", "norm", 2.3): 0.1}, (0,))
    pd.read_parquet(files[0]).assign(y=0).to_parquet(files[0])
    table = paired_differences(scored_variants(files, QUICK), "c", True)
    assert len(table) == 2
    assert table[["value", "low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_rows_of_other_images_are_not_paired(tmp_path: Path) -> None:
    files = write(tmp_path, {("image", "none", "all", 100.0): 0.2, ("image", "none", "norm", 2.3): 0.1}, (0,))
    table = pd.read_parquet(files[0])
    table[(table["selector"] == "all") | (table["image_id"] != "i003")].to_parquet(files[0])
    with pytest.raises(ValueError, match="same seeds and images"):
        paired_differences(scored_variants(files, QUICK), "c", True)


def test_the_order_of_files_and_rows_changes_nothing(tmp_path: Path) -> None:
    files = write(tmp_path, {("image", "none", "all", 100.0): 0.5, ("image", "masked", "attention", 2.3): 0.3})
    first = paired_differences(scored_variants(files, QUICK), "c", True)
    pd.testing.assert_frame_equal(first, paired_differences(scored_variants(files[::-1], QUICK), "c", True))
    assert list(first.columns[-3:]) == ["high", "p", "p_holm"]
