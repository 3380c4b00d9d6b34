"""What each encoder costs: multiplications, parameters, slices per second and memory, beside what it is worth."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxrflow.clear.slice_encoders import FeatureEncoder
from cxrflow.efficiency import cost_table
from cxrflow.measured import Common

COLUMNS = ("encoder", "macs", "parameters", "images_per_s", "peak_bytes", "width", "image_size", "batch", "device")


def compute_table(encoders: Mapping[str, FeatureEncoder], size: int, batch: int, common: Common) -> pd.DataFrame:
    """Return one row per encoder of slices of `size` pixels: what `cost_table` tells, and the width of its features.

    `image_size` is the side that the encoder resamples slices to.
    """
    costs = cost_table(encoders, dict.fromkeys(encoders, size), batch)
    widths, sides = ([getattr(one, name) for one in encoders.values()] for name in ("width", "side"))
    about: dict[str, Any] = {**common, "width": widths, "image_size": sides}
    return costs.assign(**about)[[*common, *COLUMNS]]
