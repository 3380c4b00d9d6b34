"""Multiplications are those of the published towers; dropped patches save what they should; memory is what is held."""

import pytest
import torch
from benchmarks.patchib import MARKS, towers_of

from cxrflow.efficiency import peak_bytes
from cxrflow.patchib.efficiency import kept_tokens, macs
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.settings import MaskSettings, ModelSettings


def test_model_a_at_biomedclips_size_has_its_published_cost() -> None:
    """ViT-B/16 at 224 px and BERT-base at 77 tokens: 23.4 G without the products inside attention, as fvcore counts."""
    model = PatchModel(towers_of(12, 12), ModelSettings(), MARKS).eval()
    cost = macs(model, torch.rand(1, 1, 224, 224), torch.randint(4, 1000, (1, 77)))
    assert (cost.macs - cost.attention) / 1e9 == pytest.approx(23.4, abs=0.1)
    by_hand = 12 * 2 * 768 * (197**2 + 77**2)
    assert cost.attention == pytest.approx(by_hand, rel=0.01)


def test_dropped_patches_save_work_in_the_upper_blocks_alone() -> None:
    towers = towers_of(4, 1, size=64, width=64)
    mask = MaskSettings(kind="token_drop", keep=0.5, drop_layer=2)
    whole, dropped = (
        PatchModel(towers, settings, MARKS).eval() for settings in (ModelSettings(), ModelSettings(mask=mask))
    )
    image = torch.rand(1, 1, 64, 64)
    linear = [macs(model, image).macs - macs(model, image).attention for model in (whole, dropped)]
    embedding, block, scorer = 16 * 64 * 768, 12 * 64**2, 16 * (64 * 16 + 16)
    assert linear[0] == pytest.approx(embedding + 4 * 17 * block + 64 * 512)
    assert linear[1] == pytest.approx(embedding + (2 * 17 + 2 * 9) * block + scorer + 64 * 512)
    assert kept_tokens(dropped, image, None) == 8
    assert kept_tokens(whole, image, None) == 16


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's own count is another one")
def test_the_peak_is_what_is_held_at_once() -> None:
    def work() -> None:
        first = torch.zeros(1_000_000)
        second = first + 1
        del first
        torch.zeros(500_000)
        del second

    assert peak_bytes(work) == pytest.approx(8_000_000, rel=0.01)
