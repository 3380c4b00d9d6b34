"""Rare labels count as much as common ones, the best epoch is kept, and no fold knows of another."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from cxrflow.clear.bag_batches import BagBatches, Bags
from cxrflow.clear.bag_training import (
    LOSS,
    FoldRun,
    apply,
    as_log_odds,
    balanced_loss,
    class_weights,
    positive_weights,
    train_fold,
)
from cxrflow.clear.downstream_settings import AggregationSettings

torch.set_num_threads(1)

HOW = AggregationSettings(hidden=8, heads=2, epochs=12, patience=None, learning_rate=0.02, batch_size=8, dropout=0.0)
RUN = FoldRun("abmil", "multi-label", seed=3)


def bags_of(count: int, seed: int, noise: bool = False) -> Bags:
    """Bags whose label is the sign of the first feature of one of their slices, or nothing at all."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 9, count)
    starts = np.cumsum(counts) - counts
    features = rng.normal(size=(counts.sum(), 4)).astype(np.float16)
    labels = rng.random((count, 1)) < 0.5
    features[starts, 0] += 0 if noise else 4 * (labels[:, 0] * 2 - 1)
    return Bags(features, starts, counts, torch.from_numpy(labels.astype(np.float32)))


def test_the_weight_of_positives_is_negatives_over_positives() -> None:
    nothing = float("nan")
    labels = torch.tensor([[1, 1, 1], [0, 1, nothing], [0, 1, 0], [nothing, 1, 0], [0, 1, 0]], dtype=torch.float32)
    assert positive_weights(labels).tolist() == [3.0, 1.0, 3.0]
    both = [
        balanced_loss(torch.zeros(5, 3), labels, "multi-label", weights)
        for weights in (torch.ones(3), torch.full((3,), 3.0))
    ]
    known, positive = 13, 7
    assert float(both[1] / both[0]) == pytest.approx((known + 2 * positive) / known)


def test_classes_weigh_the_same_however_many_there_are() -> None:
    labels = torch.eye(3)[torch.tensor([0, 0, 0, 0, 1, 1])]
    weights = class_weights(labels)
    assert weights.tolist() == [0.5, 1.0, 1.0]
    logits = torch.tensor([[2.0, 0.0, 0.0]] * 6)
    first, second = (-logits.log_softmax(1)[0, place] for place in (0, 1))
    assert float(balanced_loss(logits, labels, "multi-class", weights)) == pytest.approx(float(first + second) / 2)


def test_log_odds_of_classes_are_those_of_a_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
    np.testing.assert_allclose(expit(as_log_odds(logits, "multi-class")), softmax(logits, axis=1), rtol=1e-4)
    assert as_log_odds(logits, "ordinal") is logits


def test_the_best_epoch_is_kept_and_not_the_last() -> None:
    """Labels are noise: what is learnt of them makes the loss on other patients worse."""
    train, held_out = bags_of(24, 1, noise=True), bags_of(24, 2, noise=True)
    model, progress = train_fold(RUN, train, held_out, HOW)
    losses = [row[LOSS] for row in progress.history]
    assert len(losses) == HOW.epochs
    assert progress.best_epoch == int(np.argmin(losses)) < HOW.epochs - 1
    logits = torch.from_numpy(apply(model, held_out).logits)
    kept = float(balanced_loss(logits, held_out.labels, "multi-label", positive_weights(train.labels)))
    assert kept == pytest.approx(min(losses), rel=1e-5)
    assert kept < losses[-1]


def test_what_can_be_learnt_is_learnt_and_training_ends_when_patience_does() -> None:
    train, held_out = bags_of(120, 1), bags_of(40, 2)
    model, _ = train_fold(RUN, train, held_out, HOW)
    told = apply(model, held_out).logits[:, 0] > 0
    assert (told == (held_out.labels[:, 0].numpy() > 0)).mean() > 0.9
    impatient = HOW.model_copy(update={"patience": 0, "epochs": 100})
    _, progress = train_fold(RUN, bags_of(24, 1, noise=True), bags_of(24, 2, noise=True), impatient)
    assert len(progress.history) == progress.best_epoch + 2


def test_a_fold_s_model_does_not_depend_on_what_was_trained_before() -> None:
    train, held_out = bags_of(16, 1), bags_of(16, 2)
    short = HOW.model_copy(update={"epochs": 2, "dropout": 0.5})
    first = apply(train_fold(RUN, train, held_out, short)[0], held_out).logits
    train_fold(FoldRun("pma", "multi-label", seed=9), held_out, train, short)
    torch.rand(7)
    again = apply(train_fold(RUN, train, held_out, short)[0], held_out).logits
    np.testing.assert_array_equal(first, again)


def test_features_are_brought_to_the_training_slices_mean_and_spread() -> None:
    train, held_out = bags_of(16, 1), bags_of(16, 2)
    scaled = [
        Bags((bags.features * 8 + 16).astype(np.float16), bags.starts, bags.counts, bags.labels)
        for bags in (train, held_out)
    ]
    short = HOW.model_copy(update={"epochs": 2})
    plain = apply(train_fold(RUN, train, held_out, short)[0], held_out).logits
    other = apply(train_fold(RUN, scaled[0], scaled[1], short)[0], scaled[1]).logits
    np.testing.assert_allclose(plain, other, atol=0.02)


def test_training_draws_slices_of_large_bags_and_evaluation_takes_all() -> None:
    bags = bags_of(12, 0)
    limited = BagBatches(bags, 5, 4, seed=0)
    batches = list(limited.epoch(0))
    assert len(batches) == len(limited) == 3
    sizes = torch.cat([torch.bincount(batch["owner"], minlength=len(batch["labels"])) for batch in batches])
    assert sorted(sizes.tolist()) == sorted(np.minimum(bags.counts, 4).tolist())
    whole = bags.batch()
    assert len(whole["features"]) == bags.counts.sum()
    drawn = [torch.cat([batch["features"] for batch in limited.epoch(number)]).tolist() for number in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    every = {tuple(row) for row in whole["features"].tolist()}
    assert {tuple(row) for row in drawn[0]} < every


def test_evaluation_in_parts_gives_every_bag_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bags = bags_of(20, 0)
    monkeypatch.setattr("cxrflow.clear.bag_batches.AT_ONCE", 15)
    parts = list(bags.in_order())
    assert len(parts) > 3
    assert np.concatenate([part.starts for part in parts]).tolist() == bags.starts.tolist()
