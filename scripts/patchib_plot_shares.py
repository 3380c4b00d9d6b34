"""Draw what fewer patches cost and save.

Needs: shares, metrics and efficiency. Leaves: shares as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.patchib.share_figure import plot_shares

with script_run(snakemake):
    tables = (pd.read_parquet(snakemake.input[name]) for name in ("shares", "metrics", "efficiency"))
    plot_shares(*tables, [Path(snakemake.output.png), Path(snakemake.output.pdf)])
