"""What is measured on the validate split after every epoch: loss, recall, a probe's AUC, and their combination."""

import numpy as np
import torch
from torch import nn

from cxrflow.contrastive import contrastive_loss
from cxrflow.patchib.embedding import OWN, embed_images, embed_pairs
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs
from cxrflow.patchib.settings import TrainingSettings
from cxrflow.probe import probe_scores
from cxrflow.ranking import class_aurocs
from cxrflow.retrieval import mean_recall

SELECTED = "selected"
_PROBE_ITERATIONS = 200


class Validation:
    """Measures a model; the training radiographs that the probe learns from are drawn once and are not augmented.

    The released code draws others every epoch and augments them: its AUC moves while the model stands still.
    """

    def __init__(self, train: Pairs, validate: Pairs, settings: TrainingSettings) -> None:
        self.validate, self.settings = validate, settings
        count = min(settings.probe_images, len(train))
        self.probed = train.at(np.sort(np.random.default_rng(0).choice(len(train), count, replace=False)))

    def measure(self, network: nn.Module, last: bool) -> dict[str, float]:
        """Return the validation values by name: recall and auc from 0 to 1, and `selected`, which the best epoch has
        highest. In the last phase no epoch is chosen before what is annealed has come to its end."""
        model = unwrapped(network)
        embedded = embed_pairs(model, self.validate, self.settings.batch_size)
        images, texts, numbers = embedded.images[OWN], embedded.texts, self.validate.texts.numpy()
        recall = mean_recall(images, texts, numbers)
        learnt = embed_images(model, self.probed, self.settings.batch_size)
        auc = mean_area(probe_scores(learnt, self.probed.labels.numpy(), images, _PROBE_ITERATIONS), self.validate)
        share = self.settings.recall_share
        loss = pair_loss(images, texts, float(model.towers.scale()), self.settings.batch_size)
        kept = float(embedded.masks.mean()) if embedded.masks.size else 1.0
        both = share * recall + (1 - share) * auc
        values = {"loss": loss, "recall": recall, "auc": auc, "combined": both, "kept": kept}
        annealed = not last or model.scorer is None or model.scorer.is_annealed()
        sign = -1 if self.settings.select == "loss" else 1
        return values | {SELECTED: sign * values[self.settings.select] if annealed else -np.inf}


def mean_area(scores: np.ndarray, data: Pairs) -> float:
    """Return the mean AUROC over the labels that can be scored; 0.5 where none can."""
    scored = ~np.isnan(scores).any(axis=0)
    areas = class_aurocs(data.labels.numpy()[:, scored], scores[:, scored])
    known = areas[~np.isnan(areas)]
    return float(np.mean(known)) if len(known) else 0.5


def pair_loss(images: np.ndarray, texts: np.ndarray, scale: float, size: int) -> float:
    """Return the mean InfoNCE of batches of pairs in order, as in training but for groups and augmentation."""
    losses, counts = [], []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        pair = (torch.from_numpy(images[part]), torch.from_numpy(texts[part]))
        losses.append(float(contrastive_loss(*pair, torch.tensor(scale))))
        counts.append(len(pair[0]))
    return float(np.average(losses, weights=counts))


def unwrapped(network: nn.Module) -> PatchModel:
    """Return the model itself, also where several processes train it together."""
    return network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network  # type: ignore[return-value]
