"""What an encoder costs is what can be counted by hand."""

import torch
from torch import nn

from cxrflow.clear.compute import compute_table
from cxrflow.clear.slice_encoders import FeatureEncoder

torch.set_num_threads(1)


def linear(width: int) -> FeatureEncoder:
    return FeatureEncoder(nn.Sequential(nn.Flatten(), nn.Linear(64, width)), width, 8).eval()


def test_multiplications_and_parameters_are_those_of_the_layers() -> None:
    table = compute_table({"small": linear(10), "large": linear(1000)}, 16, 4, {"cohort": "c"}).set_index("encoder")
    assert table["macs"].to_dict() == {"small": 640, "large": 64_000}
    assert table["parameters"].to_dict() == {"small": 650, "large": 65_000}
    assert table["width"].to_dict() == {"small": 10, "large": 1000}
    assert (table["images_per_s"] > 0).all()
    assert (table["image_size"] == 8).all(), "what the encoder sees, not what the store holds"
    assert table.loc["large", "peak_bytes"] >= 4 * 4 * 1000, "at least its output"
