"""Draw the mean over classes against the compression, and how large the weights are.

Needs: metrics.parquet, overall.parquet, and weights.parquet where there are weights. Leaves: the figure as png and
pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.figures import Words, plot_overall
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    weights = getattr(read, "weights", None)
    plot_overall(
        pd.read_parquet(read.metrics),
        pd.read_parquet(read.overall),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
        Words(params.axis, params.methods),
        pd.read_parquet(weights) if weights else None,
    )
