"""Exports what a trained model makes of every split, so that no measurement runs a network again.

One .npz per model. Names of its arrays, each after `<seed>/`, N radiographs of a split in the data set's order:
`<split>/image/<embedding>` (N, D), `<split>/text` (N, D), `<split>/logits` and `<split>/masks` (N, M or 0);
`prompts` (templates, labels, 2, D); `share/<share>` (N, D) of the test split at other shares of patches;
`words/<split>` (boxed pairs, M) the heat of a finding's prompt on its patches; `changed/<kind>` (augmentations, N, M)
masks of changed test radiographs; `curve/deletion`, `curve/insertion` (n, steps + 1) and `curve/images` (n,).
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cxrflow.augment import Augmentation, augment
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.cohort.tables import SPLITS
from cxrflow.files import write_arrays
from cxrflow.patchib.embedding import embed_at, embed_pairs, embed_prompts, on_device
from cxrflow.patchib.exported import AND_PLACE, BOXED_SPLITS, GREY_VALUES
from cxrflow.patchib.heat import heat_of_prompts
from cxrflow.patchib.master import label_order
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs, pairs_of
from cxrflow.patchib.prompts import boxed_findings, finding_prompts
from cxrflow.patchib.removal import removal_curves
from cxrflow.patchib.settings import EvaluationSettings
from cxrflow.patchib.training import ModelChoice, load_model
from cxrflow.towers import WordPieces
from cxrflow.training import prepare_torch, this_device

logger = logging.getLogger(__name__)

Arrays = Iterator[tuple[str, NDArray]]
HOW = {GREY_VALUES: Augmentation(rotation=0, shift=0, zoom=0), AND_PLACE: Augmentation()}


def export_models(
    cohort: CohortFiles,
    master: Path,
    trained: Mapping[Path, ModelChoice],
    output: Path,
    settings: EvaluationSettings,
) -> None:
    """Run a model, by the weights of each of its seeds, over all splits and write what is measured later."""
    labels = label_order(cohort.manifest)
    table, store = read_master(master), cohort.store()
    write_arrays(
        output,
        (
            (f"{choice.seed}/{name}", values)
            for weights, choice in trained.items()
            for name, values in _of_model(cohort, table, store, weights, choice, labels, settings)
        ),
    )


def _of_model(
    cohort: CohortFiles,
    table: pd.DataFrame,
    store: ImageStore,
    weights: Path,
    choice: ModelChoice,
    labels: list[str],
    settings: EvaluationSettings,
) -> Arrays:
    prepare_torch(choice.threads, choice.seed)
    model, words = load_model(choice, weights)
    model.to(this_device())
    data = {split: pairs_of(table, split, store, words) for split in SPLITS}
    for split, pairs in data.items():
        yield from _of_split(model, pairs, split, settings)
    yield "prompts", _prompts(model, words, labels, settings)
    for split in BOXED_SPLITS:
        boxed = boxed_findings(cohort.manifest, table[table["split"] == split], model.towers.grid[0])
        yield f"words/{split}", heat_of_prompts(model, words, data[split], boxed, settings)
    if model.scorer is not None:
        yield from _of_masks(model, data["test"], settings)
    yield from removal_curves(model, data["test"], settings).items()
    logger.info("model %s, seed %d: exported", choice.name, choice.seed)


def _of_split(model: PatchModel, pairs: Pairs, split: str, settings: EvaluationSettings) -> Arrays:
    embedded = embed_pairs(model, pairs, settings.batch_size)
    yield from ((f"{split}/image/{kind}", values) for kind, values in embedded.images.items())
    yield f"{split}/text", embedded.texts
    yield f"{split}/logits", embedded.logits
    yield f"{split}/masks", embedded.masks


def _prompts(model: PatchModel, words: WordPieces, labels: list[str], settings: EvaluationSettings) -> NDArray:
    prompts = finding_prompts(labels, settings.templates)
    flat = words.encode(prompts.ravel().tolist())
    return embed_prompts(model, flat).reshape(*prompts.shape, -1)


def _of_masks(model: PatchModel, pairs: Pairs, settings: EvaluationSettings) -> Arrays:
    embedded = embed_at(model, pairs, settings.batch_size, settings.keep_ratios)
    yield from ((f"share/{share:g}", values) for share, values in zip(settings.keep_ratios, embedded, strict=True))
    for kind, how in HOW.items():
        yield f"changed/{kind}", _changed_masks(model, pairs, how, settings)


@torch.no_grad()
def _changed_masks(
    model: PatchModel, pairs: Pairs, how: Augmentation, settings: EvaluationSettings
) -> NDArray[np.float32]:
    """Return the masks (augmentations, N, M) of radiographs changed at random, by the seed of the evaluation."""
    rounds = []
    for number in range(settings.augmentations):
        generator = torch.Generator().manual_seed(settings.seed * 1000 + number)
        changed = (augment(batch["images"], generator, how) for batch in on_device(model, pairs, settings.batch_size))
        masks = [mask for mask in (model.see(images).mask for images in changed) if mask is not None]
        rounds.append(torch.cat(masks).float().cpu().numpy())
    return np.stack(rounds)
