"""What the model writes: its likeliest words one by one, the same each time, as text that can be read like a report."""

from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from cxrflow.neural.generation import generate_reports
from cxrflow.neural.settings import DataSettings, DecoderSettings, EncoderSettings, TextSettings, VlmSettings
from cxrflow.neural.tokenizer import END_ID, PAD_ID, decode, encode, save_tokenizer, train_tokenizer
from cxrflow.neural.vlm import VisionLanguageModel
from cxrflow.weights import save_weights

torch.set_num_threads(1)
SETTINGS = VlmSettings(
    encoder=EncoderSettings(widths=(16, 16)),
    decoder=DecoderSettings(width=32, heads=2, layers=2, max_text_length=12),
)
SENTENCES = ["The heart is enlarged.", "No pleural effusion, no pneumothorax.", "Small left-sided nodule (8 mm)."]


def lively(vocabulary: int, seed: int = 0) -> VisionLanguageModel:
    """A tiny model whose untrained weights are large enough to write different things for different images."""
    torch.manual_seed(seed)
    model = VisionLanguageModel(SETTINGS, 96, 2, vocabulary).eval()
    with torch.no_grad():
        for parameter in [*model.decoder.parameters(), *model.projection.parameters()]:
            parameter.normal_(std=0.5)
        torch.nn.init.zeros_(model.classifier.linear.bias)
    return model


def word_by_word(model: VisionLanguageModel, patches: torch.Tensor, length: int) -> list[list[int]]:
    """Greedy writing from its definition: one image at a time, all past words read anew for each next one."""
    reports = []
    for patch in patches:
        seen = model.projection(patch[None]) * torch.sigmoid(model.classifier.linear(patch[None])).amax(2, keepdim=True)
        words = [PAD_ID]
        while len(words) <= length and words[-1] != END_ID:
            past = torch.tensor([words])
            read = model.decoder(
                encoder_outputs=BaseModelOutput(last_hidden_state=seen), decoder_input_ids=past, use_cache=False
            )
            words.append(int(read.logits[0, -1].argmax()))
        reports.append(words[1:])
    return reports


@torch.no_grad()
def test_greedy_writing_is_the_likeliest_word_each_time() -> None:
    model = lively(vocabulary=20, seed=28)
    patches = model.encoder(torch.rand(24, 1, 96, 96)) * torch.linspace(0.5, 3, 24)[:, None, None]
    expected = word_by_word(model, patches, 12)
    written = model.write(patches, length=12, beams=1)
    assert len({tuple(report) for report in expected}) > 5
    assert any(report[-1] == END_ID and len(report) < 12 for report in expected)
    for tokens, report in zip(written.tolist(), expected, strict=True):
        assert tokens[: len(report)] == report
        assert set(tokens[len(report) :]) <= {PAD_ID}
    assert written.shape[1] <= 12
    assert torch.equal(written, model.write(patches, length=12, beams=1))


@torch.no_grad()
def test_a_search_as_wide_as_the_vocabulary_finds_the_best_of_all_reports_of_two_tokens() -> None:
    model = lively(vocabulary=8, seed=5)
    patches = model.encoder(torch.rand(4, 1, 96, 96)) * 2
    seen = model.seen(patches)
    pairs = torch.tensor(list(product(range(8), range(8))))
    best = []
    for image in seen:
        past = torch.cat([torch.zeros(64, 1, dtype=torch.long), pairs[:, :1]], dim=1)
        states = BaseModelOutput(last_hidden_state=image.expand(64, -1, -1))
        chances = model.decoder(encoder_outputs=states, decoder_input_ids=past, use_cache=False).logits.log_softmax(2)
        first, second = (chances[torch.arange(64), place, pairs[:, place]] for place in (0, 1))
        score = torch.where(pairs[:, 0] == END_ID, first, (first + second) / 2)  # mean over the tokens written
        best.append(pairs[int(score.argmax())].tolist())
    written = model.write(patches, length=2, beams=8)
    for tokens, report in zip(written.tolist(), best, strict=True):
        ended = report[:1] if report[0] == END_ID else report
        assert tokens[: len(ended)] == ended


