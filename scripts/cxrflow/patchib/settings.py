"""What a user may choose about `patchib`: towers, models A to E and others, training, evaluation."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings
from cxrflow.patchib.data_settings import MasterSettings
from cxrflow.settings import Precision, Settings

Share = Annotated[float, Field(gt=0, le=1)]
MaskKind = Literal["threshold", "top_k", "token_drop"]


class DataSettings(MasterSettings):
    """Which radiographs and texts make the data set, and what the models see of them."""

    image_size: int = Field(default=192, gt=0)
    """Side of the square radiographs in pixels: what the image tower was made for (BiomedCLIP: 224)."""


class SmallTowerSettings(Settings):
    """The demonstration's towers: a vision transformer whose stem is the backbone, and a BERT.

    They learn on the train split: first the words alone (findings from texts), then pairs, with the stem as it is.
    """

    image_tower: Literal["vit_stem_small_192", "vit_stem_tiny_64"] = "vit_stem_small_192"
    """Image tower, with the side in pixels that it is made for: 3 blocks of width 96, or 2 of width 32 for tests."""
    text_width: int = Field(default=128, ge=16)
    """Width of the text tower's tokens."""
    text_layers: int = Field(default=2, gt=0)
    """Layers of the text tower."""
    text_heads: int = Field(default=4, gt=0)
    """Attention heads of the text tower."""
    embedding: int = Field(default=128, gt=0)
    """Width of the space in which images and texts meet."""
    vocabulary: int = Field(default=1500, ge=128)
    """Tokens of the tokenizer, trained on the reports of the train split only."""
    epochs_words: int = Field(default=5, gt=0)
    """Passes over the texts alone."""
    epochs_pairs: int = Field(default=4, gt=0)
    """Passes over the pairs."""
    batch_size: int = Field(default=32, gt=1)
    """Texts or pairs per step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate; that of the text tower is a tenth while pairs are learnt."""
    findings_weight: float = Field(default=1.0, ge=0)
    """Weight of the findings (cross-entropy of every label from both towers) beside the contrastive loss."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass."""
    seed: int = 0
    """First weights and the order of the batches."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.text_width % self.text_heads:
            raise ValueError(f"text_width {self.text_width} is not a multiple of its {self.text_heads} heads")
        return self


class TowerSettings(Settings):
    """The image and the text encoder that every model starts from, as open_clip reads them."""

    name: str = "small"
    """`small` (ours), the folder of an open_clip model (open_clip_config.json, weights, tokenizer), or `hf-hub:` and a
    hub name that is in the cache, as `hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224`."""
    context_length: int = Field(default=64, gt=2)
    """Tokens of a report that are read, the first and the last mark included (BiomedCLIP: 256)."""
    small: SmallTowerSettings = SmallTowerSettings()
    """Used where the name is `small`."""


class LocalSettings(Settings):
    """Alignment of words with patches, beside that of whole reports with whole images (models B to E)."""

    kind: Literal["cross_attention", "filip"] = "cross_attention"
    """`cross_attention`: words are rebuilt from the patches they attend to. `filip`: late interaction, every word's
    best patch and every patch's best word (Yao et al. 2022)."""
    distance: Literal["cosine", "mse"] = "cosine"
    """Between a word and what was rebuilt of it (cross-attention)."""
    symmetric: bool = True
    """Rebuild patches from words as well (cross-attention)."""
    heads: int = Field(default=4, gt=0)
    """Attention heads (cross-attention)."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of the attention (cross-attention)."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of this loss."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the training during which the weight grows from 0."""


