"""Draw how far apart the curves of two classes lie against what the classes have in common.

Needs: dissimilarity.parquet and correlations.parquet. Leaves: the figure as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.figures import Words
from cxrflow.forgetting.relation_figures import plot_dissimilarity
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    plot_dissimilarity(
        pd.read_parquet(read.dissimilarity),
        pd.read_parquet(read.correlations),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
        Words(params.axis, params.methods),
    )
