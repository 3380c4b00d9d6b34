"""Trains the small towers of the demonstration on the train split and leaves them as a folder that open_clip reads.

They stand for published ones: every model starts from them, and the frozen baseline is what they are. The text tower
first learns the findings from texts; then both learn the findings and which radiograph belongs to which text.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import BertConfig

from cxrflow.backbone.encoder import backbone_state
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.contrastive import contrastive_loss
from cxrflow.files import write_json, write_table, write_text
from cxrflow.losses import known_cross_entropy, start_at_frequencies
from cxrflow.networks import rest_frozen_norms
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.pairs import PairBatches, Pairs, TextBatches, pairs_of
from cxrflow.patchib.settings import SmallTowerSettings, TowerSettings
from cxrflow.radiographs import in_order
from cxrflow.towers import Towers, build_tokenizer, read_clip
from cxrflow.training import Batch, Plan, Resume, arithmetic, fingerprint, fit, is_main_process, prepare_torch
from cxrflow.weights import save_weights

logger = logging.getLogger(__name__)

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class TowerFiles:
    """The folder's files, by open_clip's names, and where the state of the training is kept."""

    config: Path
    weights: Path
    bert: Path
    tokenizer: Path
    tokenizer_config: Path
    history: Path
    resume: Path


class FindingsModel(nn.Module):
    """The towers with one classifier of the findings that both embeddings share, so that they mean the same."""

    def __init__(self, towers: Towers, truth: Tensor) -> None:
        super().__init__()
        self.towers = towers
        self.findings = nn.Linear(towers.embedding, truth.shape[1])
        start_at_frequencies(self.findings, truth)

    def train(self, mode: bool = True) -> "FindingsModel":
        """Switch the mode; a stem that does not learn keeps its statistics."""
        super().train(mode)
        rest_frozen_norms(self)
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy of the findings by text, and with images by image, and the contrastive loss."""
        text = self.towers.embed_text(self.towers.read(batch["tokens"]), batch["tokens"])
        losses = {"text": self._findings_loss(text, batch["labels"])}
        if "images" in batch:
            image = self.towers.embed(self.towers.last_tokens(batch["images"])[:, 0])
            losses["image"] = self._findings_loss(image, batch["labels"])
            losses["pairs"] = contrastive_loss(image, text, self.towers.scale(), batch["texts"])
        return losses

    def _findings_loss(self, embedding: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of unit vectors, made as long as random ones are."""
        return known_cross_entropy(self.findings(embedding * self.towers.embedding**0.5).float(), truth)


def train_small_towers(
    cohort: CohortFiles,
    master: Path,
    backbone: Path,
    outputs: TowerFiles,
    settings: TowerSettings,
    code: list[str],
    threads: int,
) -> None:
    """Train on the train split, keep the epochs with the lowest validation loss, write the folder and the history."""
    small = settings.small
    prepare_torch(threads, small.seed)
    table, store = read_master(master), cohort.store()
    write_untrained(outputs, table.loc[table["split"] == "train", "query"], settings)
    folder = str(outputs.config.parent)
    words = build_tokenizer(folder, settings.context_length)
    train, validate = (pairs_of(table, split, store, words) for split in ("train", "validate"))
    torch.manual_seed(small.seed)
    clip = read_clip(folder, weights=False)
    _take_stem(clip, backbone)
    model = FindingsModel(Towers(clip), train.labels)
    facts = {"towers": settings.model_dump(mode="json"), "threads": threads, "arithmetic": arithmetic(small.precision)}
    identity = fingerprint(facts, [master, backbone, cohort.index, *code])
    states = [Resume(outputs.resume / f"{phase}.pt", identity) for phase in ("words", "pairs")]
    history = [_learn_words(model, train, validate, small, states[0])]
    history.append(_learn_pairs(model, train, validate, small, states[1]))
    if not is_main_process():
        return
    write_table(outputs.history, pd.concat(history, ignore_index=True))
    save_weights(clip.cpu(), outputs.weights)
    for state in states:
        state.discard()


def _take_stem(clip: Any, backbone: Path) -> None:
    """Give the image tower the backbone's weights as its stem, which then stays as it is."""
    stem = clip.visual.trunk.patch_embed.body
    stem.load_state_dict(backbone_state(backbone))
    stem.requires_grad_(False)


def _learn_words(
    model: FindingsModel, train: Pairs, validate: Pairs, settings: SmallTowerSettings, resume: Resume
) -> pd.DataFrame:
    def step(network: nn.Module, batch: Batch) -> Tensor:
        return network(batch)["text"]

    batches = TextBatches(train, settings.batch_size, settings.seed)
    every = np.arange(len(validate))
    places = np.array_split(every, -(-len(every) // settings.batch_size))

    def measure(network: nn.Module) -> dict[str, float]:
        return mean_losses(network, map(validate.beside, places))

    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.02, fused=True)
    plan = Plan(settings.epochs_words, settings.seed, settings.precision, schedule="cosine", warmup=0.1, select="text")
    history = fit(model, optimiser, batches, step, measure, plan, resume).history
    return pd.DataFrame(history).assign(phase="words")


def _learn_pairs(
    model: FindingsModel, train: Pairs, validate: Pairs, settings: SmallTowerSettings, resume: Resume
) -> pd.DataFrame:
    def total(losses: dict[str, Any]) -> Any:
        return losses["pairs"] + settings.findings_weight * (losses["image"] + losses["text"])

    def step(network: nn.Module, batch: Batch) -> Tensor:
        return total(network(batch))

    def measure(network: nn.Module) -> dict[str, float]:
        losses = mean_losses(network, in_order(validate, settings.batch_size))
        return {"validation_loss": total(losses), **losses}

    text = [*model.towers.bert.parameters(), *model.towers.text_projection.parameters()]
    known = {id(parameter) for parameter in text}
    rest = [p for p in model.parameters() if id(p) not in known and p.requires_grad]
    groups = [{"params": text, "lr": settings.learning_rate / 10}, {"params": rest, "lr": settings.learning_rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02, fused=True)
    plan = Plan(
        settings.epochs_pairs, settings.seed, settings.precision, schedule="cosine", warmup=0.1, whole_batches=True
    )
    batches = PairBatches(train, settings.batch_size, settings.seed, epochs=settings.epochs_pairs)
    history = fit(model, optimiser, batches, step, measure, plan, resume).history
    return pd.DataFrame(history).assign(phase="pairs")


def mean_losses(network: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """Return the means over all examples of the losses that a network tells of each batch."""
    device = next(network.parameters()).device
    sums: Counter[str] = Counter()
    for batch in batches:
        losses = network({name: value.to(device) for name, value in batch.items()})
        size = len(batch["tokens"])
        sums.update({"examples": size, **{name: size * float(loss) for name, loss in losses.items()}})
    count = sums.pop("examples")
    return {name: value / count for name, value in sums.items()}


def trained_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a lower-casing byte-pair tokenizer with BERT's marks around every text.

    Not BERT's own word pieces: their trainer numbers the pieces inside words in another order each time.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=MARKS[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(MARKS), min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    first, last = MARKS[2:4]
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=marks)
    return tokenizer


def write_untrained(outputs: TowerFiles, texts: Iterable[str], settings: TowerSettings) -> None:
    """Write all but the weights: a tokenizer of the texts, the BERT's sizes, and what open_clip is to build of them."""
    small = settings.small
    tokenizer = trained_tokenizer(texts, small.vocabulary)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), MARKS, strict=True))
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": settings.context_length, **names}
    write_text(outputs.tokenizer, tokenizer.to_str(pretty=True) + "\n")
    write_json(outputs.tokenizer_config, fast)
    bert = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=small.text_width,
        num_hidden_layers=small.text_layers,
        num_attention_heads=small.text_heads,
        intermediate_size=2 * small.text_width,
        max_position_embeddings=settings.context_length,
        pad_token_id=0,
    )
    write_json(outputs.bert, bert.to_dict())
    write_json(outputs.config, _open_clip_config(str(outputs.config.parent), settings))


def _open_clip_config(folder: str, settings: TowerSettings) -> dict[str, object]:
    """Return what open_clip reads first; images go in as they are, since the stem looks at local contrast itself."""
    vision = {
        "timm_model_name": settings.small.image_tower,
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": int(settings.small.image_tower.rpartition("_")[2]),
    }
    text = {
        "hf_model_name": folder,
        "hf_tokenizer_name": folder,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "mean_pooler",  # learns from few texts what a first token does not
        "context_length": settings.context_length,
    }
    model = {"embed_dim": settings.small.embedding, "vision_cfg": vision, "text_cfg": text}
    return {"model_cfg": model, "preprocess_cfg": {"mean": [0.0], "std": [1.0]}}
