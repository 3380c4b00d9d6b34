"""A BERT's vectors: sums over word pieces, means over words, long reports in windows, and a shard at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.igcl.made_up_graphs import record, write_lines
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError
from cxrflow.igcl import graph_building, report_states
from cxrflow.igcl.graph_batches import GraphReader
from cxrflow.igcl.graph_building import build_graph_store
from cxrflow.igcl.graph_reading import Shard, read_texts
from cxrflow.igcl.graph_settings import GraphSettings
from cxrflow.igcl.graph_store import VIRTUAL
from cxrflow.igcl.growing_array import GrowingArray
from cxrflow.igcl.report_states import OVERLAP, ReportEncoder, Spans, Window, by_length, windows
from cxrflow.ragged import offsets

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "pleural",
    "effusion",
    "##s",
    "heart",
    "left",
    "W",
    *map("##{}".format, range(10)),
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random BERT of five layers that reads 512 pieces, with its tokenizer, as published ones are saved."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 5,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    BertModel(BertConfig(vocab_size=len(PIECES), **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(bert: Path) -> ReportEncoder:
    return ReportEncoder(str(bert))


def spans(*rows: tuple[int, int, int]) -> Spans:
    return Spans(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


@torch.no_grad()
def four_layers(bert: Path, pieces: list[int]) -> np.ndarray:
    """Return the sum of the last four layers' states of pieces with the special tokens around them."""
    read = AutoModel.from_pretrained(bert).eval()(torch.tensor([[2, *pieces, 3]]), output_hidden_states=True)
    return torch.stack(read.hidden_states[2:]).sum(dim=0)[0, 1:-1].numpy()


