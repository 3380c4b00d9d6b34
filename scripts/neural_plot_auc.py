"""Draw classification against the share of patches that is kept.

Needs: metrics.parquet. Leaves: auc_vs_kept as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.neural.figures import plot_auc

with script_run(snakemake):
    plot_auc(pd.read_parquet(snakemake.input.metrics), [Path(snakemake.output.png), Path(snakemake.output.pdf)])
