"""Planted attention is found whatever the report's length; a real T5's attention sums to one; padding is ignored."""

import numpy as np
import pytest
import torch
from torch import nn

from cxrflow.neural.attention import attend, chosen_tokens, patch_attention
from cxrflow.neural.pruning import patch_order
from cxrflow.neural.settings import DecoderSettings, VlmSettings
from cxrflow.neural.tokenizer import END_ID, PAD_ID
from cxrflow.neural.vlm import VisionLanguageModel, VlmOutput

PLANTED = (57, 73, 84, 115)


class PlantedDecoder(nn.Module):
    """Every token of every head looks at four known patches; padded tokens look elsewhere."""

    def forward(self, images: torch.Tensor, tokens: torch.Tensor, attentions: bool = False) -> VlmOutput:
        batch, length = tokens.shape
        cross = torch.full((batch, 3, length, 144), 0.1 / 140)
        cross[..., list(PLANTED)] = 0.9 / 4
        cross[tokens[:, None, :].expand(-1, 3, -1) == PAD_ID] = torch.eye(144)[0]
        logits = torch.zeros(batch, 1)
        return VlmOutput(torch.zeros(batch, 144, 5), logits, logits.sum(), (torch.full_like(cross, 1 / 144), cross))


@pytest.mark.parametrize("length", [1, 2, 19, 144, 145, 300])
@pytest.mark.parametrize("which", ["all", "content"])
def test_planted_patches_are_kept_for_any_report_length(length: int, which: str) -> None:
    tokens = torch.full((2, length + 3), PAD_ID)
    tokens[:, : length - 1] = 7
    tokens[:, length - 1] = END_ID
    _, scores = attend(PlantedDecoder(), torch.zeros(2, 1, 96, 96), tokens, which)
    assert scores.shape == (2, 2, 144)
    for row in patch_order(scores[:, -1]):
        assert set(row[:4].tolist()) == set(PLANTED)


def test_mean_over_heads_and_tokens_by_hand() -> None:
    cross = torch.zeros(1, 2, 3, 144)
    cross[0, 0, 0, 5] = cross[0, 1, 0, 6] = 1  # the heads of token 0 disagree
    cross[0, :, 1, 7] = 1
    cross[0, :, 2, 8] = 1  # padding
    scores = patch_attention(cross, torch.tensor([[True, True, False]]))[0]
    assert scores[[5, 6, 7, 8]].tolist() == [0.25, 0.25, 0.5, 0]


def test_content_leaves_the_end_out_unless_it_is_all_there_is() -> None:
    tokens = torch.tensor([[5, 6, END_ID, PAD_ID], [END_ID, PAD_ID, PAD_ID, PAD_ID]])
    assert chosen_tokens(tokens, "content").tolist() == [[True, True, False, False], [True, False, False, False]]
    assert chosen_tokens(tokens, "all").sum(dim=1).tolist() == [3, 1]


def test_attention_that_does_not_sum_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        patch_attention(torch.full((1, 1, 2, 144), 0.1), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="does not fit"):
        patch_attention(torch.full((1, 1, 144, 2), 0.5), torch.ones(1, 144, dtype=torch.bool))


def model() -> VisionLanguageModel:
    torch.manual_seed(0)
    settings = VlmSettings(decoder=DecoderSettings(width=32, heads=4, layers=2))
    return VisionLanguageModel(settings, image_size=96, findings=2, vocabulary=100).eval()


def test_a_real_decoders_attention_sums_to_one() -> None:
    tokens = torch.tensor([[5, 6, 7, END_ID], [8, END_ID, PAD_ID, PAD_ID]])
    network = model()
    features, scores = attend(network, torch.rand(2, 1, 96, 96), tokens, "all")
    assert features.shape == (2, 144, network.encoder.width)
    assert features.dtype == np.float16
    assert scores.shape == (2, 2, 144)
    np.testing.assert_allclose(scores.sum(axis=2), 1, atol=1e-5)


def test_padding_changes_nothing() -> None:
    network, image = model(), torch.rand(1, 1, 96, 96)
    short = torch.tensor([[5, 6, END_ID]])
    padded = torch.tensor([[5, 6, END_ID, PAD_ID, PAD_ID]])
    np.testing.assert_allclose(
        attend(network, image, short, "all")[1], attend(network, image, padded, "all")[1], atol=1e-6
    )
    with torch.no_grad():
        losses = [float(network(image, tokens).generation_loss) for tokens in (short, padded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_without_eager_attention_the_export_stops() -> None:
    class Blind(PlantedDecoder):
        def forward(self, images: torch.Tensor, tokens: torch.Tensor, attentions: bool = False) -> VlmOutput:
            return super().forward(images, tokens)._replace(cross_attentions=())

    with pytest.raises(RuntimeError, match="eager"):
        attend(Blind(), torch.zeros(1, 1, 96, 96), torch.tensor([[5, END_ID]]), "all")
