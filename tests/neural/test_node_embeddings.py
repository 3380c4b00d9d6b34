"""Entity vectors tell labels apart; a BERT's are its states averaged over word pieces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from cxrflow.errors import UserError
from cxrflow.neural import node_embeddings
from cxrflow.neural.node_embeddings import bert_vectors, entity_vectors
from cxrflow.neural.settings import GraphSettings

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pleural", "effusion", "##s", "heart", "left", "lower", "lobe"]


def test_the_label_is_told_apart_and_the_words_stay() -> None:
    settings = GraphSettings(text_width=32)
    present, absent = entity_vectors([("Effusion", "OBS-DP"), ("Effusion", "OBS-DA")], settings)
    np.testing.assert_array_equal(present[:32], absent[:32])
    assert present[32:].tolist() == [0, 1, 0, 0]
    assert absent[32:].tolist() == [0, 0, 0, 1]
    assert entity_vectors([], settings).shape == (0, 36)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random BERT of two layers with its tokenizer, as published ones are saved."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes)).save_pretrained(folder)
    return folder


def test_bert_vectors_are_the_mean_over_word_pieces_without_special_tokens(bert: Path) -> None:
    texts = ["left lower lobe", "effusions"]
    pieces = [[8, 9, 10], [5, 6]]
    model = AutoModel.from_pretrained(bert).eval()
    for vector, ids in zip(bert_vectors(texts, str(bert)), pieces, strict=True):
        with torch.no_grad():
            states = model(input_ids=torch.tensor([[2, *ids, 3]])).last_hidden_state[0]
        np.testing.assert_allclose(vector, states[1:-1].mean(dim=0).numpy(), atol=1e-6)


def test_batches_and_the_order_of_texts_change_nothing(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["left lower lobe", "heart", "pleural effusion", "heart effusions left"]
    whole = bert_vectors(texts, str(bert))
    monkeypatch.setattr(node_embeddings, "BERT_BATCH", 1)
    np.testing.assert_allclose(bert_vectors(texts[::-1], str(bert))[::-1], whole, atol=1e-6)


def test_each_text_is_computed_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = node_embeddings.bert_vectors
    monkeypatch.setattr(node_embeddings, "bert_vectors", lambda texts, name: asked.extend(texts) or real(texts, name))
    settings = GraphSettings(text_embedding=str(bert))
    entities = [("heart", "ANAT-DP"), ("effusion", "OBS-DP"), ("effusion", "OBS-DA")]
    vectors = entity_vectors(entities, settings)
    assert sorted(asked) == ["effusion", "heart"]
    assert vectors.shape == (3, 24 + 4)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[1, :24], vectors[2, :24])


def test_an_absent_bert_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text_embedding.*no such BERT[\s\S]*Hint: .*hashed"):
        entity_vectors([("heart", "ANAT-DP")], GraphSettings(text_embedding=str(tmp_path / "nowhere")))
