"""A vector for every text without a model: signed hashes of its words and of their letter triples."""

import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray


def hashed_vectors(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """Return (n, width): signed hashes of words and letter triples at length 1, the same on every machine."""
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        for gram in _grams(text.lower()):
            code = _code(gram)
            vector[(code >> 1) % width] += 1.0 if code & 1 else -1.0
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=vectors, where=length > 0)


def _grams(text: str) -> list[str]:
    words = text.split()
    return [*words, *(f"#{part}" for word in words for part in _triples(f"<{word}>"))]


def _triples(word: str) -> list[str]:
    return [word[start : start + 3] for start in range(len(word) - 2)]


@cache
def _code(gram: str) -> int:
    return zlib.crc32(gram.encode())
