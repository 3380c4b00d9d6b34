"""Mid-fusion: layers in which image and text read each other, for a second contrastive loss in training.

A fused image embedding has seen its report, so it is never evaluated: evaluation runs each tower by itself.
"""

import torch
from torch import Tensor, nn

from cxrflow.patchib.settings import FusionSettings
from cxrflow.towers import Towers


class CrossReading(nn.Module):
    """Tokens of one tower look at those of the other; starts as no change at all."""

    def __init__(self, width: int, other: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=0.1, kdim=other, vdim=other, batch_first=True)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor, others: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return tokens (B, N, width) after looking at others (B, N', other); `hidden` ones (B, N') are not seen."""
        read, _ = self.attention(self.norm(tokens), others, others, key_padding_mask=hidden, need_weights=False)
        return tokens + self.out(read)


class MidFusion(nn.Module):
    """Both towers layer by layer, reading each other after some layers: the image first, then the text."""

    def __init__(self, towers: Towers, settings: FusionSettings) -> None:
        super().__init__()
        d, e, heads = towers.width, towers.text_width, settings.heads
        self.image_reads = nn.ModuleDict({str(layer): CrossReading(d, e, heads) for layer in settings.layers})
        self.text_reads = nn.ModuleDict({str(layer): CrossReading(e, d, heads) for layer in settings.layers})

    def forward(self, towers: Towers, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit embeddings (B, D) of image and text that have read each other."""
        seen = tokens != towers.pad
        image, text = towers.first_tokens(images), towers.bert.embeddings(input_ids=tokens)
        hidden = torch.zeros(seen.shape, dtype=text.dtype, device=text.device)
        hidden = hidden.masked_fill(~seen, torch.finfo(text.dtype).min)[:, None, None, :]
        blocks, layers = towers.trunk.blocks, towers.bert.encoder.layer
        for number in range(1, max(len(blocks), len(layers)) + 1):
            image = blocks[number - 1](image) if number <= len(blocks) else image
            text = layers[number - 1](text, attention_mask=hidden) if number <= len(layers) else text
            if str(number) in self.image_reads:
                image = self.image_reads[str(number)](image, text, ~seen)
                text = self.text_reads[str(number)](text, image)
        return towers.embed(towers.trunk.norm(image)[:, 0]), towers.embed_text(text, tokens)
