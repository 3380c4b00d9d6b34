"""Draw forgetting against the frequency of the classes.

Needs: forgettability.parquet and correlations.parquet. Leaves: the figure as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.figures import Words
from cxrflow.forgetting.relation_figures import plot_correlations
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    plot_correlations(
        pd.read_parquet(read.forgettability),
        pd.read_parquet(read.correlations),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
        Words(params.axis, params.methods),
    )
