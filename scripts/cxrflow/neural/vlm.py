"""The vision-language model: patches -> projection -> T5 decoder that writes the report; findings classified beside."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from cxrflow.losses import known_cross_entropy
from cxrflow.networks import PooledClassifier
from cxrflow.neural.encoders import build_encoder
from cxrflow.neural.settings import DataSettings, DecoderSettings, VlmSettings
from cxrflow.neural.tokenizer import END_ID, PAD_ID, UNKNOWN_ID, missing_decoder
from cxrflow.training import this_device
from cxrflow.weights import load_weights

IGNORED = -100
TOKENS = {"decoder_start_token_id": PAD_ID, "pad_token_id": PAD_ID, "eos_token_id": END_ID}


class VlmOutput(NamedTuple):
    """What a forward pass gives: patches (B, 144, d), one logit per finding (B, C), and the report's mean loss."""

    patches: Tensor
    finding_logits: Tensor
    generation_loss: Tensor


class TakenOut(nn.Identity):
    """Stands where T5's encoder was; generation asks it for the name of its input."""

    main_input_name = "input_ids"


class VisionLanguageModel(nn.Module):
    """NEURAL's first stage: the decoder reads patches where T5 would read its own encoder's output."""

    def __init__(
        self, settings: VlmSettings, image_size: int, findings: int, vocabulary: int, backbone: Path | None = None
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(settings.encoder, image_size, backbone)
        self.decoder = build_decoder(settings.decoder, vocabulary)
        self.layers = len(self.decoder.decoder.block)
        width = self.decoder.config.d_model
        self.projection = nn.Sequential(
            nn.Linear(self.encoder.width, width), nn.Dropout(settings.dropout), nn.ReLU(), nn.Linear(width, width)
        )
        self.classifier = PooledClassifier(self.encoder.width, findings, settings.encoder.pooling)
        self.evidence_gate = settings.encoder.evidence_gate
        self.word_dropout = settings.decoder.word_dropout

    def forward(self, images: Tensor, tokens: Tensor | None) -> VlmOutput:
        """Run teacher-forced: images (B, 1, S, S) in 0..1, tokens (B, T) padded with 0; None leaves the decoder out."""
        patches = self.encoder(images)
        if tokens is None:
            return VlmOutput(patches, self.classifier(patches), patches.new_zeros(()))
        written = self.decoder(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.seen(patches)),
            decoder_input_ids=self.past_words(tokens),
            labels=tokens.masked_fill(tokens == PAD_ID, IGNORED),
            use_cache=False,
        )
        return VlmOutput(patches, self.classifier(patches), written.loss)

    def seen(self, patches: Tensor) -> Tensor:
        """Return what the decoder reads of patches (B, 144, d): projected, and scaled by evidence where so set."""
        seen = self.projection(patches)
        return seen * self.classifier.evidence(patches).detach() if self.evidence_gate else seen

    def cross_attentions(self, patches: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, heads, T, 144) per decoder layer: what each token of a given report looks at."""
        read = self.decoder.decoder(
            input_ids=self.past_words(tokens),
            encoder_hidden_states=self.seen(patches),
            output_attentions=True,
            use_cache=False,
        )
        return read.cross_attentions or ()

    def write(self, patches: Tensor, length: int, beams: int) -> Tensor:
        """Return the reports of patches (B, 144, d) as tokens (B, T): T is at most `length`, padding follows `</s>`.

        One beam takes the likeliest token each time; more search as the paper does, and stop once that many have ended.
        """
        written = self.decoder.generate(  # type: ignore[misc]
            encoder_outputs=BaseModelOutput(last_hidden_state=self.seen(patches)),
            generation_config=GenerationConfig(
                **TOKENS, max_new_tokens=length, num_beams=beams, early_stopping=beams > 1, do_sample=False
            ),
        )
        return written[:, 1:]

    def past_words(self, tokens: Tensor) -> Tensor:
        """Return what the decoder reads (B, T): the tokens one place later; in training some are hidden."""
        past = F.pad(tokens[:, :-1], (1, 0), value=PAD_ID)
        if not (self.training and self.word_dropout):
            return past
        hidden = torch.rand(past.shape, device=past.device) < self.word_dropout
        return past.masked_fill(hidden & (past > END_ID), UNKNOWN_ID)

    def parameter_groups(self, settings: VlmSettings) -> list[dict]:
        """Return the optimiser's groups: decoder and projection at the language rate, the rest at the vision rate."""
        language = [*self.decoder.parameters(), *self.projection.parameters()]
        vision = [*self.encoder.parameters(), *self.classifier.parameters()]
        return [
            {"params": language, "lr": settings.learning_rate_language},
            {"params": vision, "lr": settings.learning_rate_vision},
        ]


def vlm_loss(output: VlmOutput, findings: Tensor, classification_weight: float) -> Tensor:
    """Return report loss + weight x findings' loss; findings (B, C) are 0, 1 or NaN (ignored).

    The spec's two-class cross-entropy on pneumonia is the case C = 1 (a softmax over two logits is a sigmoid of their
    difference). Padding is no target: the released code trained on it.
    """
    classification = known_cross_entropy(output.finding_logits.float(), findings)
    return output.generation_loss + classification_weight * classification


def build_decoder(settings: DecoderSettings, vocabulary: int) -> T5ForConditionalGeneration:
    """Return a T5 whose encoder is taken out: it would never run.

    Attention is the eager kind, since the fused kinds do not give cross-attentions. What a published folder says of
    how to generate (sampling, penalties) is set aside.
    """
    if settings.name == "small":
        model = T5ForConditionalGeneration(_small_config(settings, vocabulary))
    else:
        try:
            model = T5ForConditionalGeneration.from_pretrained(settings.name, attn_implementation="eager")
        except (OSError, ValueError) as error:
            raise missing_decoder(settings.name) from error
    model.encoder = TakenOut()  # type: ignore[assignment]
    model.config.num_layers = len(model.decoder.block)  # the cache of past tokens counts layers by the encoder's
    model.generation_config = GenerationConfig(**TOKENS)
    return model


def _small_config(settings: DecoderSettings, vocabulary: int) -> T5Config:
    config = T5Config(
        vocab_size=vocabulary,
        d_model=settings.width,
        d_kv=settings.width // settings.heads,
        d_ff=3 * settings.width,
        num_layers=1,
        num_decoder_layers=settings.layers,
        num_heads=settings.heads,
        dropout_rate=0.0,  # hidden words regularise it; drawing masks took an eighth of the time
    )
    config.decoder_start_token_id = PAD_ID
    config._attn_implementation = "eager"
    return config


def load_model(weights: Path, data: DataSettings, settings: VlmSettings, vocabulary: int) -> VisionLanguageModel:
    """Return a trained model, ready to be read from (no dropout), on the device of this process.

    What its encoder started from is not looked for: the file has all weights.
    """
    settings = settings.model_copy(update={"encoder": settings.encoder.model_copy(update={"weights": None})})
    model = VisionLanguageModel(settings, data.image_size, len(data.labels), vocabulary)
    load_weights(model, weights)
    return model.to(this_device()).eval()
