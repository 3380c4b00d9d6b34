"""Draw classification against bytes per radiograph: pruning beside JPEG and down-sampling.

Needs: metrics.parquet and compression.parquet. Leaves: bytes_vs_auc as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.neural.bytes_figure import plot_bytes

with script_run(snakemake):
    plot_bytes(
        pd.read_parquet(snakemake.input.metrics),
        pd.read_parquet(snakemake.input.compression),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
    )