class MaskSettings(Settings):
    """Which patches count (models C to E)."""

    kind: MaskKind
    """`threshold`: patches whose logit is above 0, averaged after the last layer (C). `top_k`: the best ones, averaged
    likewise (D). `token_drop`: only the best ones go through the upper layers (E)."""
    keep: Share = 0.5
    """Share of the patches to keep: the target of `threshold`, the exact share of the others."""
    keep_start: Share | None = None
    """Share at the beginning of the training, from where it goes down to `keep` (top_k, token_drop); null: `keep`."""
    anneal: float = Field(default=0.5, ge=0, le=1)
    """Share of the training after which `keep`, or the last temperature, is reached."""
    drop_layer: int = Field(default=1, gt=0)
    """Blocks that all patches go through (token_drop; the published models: 6 of 12)."""
    least: int = Field(default=1, gt=0)
    """Patches that are kept whatever their logits say (threshold), so that no image has an empty embedding."""
    gumbel: bool = False
    """Draw the mask in training, with Gumbel noise and a temperature that falls (threshold)."""
    temperature: tuple[float, float] = (1.0, 0.1)
    """First and last temperature of the noise."""
    per_image: bool = True
    """Let every image, not the mean of the batch, come near the target share (the released code: the mean)."""
    sparsity_weight: float = Field(default=1.0, ge=0)
    """Weight of the squared distance from the target share."""
    consistency_weight: float = Field(default=1.0, ge=0)
    """Weight of the squared difference between the similarities of the masked and of the full image (C, D)."""
    full_weight: float = Field(default=1.0, ge=0)
    """Weight of the contrastive loss of the full image (C, D)."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the training during which the sparsity weight grows from 0."""


class FusionSettings(Settings):
    """Layers in which both towers read each other, as a second view in training only: no text reaches an embedding
    that is evaluated."""

    layers: tuple[int, ...] = (1, 2)
    """Layers (counted from 1) after which they do; the published models: 4, 8, 12."""
    heads: int = Field(default=4, gt=0)
    """Attention heads."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of the contrastive loss of the fused embeddings."""


class ModelSettings(Settings):
    """One model: the towers with what is put on top of them."""

    frozen: bool = False
    """Train nothing but the temperature: the towers as they are."""
    local: LocalSettings | None = None
    """Alignment of words with patches."""
    mask: MaskSettings | None = None
    """Selection of patches."""
    fusion: FusionSettings | None = None
    """Layers in which the towers read each other."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """One training per seed."""

    @model_validator(mode="after")
    def _frozen_is_bare(self) -> Self:
        if self.frozen and (self.local or self.mask or self.fusion):
            raise ValueError("a frozen model has nothing to train: leave out local, mask and fusion")
        return self


def default_models() -> dict[str, ModelSettings]:
    """Return the frozen baseline and the models A to E."""
    words = LocalSettings()
    return {
        "0": ModelSettings(frozen=True),
        "A": ModelSettings(seeds=(0, 1)),
        "B": ModelSettings(local=words),
        "C": ModelSettings(local=words, mask=MaskSettings(kind="threshold")),
        "D": ModelSettings(local=words, mask=MaskSettings(kind="top_k", keep_start=0.75)),
        "E": ModelSettings(
            local=LocalSettings(kind="filip", weight=0.3),
            mask=MaskSettings(kind="token_drop", keep_start=0.75),
            seeds=(0, 1),
        ),
    }


class TrainingSettings(Settings):
    """How each model is trained: first its new modules and projections, then everything."""

    epochs_heads: int = Field(default=1, ge=0)
    """Passes with both towers frozen: projections, temperature and new modules learn. A frozen model has one."""
    epochs: int = Field(default=2, gt=0)
    """Passes in which everything learns."""
    batch_size: int = Field(default=64, gt=1)
    """Pairs per forward pass: each is a negative of the others."""
    accumulation: int = Field(default=1, gt=0)
    """Forward passes per step. On several GPUs whole passes are dealt out, so take a multiple of their number."""
    learning_rate_heads: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the first passes."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Peak learning rate of the uppermost layers and the new modules."""
    frozen_patch_embedding: bool = False
    """Keep what turns pixels into patches as it is, in both phases: most of the time of small towers, whose stem knows
    the findings already."""
    layer_decay: Share = 0.85
    """Factor by which the learning rate falls from each layer to the one below."""
    weight_decay: float = Field(default=0.02, ge=0)
    """Weight decay of matrices; biases, norms and the temperature have none."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps during which the learning rate grows; then it falls as a cosine."""
    patience: int | None = Field(default=None, ge=0)
    """Epochs without improvement after which training ends."""
    select: Literal["loss", "recall", "auc", "combined"] = "combined"
    """What picks the best epoch on the validate split."""
    recall_share: float = Field(default=0.7, ge=0, le=1)
    """Share of the mean recall in `combined`; the rest is the probe's mean AUC."""
    probe_images: int = Field(default=300, gt=1)
    """Training radiographs, drawn once, whose embeddings the probe of every epoch learns from."""
    same_text_is_positive: bool = True
    """Treat pairs with the same report as positives of each other (the released code: as negatives)."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass."""


