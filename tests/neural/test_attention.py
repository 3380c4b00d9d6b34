"""Planted attention is found whatever the report's length; each text has its own; padding and features ignore texts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from cxrflow.neural.alignment import entity_characters
from cxrflow.neural.attention import (
    ExportFiles,
    Guide,
    attend,
    chosen_tokens,
    encode_images,
    export_attention,
    patch_attention,
)
from cxrflow.neural.pruning import patch_order
from cxrflow.neural.settings import AttentionSettings, DataSettings, DecoderSettings, EncoderSettings, VlmSettings
from cxrflow.neural.texts import TextFiles
from cxrflow.neural.tokenizer import END_ID, PAD_ID, encode, load_tokenizer, save_tokenizer, train_tokenizer
from cxrflow.neural.vlm import VisionLanguageModel
from cxrflow.radiographs import read_images
from cxrflow.weights import load_weights, save_weights

torch.set_num_threads(1)
PLANTED = (57, 73, 84, 115)
SETTINGS = VlmSettings(encoder=EncoderSettings(widths=(16, 16)), decoder=DecoderSettings(width=32, heads=4, layers=2))


class Planted(nn.Module):
    """Every token of every head looks at four known patches; padded tokens look elsewhere."""

    def cross_attentions(self, patches: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        batch, length = tokens.shape
        cross = torch.full((batch, 3, length, 144), 0.1 / 140)
        cross[..., list(PLANTED)] = 0.9 / 4
        cross[tokens[:, None, :].expand(-1, 3, -1) == PAD_ID] = torch.eye(144)[0]
        return torch.full_like(cross, 1 / 144), cross


@pytest.mark.parametrize("length", [1, 2, 19, 144, 145, 300])
@pytest.mark.parametrize("which", ["all", "content", "entities"])
def test_planted_patches_are_kept_for_any_report_length(length: int, which: str) -> None:
    tokens = torch.full((2, length + 3), PAD_ID)
    tokens[:, : length - 1] = 7
    tokens[:, length - 1] = END_ID
    entities = torch.arange(length + 3).expand(2, -1) % 5 == 1 if which == "entities" else None
    scores = attend(Planted(), torch.zeros(2, 144, 5), tokens, chosen_tokens(tokens, which, entities))
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


def test_without_entities_content_counts_and_without_content_the_end() -> None:
    tokens = torch.tensor([[5, 6, END_ID, PAD_ID]] * 2 + [[END_ID, PAD_ID, PAD_ID, PAD_ID]])
    entities = torch.tensor([[False, True, True, True], [False] * 4, [True] * 4])
    assert chosen_tokens(tokens, "entities", entities).tolist() == [
        [False, True, False, False],
        [True, True, False, False],
        [True, False, False, False],
    ]


def test_a_real_decoders_attention_sums_to_one_and_is_that_of_the_loss() -> None:
    tokens = torch.tensor([[5, 6, 7, END_ID], [8, END_ID, PAD_ID, PAD_ID]])
    network, images = model(), torch.rand(2, 1, 96, 96)
    patches = encode_images(network, images)
    assert patches.shape == (2, 144, network.encoder.width)
    scores = attend(network, patches, tokens, chosen_tokens(tokens, "all"))
    assert scores.shape == (2, 2, 144)
    np.testing.assert_allclose(scores.sum(axis=2), 1, atol=1e-5)
    seen = network.projection(patches) * network.classifier.evidence(patches)
    with torch.no_grad():  # the whole T5, as it is trained
        whole = network.decoder(
            encoder_outputs=BaseModelOutput(last_hidden_state=seen),
            labels=tokens,
            output_attentions=True,
            use_cache=False,
        )
    expected = torch.stack([layer.mean(dim=1) for layer in whole.cross_attentions], dim=1)
    np.testing.assert_allclose(scores[0], expected[0].mean(dim=1).numpy(), atol=1e-6)
    np.testing.assert_allclose(scores[1], expected[1, :, :2].mean(dim=1).numpy(), atol=1e-6)


def test_padding_changes_nothing() -> None:
    network, image = model(), torch.rand(1, 1, 96, 96)
    reports = (torch.tensor([[5, 6, END_ID]]), torch.tensor([[5, 6, END_ID, PAD_ID, PAD_ID]]))
    patches = encode_images(network, image)
    short, padded = (attend(network, patches, tokens, chosen_tokens(tokens, "all")) for tokens in reports)
    np.testing.assert_allclose(short, padded, atol=1e-6)
    with torch.no_grad():
        losses = [float(network(image, tokens).generation_loss) for tokens in reports]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_without_eager_attention_the_export_stops() -> None:
    class Blind(Planted):
        def cross_attentions(self, patches: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return ()

    tokens = torch.tensor([[5, END_ID]])
    with pytest.raises(RuntimeError, match="eager"):
        attend(Blind(), torch.zeros(1, 144, 5), tokens, chosen_tokens(tokens, "all"))


def test_entity_tokens_are_those_that_hold_a_letter_of_an_entity() -> None:
    text = "No large effusion."
    words = train_tokenizer([text] * 5, 60)
    graph = {
        "text": "No large effusion .",
        "entities": {"1": {"tokens": "effusion", "label": "OBS-DA", "start_ix": 2, "end_ix": 2, "relations": []}},
    }
    guide = Guide([text, "no"], [entity_characters(text, graph), np.zeros(2, dtype=bool)])
    tokens, chosen = guide.tokens(words, slice(0, 2), 20, "entities")
    pieces = [[words.id_to_token(token) for token in row] for row in tokens.tolist()]
    taken = "".join(piece for piece, here in zip(pieces[0], chosen[0].tolist(), strict=True) if here)
    assert taken.lstrip("▁") == "effusion"
    content = [piece not in ("<pad>", "</s>") for piece in pieces[1]]
    assert chosen[1].tolist() == content  # a report without entities


@pytest.fixture(scope="module")
def exported(made_up, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """The test split's attention to two text settings, in one pass and each by itself."""
    root = tmp_path_factory.mktemp("exported")
    samples = made_up.files.samples([], "zero")
    words = train_tokenizer(samples["text"], 100)
    save_tokenizer(words, root / "tokenizer.json")
    torch.manual_seed(0)
    save_weights(VisionLanguageModel(SETTINGS, 96, 2, words.get_vocab_size()), root / "model.safetensors")
    texts = {"reference": samples["text"].tolist(), "generated": ["", *["The heart."] * (len(samples) - 1)]}
    for name, own in texts.items():
        pd.DataFrame({"image_id": samples["image_id"], "text": own}).to_parquet(root / f"{name}.parquet")
        lines = [json.dumps(first_word(image, text)) for image, text in zip(samples["image_id"], own, strict=True)]
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    for name, chosen, which in (("both", texts, "content"), *((own, [own], "content") for own in texts)):
        export(made_up, root, name, list(chosen), which)
    export(made_up, root, "entities", ["generated"], "entities")
    return root


