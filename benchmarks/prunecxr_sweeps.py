"""Whole sweeps: images decoded once and one network pruned in place, and everything anew at every sparsity.

The reference does what the released program does: for every sparsity a new network, its weights, torch's own pruning
left as hooks, and a loader with workers that decodes, resizes and normalises all files again. It resizes grey images
and by the area of each pixel, as we do, so that both sides see the same pixels.

Weights are made up: a network that was drawn at random, or trained for as long as a benchmark may take, says the same
of every image long before 90 % of its weights are gone, and equal outputs would prove nothing. Here every layer has the
same spread and heavy tails, as after a long training, and batch normalisation has seen a few images.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.timing import Comparison
from cxrflow.classification.classifier import build_classifier, load_classifier
from cxrflow.classification.radiographs import LabelledRadiographs
from cxrflow.classification.settings import DataSettings, NetworkSettings
from cxrflow.cohort.decoding import decode
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.store import ImageStore
from cxrflow.cohort.store_building import build_store
from cxrflow.networks import IMAGENET_MEAN, IMAGENET_STD
from cxrflow.prunecxr.pruning import prunable_weights
from cxrflow.prunecxr.settings import SweepSettings
from cxrflow.prunecxr.sweep import SweepChoice, Waiting, swept
from cxrflow.radiographs import read_images
from cxrflow.weights import save_weights

CLASSES, PIXELS, WORKERS = 20, 1024, 2
SPARSITIES = tuple(round(0.05 * step, 2) for step in range(20))
CHECKED = (0.5, 0.9)  # where outputs have to differ between images
TOLERANCE = 1e-4
ALLOWED = 1.3  # our whole time over that of the forward passes
RESNET = NetworkSettings(name="resnet50")


@dataclass(frozen=True)
class Study:
    """What is swept: so many of the files 0.png, 1.png, ... of a folder, by the network whose weights are there."""

    folder: Path
    images: int
    network: NetworkSettings
    size: int
    batch: int
    threads: int
    """Threads of torch on both sides: 1 as in the workflow's job, which keeps a small network from waiting for them."""
    sparsities: tuple[float, ...] = SPARSITIES

    @property
    def weights(self) -> Path:
        """The file of weights."""
        return self.folder / f"{self.network.name}.safetensors"

    @property
    def names(self) -> list[str]:
        """The files of the images."""
        return [f"{place}.png" for place in range(self.images)]

    def __str__(self) -> str:
        return f"{self.network.name} at {self.size} px, {self.images} radiographs, {len(self.sparsities)} sparsities"


def sweeps(folder: Path) -> list[Comparison]:
    """Return the comparisons of whole sweeps; makes images and weights in `folder`."""
    resnet = Study(folder, 16, RESNET, 256, 8, threads=2)
    small = Study(folder, 64, NetworkSettings(), 64, 16, threads=1)  # of 64 px: decoding is most of the work
    # Fewer sparsities make it harder for us: images are decoded and weights ranked for fewer passes.
    few = replace(resnet, sparsities=SPARSITIES[::4])
    many = replace(resnet, images=256, sparsities=(0.0, 0.9))
    write_radiographs(folder, many.images)
    for study in (resnet, small):
        save_made_up_weights(study)
    return [
        _against_anew(resnet, goal=2.5, repeats=1),
        _against_anew(small, goal=10, repeats=1),
        _against_passes(few, goal=float("nan")),
        _against_passes(many, goal=1 / ALLOWED),
    ]


def _against_anew(study: Study, goal: float, repeats: int) -> Comparison:
    """Compare probabilities in every turn: a turn takes minutes."""
    found: list[NDArray] = []

    def ours() -> None:
        found[:] = [sweep_once(study)]

    def reference() -> None:
        np.testing.assert_allclose(found[0], sweep_anew(study), rtol=0, atol=TOLERANCE)
        for share in CHECKED:
            differences = np.ptp(found[0][study.sparsities.index(share)], axis=0)
            assert differences.max() > 10 * TOLERANCE, f"{study}: all images look alike at {share}"

    return Comparison(f"{study}: once / anew at each", ours, reference, goal, repeats)


def _against_passes(study: Study, goal: float) -> Comparison:
    """The ratio is the share of the forward passes in our time: 1 would be a sweep without any other cost."""
    name = f"{study}: whole / its forward passes alone"
    return Comparison(name, lambda: sweep_once(study), forward_passes(study), goal, repeats=1)


