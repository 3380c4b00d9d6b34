"""The image and the text tower of a model, as open_clip builds them, opened up to their patches and words."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutput

from cxrflow import stem_transformers as _stem_transformers  # noqa: F401 - timm knows them from here on
from cxrflow.errors import UserError

MOST_SCALE = 4.6
"""The logarithm of the inverse temperature is not used above this (99.5)."""


class ImageTower(nn.Module):
    """A vision transformer that sees images as the weights of its published form expect.

    Shapes: B images, M patches and tokens of width d, embeddings of width D.
    """

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.trunk = visual.trunk
        self.image_projection = visual.head
        looks = visual.preprocess_cfg
        self.mean = nn.Buffer(torch.tensor(looks["mean"]).view(1, -1, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(looks["std"]).view(1, -1, 1, 1), persistent=False)

    @property
    def width(self) -> int:
        """Width d of the image tower's tokens."""
        return int(self.trunk.embed_dim)

    @property
    def embedding(self) -> int:
        """Width D of the space in which images and texts meet."""
        return int(
            [layer for layer in self.image_projection.modules() if isinstance(layer, nn.Linear)][-1].out_features
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Patches along both sides of an image."""
        rows, columns = self.trunk.patch_embed.grid_size
        return int(rows), int(columns)

    def first_tokens(self, images: Tensor) -> Tensor:
        """Return the tokens (B, 1 + M, d) that go into the first block, of grey images (B, 1, S, S) in 0..1."""
        channels = (images.expand(-1, self.mean.shape[1], -1, -1) - self.mean) / self.std
        patches = self.trunk.patch_embed(channels)
        return self.trunk.norm_pre(self.trunk.patch_drop(self.trunk._pos_embed(patches)))

    def through(self, tokens: Tensor, blocks: slice) -> Tensor:
        """Return tokens (B, any, d) after some of the blocks."""
        for block in self.trunk.blocks[blocks]:
            tokens = block(tokens)
        return tokens

    def after_all(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, 1 + M, d) after all blocks and the last norm; the first stands for the image."""
        return self.trunk.norm(self.through(tokens, slice(None)))

    def last_tokens(self, images: Tensor) -> Tensor:
        """Return `after_all` of grey images (B, 1, S, S) in 0..1."""
        return self.after_all(self.first_tokens(images))

    def embed(self, states: Tensor) -> Tensor:
        """Return unit embeddings (..., D) of image states (..., d)."""
        return F.normalize(self.image_projection(states), dim=-1)


class Towers(ImageTower):
    """A vision transformer and a BERT that meet in one space.

    Shapes as in `ImageTower`, L words of width e.
    """

    def __init__(self, clip: Any) -> None:
        super().__init__(clip.visual)
        self.bert, self.pooler, self.text_projection = clip.text.transformer, clip.text.pooler, clip.text.proj
        self.logit_scale = clip.logit_scale
        self.pad: int = self.bert.config.pad_token_id

    @property
    def text_width(self) -> int:
        """Width e of the text tower's tokens."""
        return int(self.bert.config.hidden_size)

    def read(self, tokens: Tensor) -> Tensor:
        """Return the states (B, L, e) of words."""
        mask = (tokens != self.pad).long()
        return self.bert(input_ids=tokens, attention_mask=mask).last_hidden_state

    def embed_text(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Return unit embeddings (B, D) of texts from their words' states (B, L, e): one pass serves words and text."""
        pooled = self.pooler(BaseModelOutput(last_hidden_state=states), (tokens != self.pad).long())
        return F.normalize(self.text_projection(pooled), dim=-1)

    def scale(self) -> Tensor:
        """Return the inverse temperature."""
        return self.logit_scale.clamp(max=MOST_SCALE).exp()


def open_clip_name(name: str) -> str:
    """Return a folder or hub name in open_clip's form."""
    return name if name.startswith("hf-hub:") else f"local-dir:{name}"


def read_clip(name: str, weights: bool = True, key: str = "patchib.towers.name") -> Any:
    """Return open_clip's model of a folder or hub name, with its weights or with random ones.

    `key` is where the configuration names it, as told in errors.
    """
    import open_clip

    try:
        with _quiet():
            return open_clip.create_model(
                open_clip_name(name), load_weights=weights, pretrained_text=False, pretrained_image=False
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{key} is {name!r}, and open_clip cannot read such a model here: {_first_line(error)}",
            "give the folder of an unpacked open_clip model (open_clip_config.json, weights, the text model's "
            "config.json and tokenizer.json), `hf-hub:` and a name that is in the hub's cache, or `small`.",
        ) from error


def build_towers(name: str, image_size: int, weights: bool = True) -> Towers:
    """Return the towers of an open_clip folder or hub name; raise UserError where they are for another image size."""
    towers = Towers(read_clip(name, weights))
    _require_size(towers, name, image_size, "patchib.data.image_size")
    return towers


def build_image_tower(name: str, image_size: int, key: str) -> ImageTower:
    """Return the image tower alone, without weights; raise UserError where it is for another image size than `key`."""
    tower = ImageTower(read_clip(name, weights=False).visual)
    _require_size(tower, name, image_size, key)
    return tower


def _require_size(tower: ImageTower, name: str, image_size: int, key: str) -> None:
    side = _side(tower)
    if side != image_size:
        raise UserError(
            f"{key} is {image_size}, but the image tower of {name} is made for {side} px.",
            f"set {key} to {side}.",
        )


def build_tokenizer(name: str, context_length: int) -> "WordPieces":
    """Return the tokenizer that comes with the towers."""
    import open_clip

    try:
        with _quiet():
            return WordPieces(open_clip.get_tokenizer(open_clip_name(name), context_length=context_length))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"The tokenizer of {name!r} cannot be read: {_first_line(error)}",
            "it lies beside the weights (tokenizer.json, tokenizer_config.json).",
        ) from error


class WordPieces:
    """Texts as tokens, and which of these are words: neither marks at both ends nor padding."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        inner = tokenizer.tokenizer
        self.pad = int(inner.pad_token_id)
        self.marks = sorted({int(inner.cls_token_id), int(inner.sep_token_id), self.pad})

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return (N, context length) int64."""
        return self._tokenizer(list(texts))


def words_of(tokens: Tensor, marks: Sequence[int]) -> Tensor:
    """Return (B, L) bool: which tokens are words; a text without any counts whole but for its padding."""
    marked = torch.isin(tokens, torch.tensor(marks, device=tokens.device))
    return torch.where(marked.all(dim=1, keepdim=True), tokens != marks[0], ~marked)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip from telling every step of its own; what goes wrong is an exception."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _side(tower: ImageTower) -> int:
    size = tower.trunk.patch_embed.img_size
    return int(size[0] if isinstance(size, Sequence) else size)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
