"""Draw the comparison of all models.

Needs: metrics, differences and efficiency. Leaves: ablation as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.patchib.figures import plot_ablation

with script_run(snakemake):
    tables = (pd.read_parquet(snakemake.input[name]) for name in ("metrics", "differences", "efficiency"))
    plot_ablation(*tables, [Path(snakemake.output.png), Path(snakemake.output.pdf)])