def test_tokens_become_text_as_it_is_written() -> None:
    words = train_tokenizer(SENTENCES * 5, 300)
    tokens = encode(words, [*SENTENCES, ""], 60)
    assert decode(words, tokens) == [*(sentence.lower() for sentence in SENTENCES), ""]
    after_the_end = torch.cat([tokens[:1, :3], torch.tensor([[END_ID]]), tokens[1:2, :5]], dim=1)
    assert decode(words, after_the_end) == [decode(words, tokens[:1, :3])[0]]


def test_a_published_kind_of_tokenizer_is_read_too() -> None:
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁Heart", -1.0),
        ("▁large", -1.0),
        ("r", -2.0),
        (".", -2.0),
    ]
    published = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    published.pre_tokenizer, published.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    published.add_special_tokens(["<pad>", "</s>", "<unk>"])
    beyond_the_vocabulary = 31  # T5's table of embeddings has more rows than its tokenizer has tokens
    assert decode(published, torch.tensor([[3, 4, 5, 6, beyond_the_vocabulary, 1, 0]])) == ["Heart larger."]


@torch.no_grad()
def test_a_published_decoder_writes_by_our_rules(tmp_path: Path) -> None:
    """Its folder asks for sampling and short texts, and its encoder has fewer layers than its decoder."""
    torch.manual_seed(1)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 3}
    published = T5ForConditionalGeneration(T5Config(vocab_size=20, decoder_start_token_id=0, **sizes))
    for parameter in published.parameters():
        parameter.normal_(std=0.5)
    published.generation_config = GenerationConfig(do_sample=True, temperature=5.0, max_length=3)
    published.save_pretrained(tmp_path)
    settings = SETTINGS.model_copy(update={"decoder": DecoderSettings(name=str(tmp_path), max_text_length=9)})
    model = VisionLanguageModel(settings, 96, 2, 20).eval()
    patches = model.encoder(torch.rand(8, 1, 96, 96)) * 3
    written = model.write(patches, length=9, beams=1)
    for tokens, report in zip(written.tolist(), word_by_word(model, patches, 9), strict=True):
        assert tokens[: len(report)] == report
    assert written.shape[1] > 3
    assert len(model.cross_attentions(patches, written)) == model.layers == 3


@pytest.mark.parametrize("beams", [1, 2])
def test_a_split_is_written_whole_and_the_same_each_time(made_up, tmp_path: Path, beams: int) -> None:  # type: ignore[no-untyped-def]
    samples = made_up.files.samples([], "zero")
    words = train_tokenizer(samples["text"], 100)
    save_tokenizer(words, tmp_path / "tokenizer.json")
    save_weights(lively(words.get_vocab_size()), tmp_path / "model.safetensors")
    tables = []
    for name, size in (("one", 7), ("other", 7)):
        output = tmp_path / f"{name}.parquet"
        data = DataSettings(image_size=96, labels=("Lung Lesion", "Support Devices"))
        generate_reports(
            made_up.files,
            tmp_path / "model.safetensors",
            tmp_path / "tokenizer.json",
            "test",
            output,
            data,
            SETTINGS,
            TextSettings(beams=beams, batch_size=size),
            threads=1,
        )
        tables.append(pd.read_parquet(output))
    assert list(tables[0].columns) == ["image_id", "study_id", "text"]
    assert tables[0]["image_id"].tolist() == samples.loc[samples["split"] == "test", "image_id"].tolist()
    assert tables[0]["study_id"].equals(tables[0]["image_id"])
    assert tables[0]["text"].str.len().gt(0).any()
    assert (encode(words, tables[0]["text"].tolist(), 40) != PAD_ID).sum(dim=1).max() <= 40
    pd.testing.assert_frame_equal(*tables)
