"""Draw the forgettability curves of all classes.

Needs: curves.parquet and forgettability.parquet. Leaves: the figure as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.figures import Words, plot_curves
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    plot_curves(
        pd.read_parquet(read.curves),
        pd.read_parquet(read.forgettability),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
        Words(params.axis, params.methods),
    )
