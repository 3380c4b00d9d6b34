"""Models A to E are what they say: identities between them, and no text in any image embedding."""

import pytest
import torch
from tests.patchib.conftest import PATCHES, made

from cxrflow.patchib.embedding import embed_kept
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.settings import FusionSettings, LocalSettings, MaskSettings, ModelSettings
from cxrflow.training import Batch

WORDS = LocalSettings(heads=2, dropout=0.0)
C = ModelSettings(local=WORDS, mask=MaskSettings(kind="threshold"))
D = ModelSettings(local=WORDS, mask=MaskSettings(kind="top_k", keep=0.5))
E = ModelSettings(local=LocalSettings(kind="filip"), mask=MaskSettings(kind="token_drop", keep=0.5, drop_layer=1))
EVERY = {"A": ModelSettings(), "B": ModelSettings(local=WORDS), "C": C, "D": D, "E": E}


def with_logits(model: PatchModel, value: float) -> PatchModel:
    """The model with all logits at one value."""
    assert model.scorer is not None
    last = model.scorer.body[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(value)
    return model


@torch.no_grad()
def test_c_with_high_logits_is_the_mean_of_all_patches(folder: str, batch: Batch) -> None:
    model = with_logits(made(folder, C), 9.0)
    patches = model.towers.last_tokens(batch["images"])[:, 1:]
    torch.testing.assert_close(model.see(batch["images"]).image, model.towers.embed(patches.mean(dim=1)))


@torch.no_grad()
def test_d_with_the_whole_share_is_c_with_everything_kept(folder: str, batch: Batch) -> None:
    whole = D.model_copy(update={"mask": MaskSettings(kind="top_k", keep=1.0)})
    expected = with_logits(made(folder, C), 9.0).see(batch["images"]).image
    torch.testing.assert_close(made(folder, whole).see(batch["images"]).image, expected)


@torch.no_grad()
def test_e_with_the_whole_share_is_a(folder: str, batch: Batch) -> None:
    expected = made(folder, ModelSettings()).see(batch["images"]).image
    torch.testing.assert_close(made(folder, E).see(batch["images"], share=1.0).image, expected)


@torch.no_grad()
def test_e_runs_its_upper_blocks_on_the_kept_patches_alone(folder: str, batch: Batch) -> None:
    model, lengths = made(folder, E), []
    for block in model.towers.trunk.blocks:
        block.register_forward_hook(lambda _, given, __: lengths.append(given[0].shape[1]))
    seen = model.see(batch["images"])
    assert lengths == [1 + PATCHES, 1 + PATCHES // 2]
    assert seen.mask is not None
    assert (seen.mask.sum(dim=1) == PATCHES // 2).all()


@torch.no_grad()
def test_a_pass_on_all_patches_is_the_whole_pass_and_hidden_patches_change_nothing(folder: str, batch: Batch) -> None:
    model = made(folder, ModelSettings())
    everything, first = torch.ones(len(batch["images"]), PATCHES), model.towers.first_tokens(batch["images"])
    torch.testing.assert_close(embed_kept(model, first, everything), model.see(batch["images"]).image)
    half = everything.clone()
    half[:, PATCHES // 2 :] = 0
    before = embed_kept(model, first, half)
    changed = model.towers.trunk.pos_embed
    changed[:, 1 + PATCHES // 2 :] += 3.0
    torch.testing.assert_close(embed_kept(model, model.towers.first_tokens(batch["images"]), half), before)


@pytest.mark.parametrize("name", ["C", "D", "E"])
@torch.no_grad()
def test_several_shares_at_once_are_each_share_by_itself(name: str, folder: str, batch: Batch) -> None:
    model = made(folder, EVERY[name]).eval()
    shares = [1.0, 0.5, None, 0.25]
    together = list(model.see_at(model.towers.first_tokens(batch["images"]), shares))
    for share, seen in zip(shares, together, strict=True):
        alone = model.see(batch["images"], share)
        torch.testing.assert_close(seen.image, alone.image)
        torch.testing.assert_close(seen.mask, alone.mask)


@pytest.mark.parametrize("name", EVERY)
def test_no_text_reaches_an_image_embedding(name: str, folder: str, batch: Batch) -> None:
    fused = EVERY[name].model_copy(update={"fusion": FusionSettings(layers=(1, 2), heads=2)})
    model = made(folder, fused)
    model.losses(batch)
    before = model.see(batch["images"]).image
    model.losses({**batch, "tokens": batch["tokens"].flip(0)})
    torch.testing.assert_close(model.see(batch["images"]).image, before)


@torch.no_grad()
def test_fusion_starts_as_two_towers_by_themselves(folder: str, batch: Batch) -> None:
    model = made(folder, ModelSettings(fusion=FusionSettings(layers=(1, 2), heads=2)))
    assert model.fusion is not None
    image, text = model.fusion(model.towers, batch["images"], batch["tokens"])
    torch.testing.assert_close(image, model.see(batch["images"]).image)
    own = model.towers.embed_text(model.towers.read(batch["tokens"]), batch["tokens"])
    torch.testing.assert_close(text, own, atol=1e-5, rtol=1e-4)


PARTS = {
    "A": {"contrastive"},
    "B": {"contrastive", "local"},
    "C": {"contrastive", "local", "sparsity", "full", "consistency"},
    "D": {"contrastive", "local", "sparsity", "full", "consistency"},
    "E": {"contrastive", "local", "sparsity"},
}


@pytest.mark.parametrize("name", EVERY)
def test_every_part_of_the_loss_reaches_what_it_is_for(name: str, folder: str, batch: Batch) -> None:
    model = made(folder, EVERY[name]).train()
    parts = model.losses(batch)
    assert set(parts) == PARTS[name]
    model(batch).backward()
    silent = {key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert not {key for key in silent if key.startswith(("scorer.", "local.patch", "towers.image_projection"))}


def test_the_bert_reads_each_text_once_per_step(folder: str, batch: Batch) -> None:
    model, passes = made(folder, C).train(), []
    model.towers.bert.register_forward_hook(lambda *_: passes.append(1))
    model(batch)
    assert len(passes) == 1
