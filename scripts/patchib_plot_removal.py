"""Draw deletion and insertion curves, and how steady masks are.

Needs: curves and robustness. Leaves: removal as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.patchib.removal_figure import plot_removal

with script_run(snakemake):
    plot_removal(
        pd.read_parquet(snakemake.input.curves),
        pd.read_parquet(snakemake.input.robustness),
        snakemake.params.most_images,
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
    )
