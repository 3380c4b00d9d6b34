"""Pointing, overlap and recall by hand; chance and centre."""

import numpy as np
import pytest

from cxrflow.patchib.grounding import centrality, heat_values, mask_values
from cxrflow.patchib.mask_tables import chance_jaccard, jaccard

COVER = np.zeros((1, 16))
COVER[0, 5] = 1.0
COVER[0, 6] = 0.5


def test_heat_in_the_box_points_at_it() -> None:
    heat = np.zeros((1, 16))
    heat[0, 5] = 1.0
    value, chance, _ = heat_values(heat, COVER)["pointing"]
    assert (value[0], chance[0]) == (1.0, pytest.approx(1.5 / 16))
    precision, base, _ = heat_values(heat, COVER)["auprc"]
    assert base[0] == pytest.approx(2 / 16), "a patch lies in the box where half of it is covered"
    assert precision[0] == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 16), "all others tie"


def test_masks_by_hand() -> None:
    mask, logits = np.zeros((1, 16)), np.zeros((1, 16))
    mask[0, [5, 0]] = 1.0
    logits[0, 0] = 3.0
    values = mask_values(logits, mask, COVER)
    assert values["pointing"][0][0] == 0.0
    assert values["recall"][0][0] == pytest.approx(1 / 1.5)
    assert values["precision"][0][0] == pytest.approx(0.5)
    assert values["iou"][0][0] == pytest.approx(1.0 / 2.5)
    assert values["recall"][1][0] == pytest.approx(2 / 16)
    assert values["precision"][1][0] == pytest.approx(1.5 / 16)


def test_the_centre_is_the_four_middle_patches_and_keeps_as_many_as_the_mask() -> None:
    middle = np.argsort(-centrality(16), kind="stable")[:4]
    assert sorted(middle.tolist()) == [5, 6, 9, 10]
    mask = np.zeros((1, 16))
    mask[0, :4] = 1.0
    assert mask_values(mask, mask, COVER)["recall"][2][0] == pytest.approx(1.0)


def test_random_masks_are_near_chance() -> None:
    rng = np.random.default_rng(0)
    logits = rng.random((4000, 16))
    masks = (np.argsort(np.argsort(-logits, axis=1), axis=1) < 4).astype(float)
    cover = np.tile(COVER, (4000, 1))
    for name in ("recall", "precision", "pointing"):
        value, chance, _ = mask_values(logits, masks, cover)[name]
        assert value.mean() == pytest.approx(chance.mean(), abs=0.02)


def test_jaccard_by_hand_and_by_chance() -> None:
    one, other = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 1, 0])
    assert float(jaccard(one, other)) == pytest.approx(1 / 3)
    assert float(jaccard(one, one)) == 1.0
    rng = np.random.default_rng(1)
    masks = (rng.permuted(np.tile(np.arange(100) < 30, (2000, 1)), axis=1)).astype(float)
    assert jaccard(masks[:1000], masks[1000:]).mean() == pytest.approx(chance_jaccard(masks[0], masks[1]), abs=0.01)
