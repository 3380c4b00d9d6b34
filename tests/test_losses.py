import math

import torch

from cxrflow.losses import known_cross_entropy, start_at_frequencies

NAN = float("nan")


def test_the_loss_is_the_mean_over_known_labels() -> None:
    logits, truth = torch.tensor([[0.0, 3.0], [2.0, -1.0]]), torch.tensor([[1.0, NAN], [NAN, 0.0]])
    expected = (math.log(2) + math.log(1 + math.exp(-1))) / 2
    assert math.isclose(known_cross_entropy(logits, truth).item(), expected, rel_tol=1e-6)


def test_an_unknown_label_gives_no_gradient() -> None:
    logits = torch.tensor([[0.5, 3.0]], requires_grad=True)
    known_cross_entropy(logits, torch.tensor([[1.0, NAN]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0
    assert logits.grad[0, 1] == 0


def test_a_batch_that_knows_nothing_is_harmless() -> None:
    logits = torch.ones(2, 2, requires_grad=True)
    loss = known_cross_entropy(logits, torch.full((2, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_first_guess_is_each_findings_frequency() -> None:
    truth = torch.tensor([[1.0, 0.0], [0.0, float("nan")], [1.0, 0.0], [1.0, 0.0]])
    last = torch.nn.Linear(3, 2)
    start_at_frequencies(last, truth)
    # (positives + 1) / (known + 2): a finding that was never seen is rare, not impossible
    torch.testing.assert_close(torch.sigmoid(last(torch.zeros(1, 3))), torch.tensor([[4 / 6, 1 / 5]]))
