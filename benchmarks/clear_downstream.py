"""Features of slices and a fold of attention pooling against code written the released way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms

from benchmarks.timing import Comparison
from cxrflow.clear.aggregators import BagClassifier
from cxrflow.clear.bag_batches import Bags
from cxrflow.clear.bag_training import FoldRun, positive_weights, train_fold
from cxrflow.clear.downstream_settings import AggregationSettings, FeatureSettings
from cxrflow.clear.features import features_of
from cxrflow.clear.slice_encoders import FeatureEncoder
from cxrflow.cohort.store import ImageStore
from cxrflow.networks import IMAGENET_MEAN, IMAGENET_STD

SLOTS, BATCH, WIDTH, LABELS, EPOCHS = 512, 64, 768, 8, 2
PATIENTS, HELD_OUT, SLICES = 192, 48, (20, 140)
SHOWN, SIDE, SOURCE = 200, 224, 512


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with TemporaryDirectory() as folder:
        yield [_fold(), _features(Path(folder))]


def _fold() -> Comparison:
    """A fold of ABMIL with CLEAR's widths: bags as they are, and padded with zeros to 512 slots."""
    how = AggregationSettings(
        hidden=256, epochs=EPOCHS, patience=None, batch_size=BATCH, bag_size=SLOTS, learning_rate=1e-4
    )
    train, held_out = _bags(PATIENTS, 0), _bags(HELD_OUT, 1)
    _assert_equal_without_padding(how)

    def ours() -> object:
        return train_fold(FoldRun("abmil", "multi-label", 0), train, held_out, how)

    def reference() -> None:
        torch.manual_seed(0)
        model = BagClassifier("abmil", WIDTH, LABELS, "multi-label", how)
        optimiser = torch.optim.Adam(model.parameters(), lr=how.learning_rate)
        weights = positive_weights(train.labels)
        for _ in range(EPOCHS):
            model.train()
            for places in torch.randperm(len(train)).split(BATCH):
                optimiser.zero_grad()
                logits = padded_logits(model, _padded(train, places.numpy()))
                F.binary_cross_entropy_with_logits(logits, train.labels[places], pos_weight=weights).backward()
                optimiser.step()
            model.eval()
            with torch.no_grad():
                for places in torch.arange(len(held_out)).split(BATCH):
                    padded_logits(model, _padded(held_out, places.numpy()))

    name = f"fold of ABMIL, {PATIENTS} patients, {EPOCHS} epochs"
    return Comparison(name, ours, reference, goal=3, repeats=3)


def padded_logits(model: BagClassifier, bags: Tensor) -> Tensor:
    """Return logits (B, labels) of bags (B, slots, d) as the released code computes them: padding takes part."""
    slices = model.before(bags)
    scores = model.pooling.score(torch.tanh(model.pooling.content(slices)))  # type: ignore[operator]
    return model.classifier((scores.softmax(dim=1) * slices).sum(dim=1))


def _assert_equal_without_padding(how: AggregationSettings) -> None:
    """A bag that fills all slots is told the same by both."""
    model = BagClassifier("abmil", WIDTH, LABELS, "multi-label", how).eval()
    features = torch.randn(SLOTS, WIDTH)
    ours, _ = model(features, torch.zeros(SLOTS, dtype=torch.long), 1)
    torch.testing.assert_close(ours, padded_logits(model, features[None]), atol=1e-4, rtol=1e-4)


def _bags(count: int, seed: int) -> Bags:
    random = np.random.default_rng(seed)
    counts = random.integers(*SLICES, count)
    features = random.normal(size=(counts.sum(), WIDTH)).astype(np.float16)
    labels = torch.from_numpy((random.random((count, LABELS)) < 0.2).astype(np.float32))
    return Bags(features, np.cumsum(counts) - counts, counts, labels)


def _padded(bags: Bags, places: np.ndarray) -> Tensor:
    """Return bags (B, slots, d), each padded by itself."""
    found = []
    for place in places:
        own = torch.from_numpy(bags.features[bags.starts[place] :][: bags.counts[place]].astype(np.float32))
        found.append(torch.cat([own, torch.zeros(SLOTS - len(own), WIDTH)]))
    return torch.stack(found)


class ChannelMeans(nn.Module):
    """An encoder that costs nothing, so that what is measured is how slices come to it."""

    def forward(self, slices: Tensor) -> Tensor:
        """Return (B, 3)."""
        return slices.mean(dim=(2, 3))


def _features(folder: Path) -> Comparison:
    """Slices on their way to an encoder: batches of the store, which is made once, and one PNG after the other."""
    files, store, slices = _slices(folder)
    encoder = FeatureEncoder(ChannelMeans(), 3, SIDE, IMAGENET_MEAN, IMAGENET_STD)
    prepare = transforms.Compose(
        [
            transforms.Resize(SIDE),
            transforms.CenterCrop(SIDE),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )

    def ours() -> np.ndarray:
        return features_of(encoder, store, slices, FeatureSettings()).features

    @torch.no_grad()
    def reference() -> np.ndarray:
        network = ChannelMeans()
        found = [network(prepare(Image.open(file).convert("RGB"))[None]) for file in files]
        return torch.cat(found).numpy()

    np.testing.assert_allclose(ours(), reference(), atol=0.02)
    return Comparison(f"data path of features, {SHOWN} slices", ours, reference, goal=3)


def _slices(folder: Path) -> tuple[list[Path], ImageStore, pd.DataFrame]:
    """Write slices that compress as real ones do, as PNGs and as a store."""
    random = np.random.default_rng(0)
    files, rows = [], []
    for number in range(SHOWN):
        coarse = Image.fromarray(random.integers(0, 255, (64, 64), dtype=np.uint8)).resize((SOURCE, SOURCE))
        files.append(folder / f"{number:03d}.png")
        coarse.save(files[-1])
        rows.append(np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
    ids = [file.name for file in files]
    index = pd.DataFrame({"image_id": ids, "row": np.arange(SHOWN)})
    slices = pd.DataFrame({"image_id": ids, "study_id": "study", "patient_id": "patient"})
    return files, ImageStore(np.stack(rows), index), slices