def first_word(image: str, text: str) -> dict[str, object]:
    words = text.replace(".", " .").split()
    one = {"tokens": words[0], "label": "OBS-DP", "start_ix": 0, "end_ix": 0, "relations": []} if words else None
    return {"study_id": image, "text": " ".join(words), "entities": {"1": one} if one else {}}


def files(root: Path, name: str) -> ExportFiles:
    names = ("features.npy", "norms.npy", "attention.npz", "images.parquet")
    return ExportFiles(*(root / f"{name}_{part}" for part in names))


def export(made_up, root: Path, name: str, texts: list[str], which: str) -> None:  # type: ignore[no-untyped-def]
    export_attention(
        made_up.files,
        root / "model.safetensors",
        root / "tokenizer.json",
        {text: TextFiles(root / f"{text}.parquet", root / f"{text}.jsonl") for text in texts},
        "test",
        files(root, name),
        DataSettings(image_size=96, labels=("Lung Lesion", "Support Devices")),
        SETTINGS,
        AttentionSettings(tokens=which, batch_size=7),  # type: ignore[arg-type]
        threads=1,
    )


def test_one_pass_gives_each_text_what_a_pass_of_its_own_would(exported: Path) -> None:
    both = np.load(files(exported, "both").attention)
    assert set(both.files) == {"reference", "generated"}
    for text in both.files:
        alone = np.load(files(exported, text).attention)
        assert alone.files == [text]
        np.testing.assert_array_equal(both[text], alone[text])
        assert both[text].shape == (24, 2, 144)
        assert both[text].dtype == np.float32
        np.testing.assert_allclose(both[text].sum(axis=2), 1, atol=1e-4)
    assert not np.allclose(both["reference"], both["generated"], atol=1e-9)


def test_features_and_norms_do_not_depend_on_the_text(exported: Path) -> None:
    one, other = files(exported, "reference"), files(exported, "generated")
    assert one.features.read_bytes() == other.features.read_bytes()
    features, norms = np.load(one.features), np.load(one.norms)
    assert features.shape == (24, 144, 16)
    assert features.dtype == np.float16
    assert norms.dtype == np.float32
    np.testing.assert_allclose(norms, np.sqrt((features.astype(np.float64) ** 2).sum(axis=2)), rtol=2e-3)
    assert pd.read_parquet(one.images)["image_id"].tolist() == pd.read_parquet(other.images)["image_id"].tolist()


def test_only_the_entities_tokens_are_averaged(exported: Path, made_up) -> None:  # type: ignore[no-untyped-def]
    """Each generated report but one is 'The heart.', and its graph has the first word alone."""
    words = load_tokenizer(exported / "tokenizer.json")
    tokens = encode(words, ["The heart."], 64)[:, :10]
    network = VisionLanguageModel(SETTINGS, 96, 2, words.get_vocab_size()).eval()
    load_weights(network, exported / "model.safetensors")
    samples = made_up.files.samples([], "zero")
    last = samples[samples["split"] == "test"]["image_id"].iloc[-1:]
    store = made_up.files.store()
    patches = encode_images(network, read_images(store.images, store.rows(last)))
    first = torch.tensor([["the" in words.id_to_token(token) for token in tokens[0].tolist()]])
    assert first.sum() == 1
    expected = attend(network, patches, tokens, first)
    scores = np.load(files(exported, "entities").attention)["generated"]
    np.testing.assert_allclose(scores[-1], expected[0], atol=1e-6)
