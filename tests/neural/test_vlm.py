"""Encoder, tokenizer, losses and errors of the vision-language model."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cxrflow.augment import augment
from cxrflow.errors import UserError
from cxrflow.networks import PooledClassifier
from cxrflow.neural.dataset import AugmentedBatches, RadiographReports
from cxrflow.neural.encoders import as_patches, build_encoder, small_encoder
from cxrflow.neural.settings import DecoderSettings, EncoderSettings, VlmSettings
from cxrflow.neural.tokenizer import (
    END_ID,
    PAD_ID,
    UNKNOWN_ID,
    encode,
    load_tokenizer,
    published_tokenizer,
    save_tokenizer,
    train_tokenizer,
    trimmed,
)
from cxrflow.neural.vlm import (
    VisionLanguageModel,
    build_decoder,
    vlm_loss,
)
from cxrflow.weights import load_weights, save_weights

TEXTS = ["The heart is enlarged.", "No pleural effusion is seen.", "There is no pneumothorax."] * 5


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("size", [96, 192, 384])
def test_every_image_size_gives_a_12_by_12_grid(size: int, stride: Literal[2, 4]) -> None:
    encoder = small_encoder(size, EncoderSettings(widths=(16, 24, 32), stem_stride=stride))
    assert encoder(torch.rand(2, 1, size, size)).shape == (2, 144, encoder.width)


def test_patches_are_in_rows() -> None:
    encoder = small_encoder(96, EncoderSettings(widths=(16, 32))).eval()
    image = torch.zeros(1, 1, 96, 96)
    blank = encoder(image)
    image[..., 44:52, 84:92] = 1  # row 5 to 6, column 10 to 11
    changed = (encoder(image) - blank).abs().sum(dim=2)[0].view(12, 12)
    row, column = divmod(int(changed.argmax()), 12)
    assert row in (5, 6)
    assert column in (10, 11)
    assert changed[:3].sum() == 0


def test_timm_maps_of_either_order_become_patches() -> None:
    maps = torch.arange(2 * 144 * 3.0).view(2, 12, 12, 3)
    expected = maps.view(2, 144, 3)
    assert torch.equal(as_patches(maps, 3), expected)
    assert torch.equal(as_patches(maps.permute(0, 3, 1, 2), 3), expected)
    assert torch.equal(as_patches(torch.cat([torch.zeros(2, 1, 3), expected], dim=1), 3), expected)
    with pytest.raises(UserError, match="49 patches"):
        as_patches(torch.zeros(1, 7, 7, 3), 3)


def test_a_timm_encoder_takes_grey_images() -> None:
    encoder = build_encoder(EncoderSettings(name="resnet10t"), 384)
    assert encoder(torch.rand(1, 1, 384, 384)).shape == (1, 144, encoder.width)


def test_encoder_weights_are_read_and_checked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = small_encoder(96, EncoderSettings(widths=(32, 64, 128)))
    save_weights(encoder, tmp_path / "model.safetensors")
    settings = EncoderSettings(weights=str(tmp_path))
    again = build_encoder(settings, 96)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in encoder.state_dict().items())
    with pytest.raises(UserError, match="does not fit"):
        build_encoder(EncoderSettings(name="resnet10t", weights=str(tmp_path)), 384)
    with pytest.raises(UserError, match="no such safetensors"):
        build_encoder(EncoderSettings(weights=str(tmp_path / "absent.safetensors")), 96)


def test_what_is_not_on_this_machine_is_told_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="timm"):
        build_encoder(EncoderSettings(name="swin_gigantic"), 384)
    absent = str(tmp_path / "Clinical-T5-Base")
    with pytest.raises(UserError, match="Hint: Give the folder"):
        build_decoder(DecoderSettings(name=absent), 100)
    with pytest.raises(UserError, match="Hint: Give the folder"):
        published_tokenizer(absent)


def test_tokens_end_and_pad_like_t5(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, 200)
    tokens = encode(tokenizer, ["The heart is enlarged.", "", "effusion " * 50], 12)
    assert tokens.shape == (3, 12)
    assert tokens[1].tolist() == [END_ID] + [PAD_ID] * 11
    assert tokens[2, -1] == END_ID
    assert (tokens == END_ID).sum(dim=1).tolist() == [1, 1, 1]
    assert tokenizer.decode(tokens[0].tolist()).strip().startswith("the heart is enlarged")
    assert trimmed(tokens[1:2]).shape == (1, 1)
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    assert torch.equal(encode(load_tokenizer(tmp_path / "tokenizer.json"), TEXTS, 9), encode(tokenizer, TEXTS, 9))


def test_the_tokenizer_does_not_depend_on_the_order_of_reports() -> None:
    assert train_tokenizer(TEXTS, 150).to_str() == train_tokenizer(TEXTS[::-1], 150).to_str()


def small(pooling: str = "logsumexp") -> tuple[VisionLanguageModel, VlmSettings]:
    torch.manual_seed(0)
    settings = VlmSettings(
        encoder=EncoderSettings(widths=(16, 16), pooling=pooling),  # type: ignore[arg-type]
        decoder=DecoderSettings(width=32, heads=2, layers=2),
    )
    return VisionLanguageModel(settings, 96, 1, 50), settings


def test_loss_is_report_plus_weighted_findings() -> None:
    model, _ = small()
    with torch.no_grad():
        output = model.eval()(torch.rand(3, 1, 96, 96), torch.tensor([[4, 5, END_ID]] * 3))
    truth = torch.tensor([[1.0], [0.0], [1.0]])
    findings = F.binary_cross_entropy_with_logits(output.finding_logits, truth)
    assert float(vlm_loss(output, truth, 0.5)) == pytest.approx(float(output.generation_loss + 0.5 * findings))


def test_padding_is_no_target() -> None:
    model, _ = small()
    image = torch.rand(1, 1, 96, 96)
    losses = [
        model.eval()(image, torch.tensor([tokens])).generation_loss for tokens in ([4, 5, END_ID], [4, 5, END_ID, 0, 0])
    ]
    torch.testing.assert_close(losses[0], losses[1])


def test_two_class_cross_entropy_is_the_case_of_one_logit() -> None:
    logit, truth = torch.tensor([0.3, -1.2]), torch.tensor([1, 0])
    two = torch.stack([torch.zeros(2), logit], dim=1)
    assert F.cross_entropy(two, truth) == pytest.approx(float(F.binary_cross_entropy_with_logits(logit, truth.float())))


def test_pooling_of_equal_patches_is_their_logit() -> None:
    patches = torch.rand(2, 1, 8).expand(2, 144, 8)
    for pooling in ("mean", "logsumexp"):
        classifier = PooledClassifier(8, 3, pooling)
        torch.testing.assert_close(classifier(patches), classifier.linear(patches[:, 0]))


def test_every_parameter_is_in_one_group_and_used() -> None:
    model, settings = small()
    groups = model.parameter_groups(settings)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    output = model(torch.rand(2, 1, 96, 96), torch.tensor([[4, END_ID]] * 2))
    vlm_loss(output, torch.ones(2, 1), 0.5).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_without_tokens_the_loss_is_of_the_findings_alone() -> None:
    model, _ = small()
    truth = torch.tensor([[1.0], [0.0]])
    output = model(torch.rand(2, 1, 96, 96), None)
    vlm_loss(output, truth, 1.0).backward()
    assert all(parameter.grad is None for parameter in model.decoder.parameters())
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())


def test_the_first_epochs_hold_no_reports() -> None:
    images = np.zeros((5, 96, 96), np.uint8)
    data = RadiographReports(images, np.arange(5), torch.full((5, 4), END_ID), torch.zeros(5, 1))
    batches = AugmentedBatches(data, size=2, seed=0, without_reports=1)
    assert len(batches) == len(list(batches.epoch(0))) == 3
    assert not any("tokens" in batch for batch in batches.epoch(0))
    assert all("tokens" in batch for batch in batches.epoch(1))
    same = zip(batches.epoch(1), batches.epoch(1), strict=True)
    assert all(torch.equal(one["images"], other["images"]) for one, other in same)


def test_hidden_words_are_the_decoders_past_in_training_only() -> None:
    model, _ = small()
    tokens = torch.tensor([[4, 5, 6, 7, END_ID] * 20])
    past = model.eval().past_words(tokens)
    assert past[0, 0] == PAD_ID
    assert torch.equal(past[:, 1:], tokens[:, :-1])
    hidden = model.train().past_words(tokens)
    changed = hidden != past
    assert 0.1 < changed.float().mean() < 0.5
    assert (hidden[changed] == UNKNOWN_ID).all()


def test_evidence_gates_what_the_decoder_sees() -> None:
    model, _ = small()
    classifier = model.classifier
    with torch.no_grad():
        classifier.linear.weight.zero_()
        classifier.linear.bias.fill_(-50)
    tokens = torch.tensor([[4, 5, END_ID]])
    losses = [float(model.eval()(torch.rand(1, 1, 96, 96), tokens).generation_loss.detach()) for _ in range(2)]
    assert losses[0] == pytest.approx(losses[1])  # no evidence anywhere: every image reads the same


def test_weights_come_back(tmp_path: Path) -> None:
    model, _ = small()
    save_weights(model, tmp_path / "model.safetensors")
    other, _ = small()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_weights(other, tmp_path / "model.safetensors")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_augmentation_never_mirrors_and_follows_its_generator() -> None:
    image = torch.zeros(8, 1, 48, 48)
    image[..., 20:28, 4:12] = 1
    changed = augment(image, torch.Generator().manual_seed(0))
    assert torch.equal(changed, augment(image, torch.Generator().manual_seed(0)))
    assert (changed != image).any()
    assert (changed[..., :24].sum(dim=(1, 2, 3)) > changed[..., 24:].sum(dim=(1, 2, 3))).all()
    assert changed.min() >= 0
    assert changed.max() <= 1
