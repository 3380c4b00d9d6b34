"""A vector for every report entity: hashed words, or the states of a BERT such as CXR-BERT."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrflow.bert import load_bert
from cxrflow.hashed_words import hashed_vectors
from cxrflow.neural.settings import GraphSettings

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

ENTITY_LABELS = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")
Entity = tuple[str, str]
"""The words of an entity and its label."""

BERT_BATCH = 256


def entity_vectors(entities: Sequence[Entity], settings: GraphSettings) -> NDArray[np.float32]:
    """Return (n, width + 4): a vector of each entity's words, then one-hot its label.

    The same words have the same vector in every split. (The released code used one random vector for all entities,
    another for each split.)
    """
    texts = sorted({text for text, _ in entities})
    if settings.text_embedding == "hashed":
        vectors = hashed_vectors(texts, settings.text_width)
    else:
        vectors = bert_vectors(texts, settings.text_embedding)
    row = {text: position for position, text in enumerate(texts)}
    words = vectors[[row[text] for text, _ in entities]]
    labels = [[label == known for known in ENTITY_LABELS] for _, label in entities]
    return np.concatenate([words, np.array(labels, dtype=np.float32).reshape(-1, len(ENTITY_LABELS))], axis=1)


def bert_vectors(texts: Sequence[str], name: str) -> NDArray[np.float32]:
    """Return (n, d): the last hidden states of a BERT, averaged over each text's word pieces.

    `name` is a folder, or a hub name that is in the cache. The special tokens around a text take no part.
    """
    import torch

    tokenizer, model = load_bert(
        name, "neural.graphs.text_embedding", "CXR-BERT is microsoft/BiomedVLP-CXR-BERT-general"
    )
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda place: (len(texts[place]), place))  # like lengths: little padding
    with torch.no_grad():
        for start in range(0, len(order), BERT_BATCH):
            places = order[start : start + BERT_BATCH]
            vectors[places] = _mean_states(tokenizer, model, [texts[place] for place in places]).numpy()
    logger.info("%d entity texts through %s", len(texts), name)
    return vectors


def _mean_states(tokenizer: Any, model: Any, texts: list[str]) -> "Tensor":
    read = tokenizer(texts, padding=True, truncation=True, return_tensors="pt", return_special_tokens_mask=True)
    pieces = (read["attention_mask"] * (1 - read.pop("special_tokens_mask"))).unsqueeze(-1).float()
    states = model(**read).last_hidden_state.float()
    return (states * pieces).sum(dim=1) / pieces.sum(dim=1).clamp(min=1)
