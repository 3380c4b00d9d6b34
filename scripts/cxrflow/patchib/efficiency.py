"""What a model costs: radiographs per second, multiplications, parameters and memory, of the model and not its loader.

Inputs stay where the model is; passes are timed after a warm-up in the same arithmetic. What the loader delivers is
told beside it.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.efficiency import Cost, counted, image_pass, peak_bytes, seconds_per_pass
from cxrflow.files import write_twins
from cxrflow.measured import Common
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs, pairs_of
from cxrflow.patchib.settings import EvaluationSettings
from cxrflow.patchib.training import ModelChoice, load_model
from cxrflow.radiographs import Radiographs
from cxrflow.training import prepare_torch, this_device


def macs(model: PatchModel, images: Tensor, tokens: Tensor | None = None, share: float | None = None) -> Cost:
    """Return the cost of one image (1, 1, S, S) and, where given, one text (1, L), counted on a real pass.

    Products of matrices and convolutions count. The published numbers (fvcore's) leave out those between queries and
    keys and between attention and values where these are one fused operation: subtract `attention` to compare.
    """

    def work() -> None:
        model.see(images, share)
        if tokens is not None:
            model.towers.embed_text(model.towers.read(tokens), tokens)

    return counted(work)


def measure_efficiency(
    cohort: CohortFiles,
    master: Path,
    weights: Mapping[ModelChoice, Path],
    output: Path,
    common: Common,
    settings: EvaluationSettings,
) -> None:
    """Write the table of all models, measured on radiographs and a report of the test split."""
    choices = list(weights)
    prepare_torch(choices[0].threads)
    loaded = {choice.name: load_model(choice, file) for choice, file in weights.items()}
    words = next(iter(loaded.values()))[1]
    test = pairs_of(read_master(master), "test", cohort.store(), words)
    models = {name: model for name, (model, _) in loaded.items()}
    rate = loader_rate(test, settings.efficiency_batch, 20 * settings.efficiency_batch)
    table = efficiency_table(models, test, settings, {**common, "loader_images_per_s": rate})
    write_twins(output, table)


def efficiency_table(
    models: Mapping[str, PatchModel], data: Pairs, settings: EvaluationSettings, common: Common
) -> pd.DataFrame:
    """Return one row per model and share of patches: images_per_s, macs, parameters, peak_bytes, kept_tokens.

    The share is the model's own first; models that drop tokens are measured at the others as well. images_per_s and
    peak_bytes are of images alone; macs of one image, text_macs of one report.
    """
    cases = [(name, model, share) for name, model in models.items() for share in _shares(model, settings.keep_ratios)]
    batch = data.batch(np.arange(min(settings.efficiency_batch, len(data))))
    images, tokens = (batch[name].to(this_device()) for name in ("images", "tokens"))
    passes = [image_pass(partial(model.to(this_device()).eval().see, share=share), images) for _, model, share in cases]
    seconds = seconds_per_pass(passes)
    rows = []
    for (name, model, share), work, took in zip(cases, passes, seconds, strict=True):
        alone, both = macs(model, images[:1], None, share), macs(model, images[:1], tokens[:1], share)
        row = {
            "model": name,
            "keep_ratio": _own_share(model, share),
            "images_per_s": len(images) / took,
            "macs": alone.macs,
            "attention_macs": alone.attention,
            "text_macs": both.macs - alone.macs,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "peak_bytes": peak_bytes(work),
            "kept_tokens": kept_tokens(model, images, share),
            "batch": len(images),
            "device": str(this_device()),
        }
        rows.append({**common, **row})
    return pd.DataFrame(rows)


def kept_tokens(model: PatchModel, images: Tensor, share: float | None) -> float:
    """Return the mean number of patches of an image that count."""
    with torch.no_grad():
        seen = model.see(images, share)
    return float(seen.patches.shape[1]) if seen.mask is None else float(seen.mask.detach().sum(dim=1).mean())


def loader_rate(data: Radiographs, size: int, most: int) -> float:
    """Return the radiographs per second that the store delivers as batches, `most` of them at most."""
    places = np.arange(min(most, len(data)))
    start = time.perf_counter()
    for first in range(0, len(places), size):
        data.batch(places[first : first + size])
    return len(places) / (time.perf_counter() - start)


def _shares(model: PatchModel, shares: Sequence[float]) -> list[float | None]:
    """Return the model's own share and, where dropped patches save work, the others."""
    drops = model.scorer is not None and model.scorer.settings.kind == "token_drop"
    others = [share for share in shares if abs(share - _own_share(model, None)) > 1e-6]
    return [None, *others] if drops else [None]


def _own_share(model: PatchModel, share: float | None) -> float:
    if share is not None:
        return share
    return float(model.scorer.keep) if model.scorer is not None else 1.0