class EvaluationSettings(Settings):
    """How models are measured."""

    templates: tuple[tuple[str, str], ...] = (
        ("A chest x-ray showing {label}.", "A chest x-ray with no {label}."),
        ("Findings: there is {label}.", "Findings: there is no {label}."),
        ("{label} is present.", "No {label}."),
    )
    """Prompts for a finding and against it, with {label} in its place; embeddings of templates are averaged."""
    keep_ratios: tuple[Share, ...] = (1.0, 0.75, 0.5, 0.25, 0.1)
    """Shares of the patches that models with an exact share are also measured at."""
    augmentations: int = Field(default=2, gt=1)
    """Random changes of each test radiograph under which masks are compared."""
    steps: int = Field(default=6, gt=1)
    """Steps of the deletion and insertion curves."""
    curve_images: int = Field(default=40, gt=0)
    """Test radiographs, drawn once, that these curves are measured on."""
    efficiency_batch: int = Field(default=32, gt=0)
    """Radiographs per pass when speed and memory are measured."""
    batch_size: int = Field(default=64, gt=0)
    """Radiographs per pass elsewhere."""
    resamples: int = Field(default=1000, gt=0)
    """Bootstrap resamples of patients behind every interval."""
    seed: int = 0
    """Resamples, probes, and the radiographs drawn."""


class PatchibSettings(Settings):
    """The system `patchib`: contrastive alignment of radiographs and reports with a patch information bottleneck."""

    data: DataSettings = DataSettings()
    """Data set."""
    towers: TowerSettings = TowerSettings()
    """Encoders that all models start from."""
    models: dict[str, ModelSettings] = Field(default_factory=default_models, min_length=1)
    """The models to train and compare, by the name that tables and figures give them."""
    training: TrainingSettings = TrainingSettings()
    """Training of each model."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Measurement."""
    forgetting_model: str | None = None
    """Whose patches are taken away when forgetting is analysed; null: the last model that selects patches."""
    forgetting: ForgettingSettings = ForgettingSettings()
    """Which labels a linear probe forgets when patches are taken away."""
    exemplars: ExemplarSettings = Field(default=ExemplarSettings(), validate_default=True)
    """Radiographs that are read differently without these patches; `level` is 1 - one of evaluation.keep_ratios, and
    where it is not given that of the smallest."""

    @field_validator("exemplars")
    @classmethod
    def _level_of_the_smallest_share(cls, exemplars: ExemplarSettings, told: ValidationInfo) -> ExemplarSettings:
        smallest = min(told.data["evaluation"].keep_ratios, default=1) if "evaluation" in told.data else 1
        if "level" in exemplars.model_fields_set or smallest == 1:
            return exemplars
        return exemplars.model_copy(update={"level": round(1 - smallest, 6)})

    @model_validator(mode="after")
    def _forgetting_has_its_shares(self) -> Self:
        chosen = forgetting_model(self)
        if chosen is None:
            return self
        if chosen not in masking_models(self):
            raise ValueError(f"forgetting_model {chosen!r} is not among the models with a mask: {masking_models(self)}")
        levels = [round(1 - share, 6) for share in self.evaluation.keep_ratios]
        if 0 not in levels or self.exemplars.level not in levels:
            raise ValueError(
                f"forgetting compares all patches (1) with fewer, at exemplars.level {self.exemplars.level} with those "
                f"of which so much is taken away: evaluation.keep_ratios are {list(self.evaluation.keep_ratios)}"
            )
        return self


def masking_models(settings: PatchibSettings) -> list[str]:
    """Return the models that select patches."""
    return [name for name, model in settings.models.items() if model.mask is not None]


def forgetting_model(settings: PatchibSettings) -> str | None:
    """Return the model whose patches are taken away when forgetting is analysed; None where none selects patches."""
    masking = masking_models(settings)
    return settings.forgetting_model or (masking[-1] if masking else None)
