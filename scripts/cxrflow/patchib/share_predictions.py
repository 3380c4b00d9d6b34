"""Predictions of a linear probe along a compression axis: the share of patches that a model of `patchib` goes without.

A probe learns once per seed, from embeddings of the train split; then the model masks or drops ever more patches of the
test radiographs, and neither of them learns anew. Probabilities are the sigmoid of the probe's decision function. Its
regressions are balanced, so that those of a rare label lie far above its frequency: they rank images, and the labels of
an image by how far each is beyond its own threshold.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cxrflow.errors import UserError
from cxrflow.forgetting.predictions import DENSE, write_predictions
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.settings import MaskKind
from cxrflow.probe import probe_scores

logger = logging.getLogger(__name__)

PROBED: dict[MaskKind, str] = {"threshold": "own", "top_k": "own", "token_drop": "full"}
"""The embedding of the train split that the probe learns from. Where tokens are dropped it is that of the whole
radiograph, the uncompressed model; the mean over masked patches is exported at the model's own share alone."""
_SHARE = "share/"


def write_share_predictions(
    outputs: Sequence[Path], exports: Sequence[Exported], master: Path, labels: Sequence[str], kind: MaskKind, way: str
) -> None:
    """Write one table of predictions per seed of a model: `dense` from all patches, `way` from fewer.

    `labels` are those of the data set (`master`), in its order; one with a single outcome in training is left out.
    Raises UserError where no label has both outcomes.
    """
    table = read_master(master)
    truth = np.stack(table.loc[table["split"] == "train", "labels"].tolist())
    images = table.loc[table["split"] == "test", "dicom_id"].tolist()
    for output, export in zip(outputs, exports, strict=True):
        found = share_probabilities(export, truth, kind)
        learnt = ~np.isnan(found[0.0]).any(axis=0)
        classes = [label for label, known in zip(labels, learnt, strict=True) if known]
        if not classes:
            raise UserError(f"No label of {master} has both outcomes in training.", "add patients or labels.")
        if len(classes) < len(labels):
            left_out = sorted(set(labels) - set(classes))
            logger.info("Left out, for they have one outcome in training: %s.", ", ".join(left_out))
        with write_predictions(output, classes) as written:
            for sparsity, probabilities in found.items():
                model = way if sparsity else DENSE
                written.append(model, export.seed, sparsity, images, probabilities[:, learnt])


def share_probabilities(export: Exported, truth: NDArray, kind: MaskKind) -> dict[float, NDArray[np.float32]]:
    """Return the probabilities (N, C) of the test split by the share of patches taken away, from 0 upwards.

    `truth` (M, C) is that of the train split. NaN for a label with one outcome there.
    """
    shares = sorted(
        (float(name.removeprefix(_SHARE)) for name in export.names if name.startswith(_SHARE)), reverse=True
    )
    tested = np.stack([export.read(f"{_SHARE}{share:g}") for share in shares])
    scores = probe_scores(export.read(f"train/image/{PROBED[kind]}"), truth, tested.reshape(-1, tested.shape[-1]))
    probabilities = expit(scores).reshape(*tested.shape[:2], -1)
    return {round(1 - share, 6): own for share, own in zip(shares, probabilities, strict=True)}
