"""What each encoder costs: multiplications, parameters, slices per second and memory, beside what it is worth."""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor

from cxrflow.clear.slice_encoders import FeatureEncoder
from cxrflow.efficiency import counted, peak_bytes, seconds_per_pass
from cxrflow.measured import Common
from cxrflow.training import this_device


def compute_table(encoders: Mapping[str, FeatureEncoder], size: int, batch: int, common: Common) -> pd.DataFrame:
    """Return one row per encoder: macs (of one slice), parameters, images_per_s, peak_bytes (of a batch), width.

    Slices are of `size` pixels and noise: no encoder is faster for what it sees. Encoders take turns.
    """
    slices = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0)).to(this_device())
    passes = [_pass(encoder.to(this_device()).eval(), slices) for encoder in encoders.values()]
    seconds = seconds_per_pass(passes)
    rows = [
        {
            **common,
            "encoder": name,
            "macs": counted(_pass(encoder, slices[:1])).macs,
            "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
            "images_per_s": batch / took,
            "peak_bytes": peak_bytes(work),
            "width": encoder.width,
            "image_size": encoder.side,
            "batch": batch,
            "device": str(this_device()),
        }
        for (name, encoder), work, took in zip(encoders.items(), passes, seconds, strict=True)
    ]
    return pd.DataFrame(rows)


def _pass(encoder: FeatureEncoder, slices: Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def work() -> None:
        encoder(slices)
        if slices.is_cuda:
            torch.cuda.synchronize()

    return work
