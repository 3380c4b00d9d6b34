"""Report tokens: a small tokenizer trained on the train split's reports, or the one of a published T5."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from cxrflow.errors import UserError
from cxrflow.files import write_text

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
PAD_ID, END_ID, UNKNOWN_ID = 0, 1, 2  # T5's numbers


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a lower-casing byte-pair tokenizer with at most `vocabulary` tokens; every text ends with `</s>`."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, END, UNKNOWN], min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, END_ID)])
    return tokenizer


def published_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a T5 folder or hub name."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name).backend_tokenizer
    except (OSError, ValueError) as error:
        raise missing_decoder(name) from error
    return tokenizer


def missing_decoder(name: str) -> UserError:
    """Return the error for a decoder that is not on this machine."""
    return UserError(
        f"neural.vlm.decoder.name is {name!r}, and no such T5 model (weights and tokenizer) is on this machine.",
        "Give the folder of the unpacked model (Clinical-T5-Base is on PhysioNet as clinical-t5 1.0.0), a hub name "
        "that is in the cache, or 'small' to train a small decoder from scratch.",
    )


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write the tokenizer as JSON."""
    write_text(path, tokenizer.to_str(pretty=True) + "\n")


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer written by `save_tokenizer`."""
    return Tokenizer.from_file(str(path))


def encode(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Tensor:
    """Return token ids (N, max_length) int64: each text cut so that `</s>` always ends it, then padded."""
    tokens = torch.full((len(texts), max_length), PAD_ID, dtype=torch.long)
    for row, encoded in enumerate(tokenizer.encode_batch(list(texts), add_special_tokens=False)):
        ids = [*encoded.ids[: max_length - 1], END_ID]
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens


def covering(
    tokenizer: Tokenizer, texts: Sequence[str], marked: Sequence[NDArray[np.bool_]], max_length: int
) -> Tensor:
    """Return (N, max_length) bool: which tokens of `encode` hold a marked character of their text.

    `marked` has one flag per character; a token's leading blank belongs to it, so that blanks must not be marked.
    """
    covered = torch.zeros((len(texts), max_length), dtype=torch.bool)
    for row, encoded in enumerate(tokenizer.encode_batch(list(texts), add_special_tokens=False)):
        for place, (start, end) in enumerate(encoded.offsets[: max_length - 1]):
            covered[row, place] = bool(marked[row][start:end].any())
    return covered


def decode(tokenizer: Tokenizer, tokens: Tensor) -> list[str]:
    """Return the texts of tokens (N, T), read up to the first `</s>`; unknown and special tokens leave no trace."""
    rows = (row[: row.index(END_ID)] if END_ID in row else row for row in tokens.tolist())
    return [text.strip() for text in tokenizer.decode_batch(list(rows), skip_special_tokens=True)]


def trimmed(tokens: Tensor) -> Tensor:
    """Return the columns that hold any token but padding: (B, T) with T as short as the longest text."""
    longest = int((tokens != PAD_ID).sum(dim=1).max())
    return tokens[:, :longest]
