"""The towers are open_clip's, opened up: whole embeddings are the same, and one pass serves words and text."""

import pytest
import torch
from tests.patchib.conftest import CONTEXT, REPORTS, SIZE
from torch.nn import functional as F

from cxrflow.errors import UserError
from cxrflow.towers import build_image_tower, build_tokenizer, build_towers, read_clip, words_of
from cxrflow.training import Batch


def test_embeddings_equal_open_clips_own(folder: str, batch: Batch) -> None:
    clip, towers = read_clip(folder).eval(), build_towers(folder, SIZE).eval()
    with torch.no_grad():
        image = towers.embed(towers.last_tokens(batch["images"])[:, 0])
        text = towers.embed_text(towers.read(batch["tokens"]), batch["tokens"])
        torch.testing.assert_close(image, clip.encode_image(batch["images"], normalize=True))
        torch.testing.assert_close(text, clip.encode_text(batch["tokens"], normalize=True))


def test_trimmed_padding_changes_no_text_embedding(folder: str, batch: Batch) -> None:
    towers = build_towers(folder, SIZE).eval()
    shortest = batch["tokens"][1:2]
    trimmed = shortest[:, : int((shortest != towers.pad).sum())]
    with torch.no_grad():
        whole, short = (towers.embed_text(towers.read(tokens), tokens) for tokens in (shortest, trimmed))
    assert trimmed.shape[1] < CONTEXT
    torch.testing.assert_close(whole, short, atol=4e-7, rtol=0)


def test_marks_and_padding_are_no_words(folder: str) -> None:
    words = build_tokenizer(folder, CONTEXT)
    tokens = words.encode([*REPORTS, ""])
    counted = words_of(tokens, words.marks)
    assert not counted[:, 0].any() or counted[-1, 0]
    assert (counted[:-1].sum(dim=1) == (tokens[:-1] != words.pad).sum(dim=1) - 2).all()
    assert counted[-1].sum() == (tokens[-1] != words.pad).sum(), "a text without words counts with its marks"


def test_pixels_are_normalised_as_the_towers_were_trained(folder: str, batch: Batch) -> None:
    towers = build_towers(folder, SIZE).eval()
    towers.mean.fill_(0.5)
    towers.std.fill_(0.25)
    other = build_towers(folder, SIZE).eval()
    with torch.no_grad():
        expected = other.last_tokens((batch["images"] - 0.5) / 0.25)
        torch.testing.assert_close(towers.last_tokens(batch["images"]), expected)


def test_another_image_size_is_an_error_that_names_the_right_one(folder: str) -> None:
    with pytest.raises(UserError, match=r"made for 64 px(.|\n)*image_size to 64"):
        build_towers(folder, 224)
    with pytest.raises(UserError, match=r"igcl.data.image_size is 224(.|\n)*set igcl.data.image_size to 64"):
        build_image_tower(folder, 224, "igcl.data.image_size")


@pytest.mark.parametrize("name", ["no/such/folder", "hf-hub:nobody/nothing"])
def test_towers_that_are_not_there_are_a_users_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"towers.name is"):
        build_towers(name, SIZE)


def test_the_temperature_is_bounded(folder: str) -> None:
    towers = build_towers(folder, SIZE)
    with torch.no_grad():
        towers.logit_scale.fill_(9.0)
    assert float(towers.scale()) == pytest.approx(99.48, abs=0.01)


def test_embeddings_have_unit_length(folder: str, batch: Batch) -> None:
    towers = build_towers(folder, SIZE).eval()
    with torch.no_grad():
        image = towers.embed(towers.last_tokens(batch["images"]))
    assert image.shape == (4, 17, towers.embedding)
    torch.testing.assert_close(F.normalize(image, dim=-1), image)
