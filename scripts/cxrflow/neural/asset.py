"""The compressed asset: what is left of every radiograph of a cohort at one share, in one file that needs no other.

Another task trains on it without the images, given labels of its own (one per row):

    from cxrflow.neural.asset import load_asset
    from sklearn.linear_model import LogisticRegression

    asset = load_asset("results/demo-mimic/neural/assets/kept_2.3.npz")
    labels = my_labels.loc[asset.image_id].to_numpy()
    train, test = asset.rows("train"), asset.rows("test")
    probe = LogisticRegression(max_iter=1000).fit(asset.pooled()[train], labels[train])
    print(probe.score(asset.pooled()[test], labels[test]))

Only numpy is needed to read it: numpy.load opens the same file.
"""

import struct
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.errors import UserError

VERSION = 1
MAPPED = ("pixels", "features")
"""What is read from the file when it is used, not before: with many radiographs it does not fit into memory."""


@dataclass(frozen=True)
class Asset:
    """N radiographs, K kept patches of p x p pixels each, d features per patch. Row i is the same image everywhere.

    Offsets (N + 1,) cut flat arrays: image i has the rows offsets[i]:offsets[i + 1].
    """

    cohort: str
    simulated: bool
    text: str
    """Whose report chose the patches and made the report graph: reference, masked, generated or generated_masked."""
    kept_percent: float
    """The share of patches that was asked for; K patches is what it came to."""
    grid_side: int
    """Patches along each side of the image; patch ids run row by row from the top left."""
    image_size: int
    """Side in pixels of the whole image, of which `pixels` are parts."""
    image_id: NDArray[np.str_]
    patient_id: NDArray[np.str_]
    split: NDArray[np.str_]
    patches: NDArray[np.uint8]
    """(N, K) patch ids, the one with most attention first."""
    pixels: NDArray[np.uint8]
    """(N, K, p, p) grey values of the kept patches."""
    features: NDArray[np.float16]
    """(N, K, d) the encoder's features of the kept patches. They saw beyond the patch's own pixels."""
    visual_edges: NDArray[np.uint8]
    """(E, 2) pairs of touching kept patches, as places 0..K-1 in the image's `patches`, each pair once."""
    visual_offsets: NDArray[np.int64]
    visual_hubs: NDArray[np.uint8]
    """(N,) place of the most central kept patch."""
    entities: NDArray[np.str_]
    """(V,) the words of each different report entity of the cohort."""
    entity_labels: NDArray[np.str_]
    """(V,) their RadGraph labels (ANAT-DP, OBS-DP, OBS-U, OBS-DA)."""
    report_nodes: NDArray[np.int32]
    """(M,) entity of each node of the report graphs, as a row of `entities`."""
    report_node_offsets: NDArray[np.int64]
    report_edges: NDArray[np.int32]
    """(R, 2) related nodes, numbered from 0 within the image's report."""
    report_edge_offsets: NDArray[np.int64]
    report_hubs: NDArray[np.int32]
    """(N,) most central node of the report, -1 where it has none. It and the visual hub join the two graphs."""

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split (train, validate or test)."""
        return np.flatnonzero(self.split == split)

    def pooled(self) -> NDArray[np.float32]:
        """Return (N, d): the mean of each radiograph's kept features."""
        return self.features.mean(axis=1, dtype=np.float32)

    def image(self, row: int) -> NDArray[np.uint8]:
        """Return (S, S): the kept patches of one radiograph where they were, black elsewhere."""
        side, step = self.grid_side, self.pixels.shape[2]
        tiles = np.zeros((side * side, step, step), dtype=np.uint8)
        tiles[self.patches[row]] = self.pixels[row]
        return tiles.reshape(side, side, step, step).swapaxes(1, 2).reshape(self.image_size, self.image_size)

    def touching(self, row: int) -> NDArray[np.uint8]:
        """Return (e, 2): the edges among the kept patches of one radiograph."""
        return self.visual_edges[self.visual_offsets[row] : self.visual_offsets[row + 1]]

    def report(self, row: int) -> tuple[list[tuple[str, str]], NDArray[np.int32]]:
        """Return the report graph of one radiograph: (words, label) of each node, and edges (r, 2)."""
        nodes = self.report_nodes[self.report_node_offsets[row] : self.report_node_offsets[row + 1]]
        names = list(zip(self.entities[nodes].tolist(), self.entity_labels[nodes].tolist(), strict=True))
        return names, self.report_edges[self.report_edge_offsets[row] : self.report_edge_offsets[row + 1]]


SINGLE = ("cohort", "simulated", "text", "kept_percent", "grid_side", "image_size")
"""Fields that are one value for the whole file."""


def load_asset(path: Path | str) -> Asset:
    """Open an asset; its pixels and features stay in the file until they are used.

    Raises UserError where the file is no asset, was cut short, or has another version. Nothing is unpickled.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [field.name for field in fields(Asset)]
            _check_version(path, int(file["version"]) if "version" in file else None)
            arrays = {name: file[name] for name in names if name not in MAPPED}
        arrays |= {name: mapped_member(path, f"{name}.npy") for name in MAPPED}
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, EOFError) as error:
        raise UserError(
            f"{path} is no whole asset ({type(error).__name__}).",
            "It was written by another program or copied in part: make it again with neural_write_asset.",
        ) from error
    return Asset(**{name: array.item() if name in SINGLE else array for name, array in arrays.items()})


def mapped_member(path: Path, name: str) -> np.ndarray:
    """Return an array of an npz as a read-only memory map; only members that are stored as they are can be mapped."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        member = archive.getinfo(name)
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        stream.seek(member.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", stream.read(4))
        stream.seek(name_length + extra_length, 1)
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{name} has npy version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise ValueError(f"{name} holds objects")
        if not np.prod(shape):
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype=dtype, mode="r", offset=stream.tell(), shape=shape)


def _check_version(path: Path, found: int | None) -> None:
    if found != VERSION:
        kind = "has no version" if found is None else f"is of version {found}"
        raise UserError(
            f"{path} {kind}, this program reads assets of version {VERSION}.",
            "Make it again with neural_write_asset, or read it with the program that wrote it.",
        )
