"""Vectors of entities in their context: a BERT reads the whole report, in windows where it is long.

As published, a word is the sum of its pieces' states (the last four layers added up), and an entity the mean of its
words. (The released code wrote the special tokens with a blank, so that long reports began with an unknown word.)
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cxrflow.bert import load_bert
from cxrflow.ragged import offsets, ranges
from cxrflow.settings import Precision
from cxrflow.training import arithmetic, this_device

LAYERS = 4
LONGEST = 512  # word pieces that a BERT reads at once, two special tokens among them
OVERLAP = 64  # pieces that a further window reads again, at least
BATCH_PIECES = 8192
CACHED_STATES = 1024 * 768  # numbers that a processor's cache holds: it gets a batch of so many pieces x width


class Window(NamedTuple):
    """Pieces `start` to `stop` of all pieces of several reports; those before `fresh` are known from the one before."""

    start: int
    stop: int
    fresh: int


class Spans(NamedTuple):
    """Entities: the report of each, its first token and how many it has, (n,) each."""

    report: NDArray[np.int64]
    first: NDArray[np.int64]
    length: NDArray[np.int64]


class ReportEncoder:
    """A BERT from a folder or the hub's cache, without dropout."""

    def __init__(self, name: str, precision: Precision = "fp32") -> None:
        self.precision = arithmetic(precision, frozen=True)
        self._tokenizer, self._model = load_bert(name, "igcl.graphs.text_encoder", "published: bert-base-uncased")
        self._model.to(this_device())
        self._inside = min(LONGEST, self._model.config.max_position_embeddings) - 2

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self._model.device.type != "cpu"

    @property
    def width(self) -> int:
        """Width of its states."""
        return int(self._model.config.hidden_size)

    def digest(self) -> str:
        """Return the SHA-256 of its weights and its arithmetic."""
        found = hashlib.sha256(self.precision.encode())
        for name, value in sorted(self._model.state_dict().items()):
            found.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def vectors(self, texts: Sequence[list[str]], spans: Spans) -> NDArray[np.float32]:
        """Return (n, width): the vectors of entities in reports, which are given as lists of tokens.

        All pieces of the reports are held at once: 240 MB for 512 reports of 150 pieces and a width of 768.
        """
        pieces, word_starts, piece_starts = self._pieces(texts)
        states = self._states(pieces, windows(piece_starts, self._inside))
        word = offsets(map(len, texts))[spans.report] + spans.first
        start, stop = word_starts[word], word_starts[word + spans.length]
        sums = segment_sums(states, start, stop - start)
        return (sums / torch.from_numpy(np.maximum(spans.length, 1))[:, None]).numpy()

    def _pieces(self, texts: Sequence[list[str]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids of all pieces, where those of each word begin (words + 1,), and of each report (reports + 1,).

        A word may be without pieces: control characters, for instance.
        """
        numbers: dict[str, int] = {}
        word = np.fromiter(
            (numbers.setdefault(one, len(numbers)) for one in chain.from_iterable(texts)), dtype=np.int64
        )
        known = self._pieces_of(list(numbers))
        starts, counts = offsets(map(len, known))[word], np.fromiter(map(len, known), dtype=np.int64)[word]
        word_starts = offsets(counts)
        ids = np.fromiter(chain.from_iterable(known), dtype=np.int64)[ranges(starts, counts)]
        return ids, word_starts, word_starts[offsets(map(len, texts))]

    def _pieces_of(self, words: list[str]) -> list[list[int]]:
        """Return the ids of each word's pieces: they are the same in all reports."""
        if not words:
            return []
        apart = [[word] for word in words]
        return self._tokenizer(apart, is_split_into_words=True, add_special_tokens=False, verbose=False)["input_ids"]

    @torch.inference_mode()
    def _states(self, pieces: NDArray[np.int64], found: Sequence[Window]) -> Tensor:
        """Return (pieces, width): the state of every piece, from the first window that it is in.

        Windows of the same pieces, such as normal reports in the same words, are read once.
        """
        states = torch.zeros(len(pieces), self.width)
        alike: dict[bytes, list[Window]] = {}
        for window in found:
            alike.setdefault(pieces[window.start : window.stop].tobytes(), []).append(window)
        at_once = BATCH_PIECES if self.on_gpu else CACHED_STATES // self.width
        for batch in by_length([first for first, *_ in alike.values()], at_once):
            parts = [pieces[window.start : window.stop] for window in batch]
            for part, state in zip(parts, self._read(parts), strict=True):
                for window in alike[part.tobytes()]:
                    states[window.fresh : window.stop] = state[window.fresh - window.start : len(part)]
        return states

    def _read(self, parts: Sequence[NDArray[np.int64]]) -> Tensor:
        """Return (parts, longest, width) of windows, special tokens put around them and taken off again."""
        tokenizer, longest = self._tokenizer, max(map(len, parts))
        ids = np.full((len(parts), longest + 2), tokenizer.pad_token_id)
        for row, part in zip(ids, parts, strict=True):
            row[: len(part) + 2] = [tokenizer.cls_token_id, *part, tokenizer.sep_token_id]
        known = np.arange(longest + 2) < np.array([len(part) + 2 for part in parts])[:, None]
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(known.astype(np.int64))}
        on_device = {name: value.to(this_device()) for name, value in inputs.items()}
        with torch.autocast(this_device().type, torch.bfloat16, enabled=self.precision == "bf16"):
            layers = self._model(**on_device, output_hidden_states=True).hidden_states[-LAYERS:]
        return sum(layer[:, 1:-1].float() for layer in layers).cpu()


def windows(piece_starts: NDArray[np.int64], size: int) -> list[Window]:
    """Return windows of up to `size` pieces that cover every report; those of a long one overlap.

    The last window of a report is its last `size` pieces, as published; the released code had two and no more.
    """
    found = []
    for start, stop in zip(piece_starts[:-1].tolist(), piece_starts[1:].tolist(), strict=True):
        at, fresh = start, start
        while fresh < stop:
            end = min(at + size, stop)
            found.append(Window(at, end, fresh))
            at, fresh = min(end - min(OVERLAP, size // 2), max(start, stop - size)), end
    return found


def by_length(found: Sequence[Window], pieces: int) -> Iterator[list[Window]]:
    """Yield windows in batches of like length, of at most so many pieces with their padding (or a single window)."""
    batch: list[Window] = []
    for window in sorted(found, key=lambda window: (window.stop - window.start, window.start)):
        if batch and (len(batch) + 1) * (window.stop - window.start) > pieces:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def segment_sums(rows: Tensor, starts: NDArray[np.int64], counts: NDArray[np.int64]) -> Tensor:
    """Return (n, d): sums over stretches of rows (m, d); 0 where one is empty."""
    if not len(starts) or not len(rows):
        return torch.zeros(len(starts), rows.shape[1])
    chosen, bags = torch.from_numpy(ranges(starts, counts)), torch.from_numpy(offsets(counts)[:-1])
    return F.embedding_bag(chosen, rows, bags, mode="sum")
