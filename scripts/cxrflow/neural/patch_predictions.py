"""Predictions of the graph classifiers along a compression axis: the share of patches that was taken away."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.errors import UserError
from cxrflow.forgetting.predictions import DENSE, write_predictions
from cxrflow.neural.settings import NO_TEXT, WHOLE

logger = logging.getLogger(__name__)


def write_patch_predictions(source: Path, output: Path, targets: list[str], way: str) -> None:
    """Write one seed's predictions from patches alone: `dense` for the whole radiograph, `way` for its pruned ones.

    `way` is a selector and, where one took part, the text that guided it (`attention_generated`). An image without a
    prediction for some target (its truth is not known) is left out.
    """
    table = pd.read_parquet(source)
    table = table[(table["input"] == "image") & (table["labels"] == "true")]
    selector, _, text = way.partition("_")
    whole = (table["selector"] == "all") & (table["kept_percent"] == WHOLE)
    pruned = (table["selector"] == selector) & (table["text"] == (text or NO_TEXT))
    if not pruned.any() or not whole.any():
        raise UserError(
            f"{source} holds no predictions from patches that {way} chose.",
            "neural.gnn.inputs must name image, neural.pruning.selectors and neural.texts.settings what chose them.",
        )
    seed = int(table["seed"].iloc[0])
    with write_predictions(output, targets) as written:
        for share, rows in sorted(table[whole | pruned].groupby("kept_percent"), reverse=True):
            wide = rows.pivot_table(index="image_id", columns="target", values="probability")[targets]
            known = wide.dropna()
            if len(known) < len(wide):
                logger.info("%d of %d images lack a target and are left out.", len(wide) - len(known), len(wide))
            sparsity = round(1 - float(share) / 100, 6)  # type: ignore[arg-type]
            model = way if sparsity else DENSE
            written.append(model, seed, sparsity, known.index.tolist(), known.to_numpy(dtype=np.float32))
