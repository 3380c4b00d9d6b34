"""Words and patches: late interaction by hand, padding that counts for nothing, distances."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from cxrflow.patchib.local_alignment import LocalAlignment, filip_similarity, from_words, rebuilt_loss
from cxrflow.patchib.settings import LocalSettings


def unit(*shape: int) -> torch.Tensor:
    """Random vectors of unit length."""
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))), dim=-1)


def counted(*lengths: int) -> torch.Tensor:
    """Which of the words count, text by text."""
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def test_late_interaction_equals_its_definition() -> None:
    patches, words, mask = unit(18, 5, 7), unit(18, 6, 7), counted(*([6, 3, 1] * 6))
    found = filip_similarity(patches, words, mask)
    for image, text in itertools.product((0, 4, 17), (0, 1, 2, 16)):
        cosines = patches[image] @ words[text][mask[text]].T
        expected = 0.5 * (cosines.max(dim=1).values.mean() + cosines.max(dim=0).values.mean())
        assert float(found[image, text]) == pytest.approx(float(expected), abs=1e-6)


def test_late_interaction_has_the_gradient_of_one_whole_computation() -> None:
    patches, words, mask = unit(20, 4, 8).requires_grad_(), unit(20, 5, 8), counted(*([5, 2] * 10))
    filip_similarity(patches, words, mask).sin().sum().backward()
    assert patches.grad is not None
    parts, patches.grad = patches.grad.clone(), None
    cosines = torch.einsum("ikd,jld->ijkl", patches, words).masked_fill(~mask[None, :, None, :], -1.0)
    best_patch = (torch.einsum("ikd,jld->ijkl", patches, words).amax(2) * mask).sum(2) / mask.sum(1)
    (0.5 * (cosines.amax(3).mean(2) + best_patch)).sin().sum().backward()
    torch.testing.assert_close(parts, patches.grad)


def test_late_interaction_keeps_a_fraction_of_its_cosines_for_the_gradient() -> None:
    patches, words, mask = unit(32, 49, 16).requires_grad_(), unit(32, 40, 16), counted(*([40, 9] * 16))
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        filip_similarity(patches, words, mask)
    cosines = 32 * 32 * 49 * 40 * patches.element_size()
    assert 0 < sum(kept.values()) < cosines / 4


@pytest.mark.parametrize("kind", ["cross_attention", "filip"])
def test_padding_changes_no_loss(kind: str) -> None:
    torch.manual_seed(0)
    settings = LocalSettings(kind=kind, heads=2, dropout=0.0)  # type: ignore[arg-type]
    local = LocalAlignment(6, 5, 8, settings).eval()
    patches, words = torch.randn(3, 4, 6), torch.randn(3, 7, 5)
    scale, short = torch.tensor(10.0), counted(5, 5, 5)
    padded = F.pad(short, (0, 2))
    found = local(patches, words, padded, scale, None)
    torch.testing.assert_close(found, local(patches, words[:, :5], short, scale, None))


def test_distances_by_hand() -> None:
    one, other = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.0, 1.0], [0.0, 2.0]]])
    both, first = torch.tensor([[True, True]]), torch.tensor([[True, False]])
    assert float(rebuilt_loss(one, other, both, "cosine")) == pytest.approx(0.5)
    assert float(rebuilt_loss(one, other, first, "cosine")) == pytest.approx(1.0)
    assert float(rebuilt_loss(one, other, both, "mse")) == pytest.approx(0.75)


def test_a_patch_is_rebuilt_from_words_that_count() -> None:
    words = unit(1, 3, 4)
    only = from_words(unit(1, 2, 4), words, torch.tensor([[False, True, False]]))
    torch.testing.assert_close(only, words[:, 1:2].expand(1, 2, 4))
