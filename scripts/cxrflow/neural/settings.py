"""What a user may choose about `neural`: encoder, decoder, pruning, graphs, classifier, intervals."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cxrflow.cohort.policies import OTHER, UncertainPolicy
from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings
from cxrflow.settings import Precision, Settings

GRID_SIDE = 12
"""Patches along each side of a radiograph: Swin-base at 384 px has stride 32, our small network at 192 px stride 16."""

PATCHES = GRID_SIDE * GRID_SIDE

SMALL_STRIDES = (8, 16, 32)

WHOLE = 100.0
"""Per cent of the patches that the whole radiograph has."""

NO_TEXT = "none"
"""What results call the text where none took part."""


class DataSettings(Settings):
    """What the models see."""

    image_size: int = Field(default=192, gt=0)
    """Side of the square radiographs in pixels; a multiple of 12, so that each of 12 x 12 patches has whole pixels."""
    labels: tuple[str, ...] = (
        "Atelectasis",
        "Cardiomegaly",
        "Edema",
        "Lung Lesion",
        "Lung Opacity",
        "Pleural Effusion",
        "Pleural Other",
        "Support Devices",
    )
    """Findings the vision-language model classifies while it learns to write the report (one output each)."""
    uncertain: UncertainPolicy = "zero"
    """How a finding that the report calls uncertain counts: absent (zero), present (one) or not at all (ignore). One
    word for all labels, or one per label: `{Edema: one, other: zero}`."""

    @field_validator("image_size")
    @classmethod
    def _divides_into_patches(cls, size: int) -> int:
        if size % GRID_SIDE:
            raise ValueError(f"image_size is {size}, expected a multiple of {GRID_SIDE} (12 x 12 patches), as 192")
        return size

    @field_validator("labels")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(names, "labels")


class EncoderSettings(Settings):
    """The network that turns a radiograph into 144 patch features."""

    name: str = "resnet_small"
    """`resnet_small` (ours, learns from scratch in minutes) or any timm name with a 12 x 12 feature map."""
    weights: str | None = None
    """File of safetensors weights, `hub` for timm's published ones (cached beforehand), `backbone` for the one that the
    workflow trains on the findings (of the same `widths`), or null: from scratch."""
    widths: tuple[Annotated[int, Field(ge=16)], ...] = (32, 64, 128)
    """Channels of each stage of `resnet_small`; other encoders have their own. Not below 16: narrower convolutions were
    seen to crash the processor kernels of torch 2.14.1."""
    stem_stride: Literal[2, 4] = 4
    """Stride of the first convolution of `resnet_small`. What follows a stride of 2 sees four times as many places; on
    a processor that is most of the time."""
    pooling: Literal["logsumexp", "mean"] = "logsumexp"
    """How the classifier sums up 144 patch logits: a soft maximum (small findings count) or their mean (the paper)."""
    evidence_gate: bool = True
    """Scale what the decoder reads of a patch by the classifier's evidence for any finding there (not in the paper).
    Without it attention of a model trained from scratch rests on empty corners of the image."""


class DecoderSettings(Settings):
    """The language model that writes the report while it looks at the patches."""

    name: str = "small"
    """`small` (a T5 decoder and a tokenizer from the train split's reports) or the folder or hub name of a T5 model."""
    width: int = Field(default=192, gt=0)
    """Width of the small decoder's tokens."""
    layers: int = Field(default=2, gt=0)
    """Layers of the small decoder."""
    heads: int = Field(default=4, gt=0)
    """Attention heads of the small decoder."""
    vocabulary: int = Field(default=2000, ge=64)
    """Tokens of the small decoder's tokenizer, trained on the reports of the train split only."""
    max_text_length: int = Field(default=64, ge=2)
    """Tokens of a report that the decoder reads and writes; longer reports are cut."""
    word_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of its own past words that are hidden from the decoder in training (the paper: 0), so that it must look at
    the image for what it could guess from the text."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "DecoderSettings":
        if self.width % self.heads:
            raise ValueError(f"decoder width {self.width} is not a multiple of its {self.heads} heads")
        return self


class VlmSettings(Settings):
    """Training of the vision-language model (loss = report tokens + classification_weight x findings)."""

    encoder: EncoderSettings = EncoderSettings()
    """The vision side."""
    decoder: DecoderSettings = DecoderSettings()
    """The language side."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout in the projection between the two."""
    epochs: int = Field(default=16, gt=0)
    """Passes over the train split; the one with the lowest validation loss is kept."""
    findings_first: float = Field(default=0.35, ge=0, lt=1)
    """Share of the epochs that teach the encoder the findings alone, before the decoder joins (the paper: 0, since its
    encoder comes pretrained). A decoder that starts beside an untrained encoder learns to look away from lesions."""
    batch_size: int = Field(default=32, gt=0)
    """Radiographs per step."""
    accumulation: int = Field(default=1, gt=0)
    """Steps whose gradients are added before the optimiser moves."""
    learning_rate_language: float = Field(default=1e-3, gt=0)
    """Rate of the decoder and the projection."""
    learning_rate_vision: float = Field(default=1e-3, gt=0)
    """Rate of the encoder and the classifier."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rates over time: constant (the paper) or falling to zero along a cosine after a short warm-up."""
    classification_weight: float = Field(default=2.0, ge=0)
    """Weight of the findings' loss beside the report's (the paper: 0.5)."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass. `auto` is bf16 on a GPU that computes in it: faster, with slightly other
    numbers."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, order, dropout and augmentation."""


TextSetting = Literal["reference", "masked", "generated", "generated_masked"]
"""Whose words guide attention and make the report graph."""


class TextSettings(Settings):
    """The reports that the model reads or writes, each a setting of its own in all results."""

    settings: tuple[TextSetting, ...] = ("reference", "masked", "generated")
    """`reference`: the radiologist's report. `masked`: that report with all mentions of the targets' own findings
    hidden. `generated`: what the model writes for the image; `generated_masked`: that, masked too."""
    beams: int = Field(default=1, gt=0)
    """Beams of the search that writes a report (the paper: 5); 1 takes the likeliest word each time."""
    batch_size: int = Field(default=128, gt=0)
    """Radiographs for which reports are written at once."""

    @field_validator("settings")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(names, "text settings")


class AttentionSettings(Settings):
    """Export of patch features and of the attention that reports pay to patches."""

    layers: Literal["last", "mean"] = "last"
    """Which decoder layers score a patch: the last one (the paper's) or the mean over all."""
    tokens: Literal["all", "content", "entities"] = "content"
    """Whose attention is averaged: every report token but padding, those without the end-of-text token, or only those
    that belong to an entity of the report's graph."""
    batch_size: int = Field(default=64, gt=0)
    """Radiographs per forward pass."""


class PruningSettings(Settings):
    """Which patches are kept."""

    percentiles: tuple[float, ...] = (2.3, 6.6, 25.0, 100.0)
    """Shares of patches to keep, in per cent, ascending; the paper's headline is 2.3."""
    mode: Literal["percentile", "topk"] = "percentile"
    """Keep what lies above the score's percentile (the paper: 2.3 keeps 4 of 144) or exactly the rounded share."""
    selectors: tuple[Literal["attention", "random", "centre", "norm"], ...] = ("attention", "random", "centre", "norm")
    """Who ranks the patches: the model's attention, or at equal counts a random order, the distance from the centre of
    the image, or the norm of the patch's features."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random order."""

    @field_validator("percentiles")
    @classmethod
    def _ascending_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares or shares[0] <= 0 or shares[-1] > 100 or any(a >= b for a, b in pairwise(shares)):
            raise ValueError(f"percentiles are {list(shares)}, expected ascending shares above 0 and up to 100")
        return shares

    @field_validator("selectors")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(names, "selectors")


class GraphSettings(Settings):
    """Graphs of kept patches joined with the report's graph."""

    text_embedding: str = "hashed"
    """Vectors of report nodes: `hashed` (signed hashes of words and letter groups, the same for every split, nothing to
    download) or the folder or hub name of a BERT such as CXR-BERT, whose last states are averaged over the words."""
    text_width: int = Field(default=128, ge=16)
    """Width of a hashed vector."""


class GnnSettings(Settings):
    """The graph classifier, trained once per seed for every share of patches."""

    targets: tuple[str, ...] = (
        "Atelectasis",
        "Cardiomegaly",
        "Edema",
        "Lung Lesion",
        "Pleural Effusion",
        "Pneumonia",
        "Support Devices",
    )
    """Findings to classify (one output each); Pneumonia is the paper's, and the encoder is not trained on it here."""
    inputs: tuple[Literal["fused", "image", "text"], ...] = ("fused", "image", "text")
    """What the classifier sees: patches and report graph joined, patches only, or the report graph only."""
    hidden: int = Field(default=64, gt=0)
    """Width of the graph convolutions."""
    epochs: int = Field(default=10, gt=0)
    """Passes over the train graphs; the one with the lowest validation loss is kept."""
    batch_size: int = Field(default=64, gt=0)
    """Graphs per step."""
    learning_rate: float = Field(default=4e-3, gt=0)
    """Rate of Adam."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass, as for the vision-language model."""
    permuted_control: bool = True
    """Train and test once more, in every text setting, with labels permuted among patients: chance is expected."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One job per seed; each trains every share, input, selector and text setting."""

    @field_validator("targets", "inputs")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(names, "targets and inputs")

    @field_validator("seeds")
    @classmethod
    def _seeds_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds are {list(seeds)}, expected at least one and each once, none negative")
        return seeds


class CodecSettings(Settings):
    """Other ways to make a radiograph small, classified by the same graph network from all patches."""

    jpeg_qualities: tuple[Annotated[int, Field(ge=1, le=95)], ...] = (2, 10)
    """Qualities of JPEG at the model's image size."""
    sides: tuple[Annotated[int, Field(ge=4)], ...] = (32,)
    """Sides in pixels of images that are down-sampled by area and brought back to size."""


class EvaluationSettings(Settings):
    """Intervals of the results."""

    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples of patients; adjusted p-values of the paired differences can't be finer than they allow."""
    seed: int = Field(default=0, ge=0)
    """Seed of the resamples."""


class GallerySettings(Settings):
    """The pictures of what is kept."""

    percentiles: tuple[float, float] = (6.6, 25.0)
    """The two shares of patches that the gallery shows; both among the pruning percentiles."""


class NeuralSettings(Settings):
    """A vision-language model's cross-attention prunes radiographs; patches and report become one classified graph."""

    data: DataSettings = DataSettings()
    """What the models see."""
    vlm: VlmSettings = VlmSettings()
    """The vision-language model and its training."""
    texts: TextSettings = TextSettings()
    """Reports that guide attention and make graphs."""
    attention: AttentionSettings = AttentionSettings()
    """Export of features and attention."""
    pruning: PruningSettings = PruningSettings()
    """Which patches are kept."""
    graphs: GraphSettings = GraphSettings()
    """Graphs of patches and report."""
    gnn: GnnSettings = GnnSettings()
    """The graph classifier."""
    codecs: CodecSettings = CodecSettings()
    """JPEG and down-sampling at equal bytes."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Intervals."""
    gallery: GallerySettings = GallerySettings()
    """Pictures."""
    forgetting: ForgettingSettings = ForgettingSettings()
    """Which targets are forgotten when patches are taken away."""
    exemplars: ExemplarSettings = ExemplarSettings(level=0.977)
    """Radiographs that are read differently without these patches; `level` is 1 - one of the pruned shares."""

    @model_validator(mode="after")
    def _small_encoder_fits_the_grid(self) -> "NeuralSettings":
        stride = self.data.image_size // GRID_SIDE
        if self.vlm.encoder.name == "resnet_small" and stride not in SMALL_STRIDES:
            sizes = [GRID_SIDE * stride for stride in SMALL_STRIDES]
            raise ValueError(f"resnet_small takes images of {sizes} px, image_size is {self.data.image_size}")
        return self

    @model_validator(mode="after")
    def _policies_name_labels(self) -> "NeuralSettings":
        policy = self.data.uncertain
        named = set() if isinstance(policy, str) else set(policy)
        unknown = sorted(named - {*self.data.labels, *self.gnn.targets, OTHER})
        if unknown:
            raise ValueError(f"data.uncertain names {unknown}, which are neither labels nor targets")
        return self

    @model_validator(mode="after")
    def _exemplars_are_of_a_pruned_share(self) -> "NeuralSettings":
        levels = [round(1 - share / 100, 6) for share in self.pruning.percentiles]
        if self.exemplars.level not in levels:
            raise ValueError(f"exemplars.level {self.exemplars.level} is not among 1 - percentiles / 100: {levels}")
        return self

    @model_validator(mode="after")
    def _gallery_shows_pruned_shares(self) -> "NeuralSettings":
        missing = sorted(set(self.gallery.percentiles) - set(self.pruning.percentiles))
        if missing:
            raise ValueError(f"gallery.percentiles {missing} are not among {list(self.pruning.percentiles)}")
        return self

    @model_validator(mode="after")
    def _full_line_has_its_point(self) -> "NeuralSettings":
        if self.pruning.percentiles[-1] != 100:
            raise ValueError("percentiles must end with 100: the whole radiograph is what pruning is compared with")
        return self


def ranking_keys(pruning: PruningSettings, texts: TextSettings) -> list[str]:
    """Return the rankings of the patches by name: `attention_<text>` for each text setting, and the other selectors."""
    keys: list[str] = []
    for selector in pruning.selectors:
        keys += [f"attention_{text}" for text in texts.settings] if selector == "attention" else [selector]
    return keys


def guiding_text(texts: Sequence[TextSetting]) -> TextSetting:
    """Return the text whose attention counts where one must be chosen: the model's own, which knows no truth."""
    return "generated" if "generated" in texts else texts[0]


def codec_names(codecs: CodecSettings) -> list[str]:
    """Return the codecs by name: `jpeg_<quality>` and `side_<pixels>`."""
    return [f"jpeg_{quality}" for quality in codecs.jpeg_qualities] + [f"side_{side}" for side in codecs.sides]


def distinct(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Return `names`; empty or repeated ones are errors."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{what} are {list(names)}, expected at least one and each only once")
    return names