def test_a_word_is_the_sum_of_its_pieces_and_an_entity_the_mean_of_its_words(
    bert: Path, encoder: ReportEncoder
) -> None:
    states = four_layers(bert, [8, 4, 5, 6])  # left pleural effusion ##s
    found = encoder.vectors([["left", "pleural", "effusions"]], spans((0, 2, 1), (0, 1, 2), (0, 0, 1)))
    expected = [states[2] + states[3], (states[1] + states[2] + states[3]) / 2, states[0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_other_reports_and_batches_change_nothing(encoder: ReportEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [["heart"], [], ["left", "effusions"] * 40, ["pleural", "effusion"], ["\u200b", "heart"]]
    asked = spans((0, 0, 1), (2, 5, 3), (3, 1, 1), (4, 1, 1), (4, 0, 1))
    together = encoder.vectors(texts, asked)
    monkeypatch.setattr(report_states, "CACHED_STATES", 1)
    np.testing.assert_allclose(encoder.vectors(texts, asked), together, atol=1e-5)
    for row, (report, first, length) in enumerate(zip(*asked, strict=True)):
        alone = encoder.vectors([texts[report]], spans((0, int(first), int(length))))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_reports_in_the_same_words_are_read_once(encoder: ReportEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = ReportEncoder._read

    def counted(self: ReportEncoder, parts: Sequence[np.ndarray]) -> torch.Tensor:
        read.append(len(parts))
        return real(self, parts)

    monkeypatch.setattr(ReportEncoder, "_read", counted)
    texts = [["left", "heart"], ["heart"], ["left", "heart"]]
    found = encoder.vectors(texts, spans((0, 1, 1), (1, 0, 1), (2, 1, 1)))
    assert sum(read) == 2
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.allclose(found[0], found[1], atol=1e-3), "a word's state depends on its whole report"


def test_a_report_of_two_windows_has_its_last_pieces_from_its_last_510(bert: Path, encoder: ReportEncoder) -> None:
    words = ["left", "pleural", "heart"] * 200
    ids = [PIECES.index(word) for word in words]
    first, last = four_layers(bert, ids[:510]), four_layers(bert, ids[-510:])
    found = encoder.vectors([words], spans((0, 509, 1), (0, 510, 1), (0, 599, 1)))
    np.testing.assert_allclose(found, [first[509], last[510 - 90], last[509]], atol=1e-5)


def test_reports_without_words_or_entities_have_no_vectors(encoder: ReportEncoder) -> None:
    assert encoder.vectors([[], []], spans()).shape == (0, 24)
    assert encoder.vectors([["heart"]], spans()).shape == (0, 24)


@given(st.lists(st.integers(0, 400), max_size=5), st.integers(4, 130))
def test_windows_tell_every_piece_once_and_no_report_from_another(sizes: list[int], size: int) -> None:
    starts = offsets(sizes)
    found = windows(starts, size)
    fresh = [piece for window in found for piece in range(window.fresh, window.stop)]
    assert fresh == list(range(starts[-1]))
    for window in found:
        report = np.searchsorted(starts, window.start, side="right") - 1
        assert starts[report] <= window.start <= window.fresh < window.stop <= starts[report + 1]
        assert window.stop - window.start == min(size, sizes[report])
        if window.start > starts[report]:
            assert window.fresh - window.start >= min(OVERLAP, size // 2)


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 200))
def test_batches_hold_every_window_once_and_little_more_than_allowed(sizes: list[int], pieces: int) -> None:
    starts = offsets(sizes)
    given_ = [Window(start, stop, start) for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    batches = list(by_length(given_, pieces))
    assert sorted(window for batch in batches for window in batch) == given_
    assert all(len(batch) == 1 or len(batch) * max(b - a for a, b, _ in batch) <= pieces for batch in batches)


def build(lines: Path, bert: Path, workers: int = 1, **options: Any) -> GraphReader:
    target = lines.parent / "graphs.npz", lines.parent / "vectors.npy"
    settings = GraphSettings(text_encoder=str(bert), text_precision="fp32")
    build_graph_store(lines, *target, settings, workers, Quarantine("test"), **options)
    return GraphReader.open(*target)


def test_the_store_has_the_vector_of_each_entity_in_its_report(
    tmp_path: Path, bert: Path, encoder: ReportEncoder
) -> None:
    records = [record("a", 5), record("b", 0), record("c", 8, seed=2)]
    lines = write_lines(tmp_path / "reports.jsonl", records)
    reader = build(lines, bert, shard_reports=2)
    assert reader.features.vectors.dtype == np.float16
    texts = read_texts(lines, Shard(0, 0, lines.stat().st_size))
    asked = [
        (report, entity["start_ix"], entity["end_ix"] + 1 - entity["start_ix"])
        for report, each in enumerate(records)
        for entity in each["entities"].values()
    ]
    entities = np.flatnonzero(reader.store.labels != VIRTUAL)
    found = reader.features.of(entities)[:, :24]
    np.testing.assert_allclose(found, encoder.vectors(texts, spans(*asked)), atol=1e-2)


def test_vectors_that_are_finished_are_not_made_again(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record(f"s{n}", n % 5, n) for n in range(12)])
    build(lines, bert, shard_reports=3)
    undisturbed = (tmp_path / "vectors.npy").read_bytes()
    made: list[int] = []
    real = graph_building._write_shard_vectors

    def counted(*arguments: Any) -> None:
        made.append(arguments[-1].number)
        if len(made) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(graph_building, "_write_shard_vectors", counted)
    with pytest.raises(KeyboardInterrupt):
        build(lines, bert, shard_reports=3)
    made.clear()
    build(lines, bert, shard_reports=3)
    assert made == [2, 3]
    assert (tmp_path / "vectors.npy").read_bytes() == undisturbed


@pytest.mark.parametrize("workers", [2, 3])
def test_vectors_are_the_same_whatever_the_number_of_processes(tmp_path: Path, bert: Path, workers: int) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record(f"s{n}", n % 5, n) for n in range(12)])
    build(lines, bert, shard_reports=3)
    alone = (tmp_path / "vectors.npy").read_bytes()
    build(lines, bert, workers, shard_reports=3)
    assert (tmp_path / "vectors.npy").read_bytes() == alone


def test_a_damaged_shard_is_not_taken_for_finished(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path, 6, 4)
    array.begin()
    values = np.arange(12, dtype=np.float16).reshape(3, 4)
    array.write(1, 3, values)
    assert array.has(1, 3, 3)
    assert not array.has(0, 0, 3)
    content = bytearray((tmp_path / "vectors.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "vectors.npy").write_bytes(content)
    array.begin()
    assert not array.has(1, 3, 3)
    array.write(1, 3, values)
    array.publish(tmp_path / "done.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "done.npy")[3:], values)


def test_an_absent_bert_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"igcl.graphs.text_encoder.*no such BERT[\s\S]*Hint: .*hashed"):
        ReportEncoder(str(tmp_path / "nowhere"))


def test_an_absent_bert_is_told_before_the_reports_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record("a", 5)])
    monkeypatch.setattr(graph_building, "read_graphs", lambda *_: pytest.fail("a report was read"))
    with pytest.raises(UserError, match="no such BERT"):
        build(lines, tmp_path / "nowhere")
