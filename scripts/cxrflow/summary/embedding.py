"""Runs trained encoders over all images of a cohort, whichever cohort they were trained on, and measures their cost."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cxrflow.cohort.store import ImageStore
from cxrflow.efficiency import cost_table
from cxrflow.files import write_arrays, write_table
from cxrflow.radiographs import image_batches
from cxrflow.summary.encoders import SizedEncoder, Trained, build
from cxrflow.summary.feature_sources import IMAGES
from cxrflow.summary.settings import SummarySettings
from cxrflow.training import prepare_torch, this_device

logger = logging.getLogger(__name__)


def embed(
    system: str,
    trained: Sequence[Trained],
    about: Mapping[str, Any],
    store: ImageStore,
    features: Path,
    cost: Path,
    settings: SummarySettings,
    threads: int,
) -> None:
    """Write the features of all images of a store, and what each encoder costs (its first seed, as parquet).

    `features` (npz) has image_id (N,) and, named `<encoder>/<seed>`, (N, D) float16.
    """
    prepare_torch(threads)
    images = store.index[["image_id"]]
    write_arrays(features, _arrays(system, trained, about, store, images, settings))
    first = {one.encoder: one for one in reversed(trained)}
    encoders = {one.encoder: build(system, one, about) for one in trained if first[one.encoder] is one}
    sides = {name: encoder.side for name, encoder in encoders.items()}
    write_table(cost, cost_table(encoders, sides, settings.cost_batch))


def _arrays(
    system: str,
    trained: Sequence[Trained],
    about: Mapping[str, Any],
    store: ImageStore,
    images: pd.DataFrame,
    settings: SummarySettings,
) -> Iterator[tuple[str, NDArray]]:
    yield IMAGES, images["image_id"].to_numpy(dtype=str)
    for one in trained:
        encoder = build(system, one, about).to(this_device())
        yield f"{one.encoder}/{one.seed}", _features(encoder, store, images, settings.batch_size)
        logger.info("%s of %s, seed %d: %d images", one.encoder, system, one.seed, len(images))


@torch.no_grad()
def _features(encoder: SizedEncoder, store: ImageStore, images: pd.DataFrame, size: int) -> NDArray[np.float16]:
    parts = [encoder(batch.to(this_device())).half().cpu().numpy() for _, batch in image_batches(store, images, size)]
    return np.concatenate(parts)
