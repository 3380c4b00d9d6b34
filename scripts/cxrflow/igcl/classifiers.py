"""Classifiers on an encoder: linear ones on features that are computed once, and those whose encoder learns as well."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxrflow.augment import Augmentation
from cxrflow.igcl.image_encoders import ImageEncoder
from cxrflow.igcl.transfer_settings import ClassifierSettings
from cxrflow.losses import known_cross_entropy, start_at_frequencies
from cxrflow.radiographs import Radiographs, ShuffledBatches, in_order
from cxrflow.ranking import mean_auroc
from cxrflow.settings import Precision
from cxrflow.training import Batch, Plan, Resume, fit

Loss = Callable[[Tensor, Tensor], Tensor]

AREA = "mean auroc"
_AT_ONCE = 256  # examples in evaluation


class Labelled(Radiographs, Protocol):
    """Examples whose labels (N, C) are 1, 0 or NaN (not known)."""

    @property
    def labels(self) -> Tensor:
        """Return them."""
        ...


@dataclass(frozen=True)
class LabelledFeatures:
    """Features (N, D) float32 in place of images, with labels (N, C) of 1, 0 or NaN."""

    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, places: NDArray) -> dict[str, Tensor]:
        """Return the examples at some places, the features as `images`."""
        chosen = torch.from_numpy(places)
        return {"images": self.features[chosen], "labels": self.labels[chosen]}


class EncoderClassifier(nn.Module):
    """An encoder with one linear classifier of all labels on its features."""

    def __init__(self, encoder: nn.Module, width: int, labels: int) -> None:
        super().__init__()
        self.encoder, self.classifier = encoder, nn.Linear(width, labels)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(self.encoder(images))


class Projected(ImageEncoder):
    """An encoder with the map into the common space on it, not brought to unit length (as published)."""

    def __init__(self, encoder: ImageEncoder, projection: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.projection, self.width = encoder, projection, projection.out_features

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.projection(self.encoder(images))


def softmax_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the mean over images of -sum over labels of y log softmax(z), as in the released code.

    Labels of an image compete, and one with many of them weighs more. Unknown ones count as absent.
    """
    return -(truth.nan_to_num(0.0) * logits.log_softmax(dim=1)).sum(dim=1).mean()


LOSSES: dict[str, Loss] = {"sigmoid": known_cross_entropy, "softmax": softmax_cross_entropy}


@dataclass(frozen=True)
class Teaching:
    """How a classifier learns."""

    settings: ClassifierSettings
    loss: str
    precision: Precision
    seed: int
    augment: bool = False


def train_classifier(
    model: EncoderClassifier,
    train: Labelled,
    places: NDArray[np.intp],
    validate: Labelled,
    how: Teaching,
    resume: Resume | None = None,
) -> None:
    """Train on the examples at some `places` of `train`; the model keeps the epoch that is best on `validate`."""
    settings, loss, truth = how.settings, LOSSES[how.loss], validate.labels.numpy()
    start_at_frequencies(model.classifier, train.labels[torch.from_numpy(places)])

    def step(network: nn.Module, batch: Batch) -> Tensor:
        return loss(network(batch["images"]), batch["labels"])

    def measure(network: nn.Module) -> dict[str, float]:
        return {AREA: mean_auroc(truth, logits_of(network, validate))}

    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    plan = Plan(
        settings.epochs,
        how.seed,
        how.precision,
        select=AREA,
        highest=True,
        patience=settings.patience,
        verbose=False,
    )
    changes = Augmentation() if how.augment else None
    batches = ShuffledBatches(train, settings.batch_size, how.seed, changes, places)
    fit(model, optimiser, batches, step, measure, plan, resume)
    model.eval()


@torch.no_grad()
def logits_of(network: nn.Module, data: Radiographs) -> NDArray[np.float32]:
    """Return what a network in its present mode makes of all examples (N, ...), in order, on the device it is on."""
    device = next(network.parameters()).device
    parts = [network(batch["images"].to(device)).float().cpu() for batch in in_order(data, _AT_ONCE)]
    return torch.cat(parts).numpy()