def sweep_once(study: Study) -> NDArray[np.float32]:
    """Return probabilities (sparsities, N, C) as the workflow's jobs make them, from the files of the images on."""
    settings = SweepSettings(sparsities=study.sparsities, methods=("l1",), batch_size=study.batch)
    choice = SweepChoice(DataSettings(image_size=study.size), study.network, settings, seed=0, chunk=0)
    manifest = pd.DataFrame({"image_id": study.names, "path": study.names, "height": PIXELS, "width": PIXELS})
    with TemporaryDirectory() as folder, torch_threads(study.threads):
        made = Path(folder, "images.npy")
        build_store(manifest, study.folder, study.size, made, WORKERS, Quarantine("benchmark"))
        store = ImageStore.open(made, made.with_suffix(".parquet"))
        test = LabelledRadiographs(store.images, store.rows(study.names), torch.zeros(study.images, CLASSES))
        network = load_classifier(study.network, CLASSES, study.weights)
        waiting = Waiting.open(Path(folder, "waiting"), "benchmark")
        return np.stack([probabilities for _, probabilities, _ in swept(network, test, choice, waiting)])


def sweep_anew(study: Study) -> NDArray[np.float32]:
    """Return the same as the released program makes them."""
    with torch_threads(study.threads):
        return np.stack([_predict_anew(study, share) for share in study.sparsities])


@torch.no_grad()
def _predict_anew(study: Study, share: float) -> NDArray[np.float32]:
    network = new_network(study.network, load_file(study.weights)).eval()
    if share:
        prune_as_torch(network, share)
    loader = DataLoader(PngFiles(study), study.batch, num_workers=WORKERS)
    return torch.cat([torch.sigmoid(network(images)) for images in loader]).numpy()


def new_network(settings: NetworkSettings, state: dict[str, Tensor]) -> nn.Module:
    """Return a network with these weights: timm's own, or ours where timm has none of this name."""
    if settings.name != RESNET.name:
        ours = build_classifier(settings, CLASSES).to(memory_format=torch.contiguous_format)  # what torch can prune
        ours.load_state_dict(state)
        return ours
    network = timm.create_model(settings.name, num_classes=CLASSES)
    network.load_state_dict({name.removeprefix("body."): value for name, value in state.items()})
    return network


def prune_as_torch(network: nn.Module, share: float) -> list[nn.Module]:
    """Prune with torch's own function, masks and hooks left in place; return the layers."""
    layers: list[nn.Module] = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    weights = [(layer, "weight") for layer in layers]
    prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=share)
    return layers


class PngFiles(Dataset[Tensor]):
    """Images decoded, resized and normalised each time they are asked for."""

    def __init__(self, study: Study) -> None:
        self.paths = [study.folder / name for name in study.names]
        self.side = study.size, study.size
        colour = study.network.name == RESNET.name
        self.mode = "RGB" if colour else "L"
        normal = [transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)] if colour else []
        self.tensor = transforms.Compose([transforms.ToTensor(), *normal])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        """Return one image (channels, S, S)."""
        with Image.open(self.paths[place]) as image:
            return self.tensor(image.resize(self.side, Image.Resampling.BOX).convert(self.mode))


def forward_passes(study: Study) -> Callable[[], None]:
    """Return what runs the network over the batches of a sweep and does nothing else."""
    network = load_classifier(study.network, CLASSES, study.weights)
    pixels = np.stack([decode(study.folder / name, study.size) for name in study.names])
    batches = read_images(pixels, np.arange(study.images)).split(study.batch)

    @torch.no_grad()
    def passes() -> None:
        with torch_threads(study.threads):
            for _ in study.sparsities:
                for batch in batches:
                    network(batch)

    return passes


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_radiographs(folder: Path, count: int) -> None:
    """Write grey images of low spatial frequency with a little grain: about 450 kB, as those of ChestX-ray14."""

    def write(place: int) -> None:
        random = np.random.default_rng([0, place])
        coarse = Image.fromarray(random.normal(128, 40, (32, 32)).astype(np.float32))
        smooth = np.asarray(coarse.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))
        grain = random.standard_normal((PIXELS, PIXELS), dtype=np.float32)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{place}.png", compress_level=1)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(write, range(count)))


@torch.no_grad()
def save_made_up_weights(study: Study) -> None:
    """Write the study's weights: heavy tails, the same spread in all layers, statistics of eight images."""
    torch.manual_seed(0)
    network = build_classifier(study.network, CLASSES)
    for weight in prunable_weights(network).values():
        cubes = weight**3
        weight.copy_(cubes * (0.02 / cubes.std()))
    for norm in _norms(network):
        nn.init.ones_(norm.weight)  # timm starts the last of each block at zero: nothing but shortcuts would be left
        norm.reset_running_stats()
        norm.momentum = None  # an average over all batches, here one
    pixels = np.stack([decode(study.folder / name, study.size // 2) for name in study.names[:8]])
    network.train()(read_images(pixels, np.arange(8)))
    save_weights(network, study.weights)


def _norms(network: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
