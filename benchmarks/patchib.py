"""Training, token drop, retrieval and data path against the released way; the data set of MIMIC-CXR's size."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision import transforms
from transformers import BertConfig, BertModel

from benchmarks import patchib_master
from benchmarks.timing import Comparison, apart, peak_mb
from cxrflow.patchib.efficiency import macs
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs
from cxrflow.patchib.settings import LocalSettings, MaskSettings, ModelSettings
from cxrflow.radiographs import ShuffledBatches
from cxrflow.retrieval import ranks, recalls
from cxrflow.towers import Towers

MARKS = [0, 2, 3]
PAIRS, WORDS, CONTEXT = 8, 110, 256
SOURCE = (2544, 3056)  # pixels of a radiograph of MIMIC-CXR-JPG
SHARES = (0.75, 0.5, 0.25)


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, patchib_master.comparisons() as master:
        yield [
            _training_step(),
            *(_token_drop(share) for share in SHARES),
            _retrieval(3_041),
            _many_pairs(100_000),
            _data_path(Path(folder)),
            *master,
        ]


def towers_of(blocks: int, layers: int, size: int = 224, width: int = 768) -> Towers:
    """Return towers of BiomedCLIP's width (or another) with random weights."""
    vit = VisionTransformer(img_size=size, embed_dim=width, depth=blocks, num_heads=width // 64, num_classes=0)
    bert = BertModel(BertConfig(num_hidden_layers=layers, hidden_size=768), add_pooling_layer=False)
    text = SimpleNamespace(transformer=bert, pooler=_FirstToken(), proj=nn.Linear(768, 512, bias=False))
    looks = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    visual = SimpleNamespace(trunk=vit, head=nn.Linear(width, 512, bias=False), preprocess_cfg=looks)
    scale = nn.Parameter(torch.tensor(2.66))
    return Towers(SimpleNamespace(visual=visual, text=text, logit_scale=scale))


class _FirstToken(nn.Module):
    def forward(self, output: SimpleNamespace, mask: Tensor) -> Tensor:
        return output.last_hidden_state[:, 0]


def _training_step() -> Comparison:
    """A step of model C (4 blocks, 4 layers, 8 pairs of 110 words): one text pass without needless padding, and two
    passes at the full length, one for the text and one for its words."""
    local = LocalSettings(distance="mse", symmetric=False)
    model = PatchModel(towers_of(4, 4), ModelSettings(local=local, mask=MaskSettings(kind="threshold")), MARKS).train()
    tokens = torch.zeros(PAIRS, CONTEXT, dtype=torch.long)
    tokens[:, 1:WORDS] = torch.randint(10, 30_000, (PAIRS, WORDS - 1))
    tokens[:, 0] = 2
    images = torch.rand(PAIRS, 1, 224, 224)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def ours() -> None:
        step(model({"images": images, "tokens": tokens[:, :WORDS], "texts": torch.arange(PAIRS)}))

    def reference() -> None:
        again = model.towers.embed_text(model.towers.read(tokens), tokens)
        step(model({"images": images, "tokens": tokens, "texts": torch.arange(PAIRS)}) + 0 * again.sum())

    return Comparison("training step of model C", ours, reference, goal=2, repeats=3)


def _token_drop(share: float) -> Comparison:
    """Embedding radiographs with model E (ViT-B/16, drop after block 6) and with model A; the goal is 85 % of what the
    multiplications promise."""
    towers = towers_of(12, 1)
    mask = MaskSettings(kind="token_drop", keep=share, drop_layer=6)
    whole = PatchModel(towers, ModelSettings(), MARKS).eval()
    dropped = PatchModel(towers, ModelSettings(mask=mask), MARKS).eval()
    images = torch.rand(PAIRS, 1, 224, 224)
    bound = macs(whole, images[:1]).macs / macs(dropped, images[:1]).macs

    def embed(model: PatchModel) -> Callable[[], Tensor]:
        return torch.no_grad()(lambda: model.see(images).image)

    name = f"model E at {share:g} of the patches over model A (bound {bound:.2f})"
    return Comparison(name, embed(dropped), embed(whole), goal=0.85 * bound, repeats=3)


def _unit(rows: int, seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(size=(rows, 512)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _retrieval(count: int) -> Comparison:
    """Recalls in both directions of the published test split: grouped, and by sorting each row in a loop."""
    images, texts = _unit(count, 1), _unit(count, 2)
    studies = np.arange(count) * 2 // 3

    def ours() -> None:
        for one, other in ((images, texts), (texts, images)):
            recalls(ranks(one, other, studies, studies))

    def reference() -> None:
        similarity = images @ texts.T
        for matrix in (similarity, similarity.T):
            order = [np.argsort(-row)[:10] for row in matrix]
            _ = [
                np.mean([study in studies[found[:k]] for study, found in zip(studies, order, strict=True)])
                for k in (1, 5, 10)
            ]

    return Comparison(f"recalls of {count:,} pairs", ours, reference, goal=1, repeats=3)


def _many_pairs(count: int) -> Comparison:
    """Recalls of many pairs: our time and memory alone; a matrix of all similarities would take 40 GB."""
    ours = partial(apart, "patchib", str(count))
    return Comparison(f"recalls of {count:,} pairs, one direction", ours, None, goal=float("nan"), repeats=1)


def find_pairs(count: int) -> None:
    """Rank made-up pairs, two radiographs to a study and a half."""
    images, texts, studies = _unit(count, 1), _unit(count, 2), np.arange(count) * 2 // 3
    recalls(ranks(images, texts, studies, studies))


def _data_path(folder: Path) -> Comparison:
    """Augmented batches of 16 radiographs: from the store, and decoded from full-size JPEG files each time."""
    noise = np.random.default_rng(0).integers(0, 255, (SOURCE[1] // 16, SOURCE[0] // 16), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(SOURCE, Image.Resampling.BICUBIC)
    files = [folder / f"{number}.jpg" for number in range(16)]
    for file in files:
        picture.save(file, quality=90)
    small = np.stack([np.asarray(picture.resize((224, 224)))] * len(files))
    tokens = torch.ones(len(files), CONTEXT, dtype=torch.long)
    data = Pairs(small, np.arange(len(files)), tokens, torch.arange(len(files)), torch.zeros(len(files), 14), 0)
    released = transforms.Compose(
        [
            transforms.RandomResizedCrop(224, (0.75, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(10),
            transforms.ColorJitter(0.2, 0.2),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def ours() -> None:
        for batch in ShuffledBatches(data, len(files), seed=0).epoch(0):
            assert batch["images"].shape == (len(files), 1, 224, 224)

    def reference() -> None:
        torch.stack([released(Image.open(BytesIO(file.read_bytes())).convert("RGB")) for file in files])

    return Comparison("augmented batch of 16 radiographs", ours, reference, goal=20, repeats=3)


if __name__ == "__main__":
    find_pairs(int(sys.argv[1]))
    print(json.dumps({"peak_mb": peak_mb()}))
