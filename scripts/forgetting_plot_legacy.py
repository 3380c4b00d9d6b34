"""Draw what the defined and the released formulas make of frequency, overlap and number of diseases.

Needs: dissimilarity.parquet, legacy.parquet and pie_ratios.parquet. Leaves: the figure as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.figures import Words
from cxrflow.forgetting.relation_figures import plot_legacy
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    plot_legacy(
        pd.read_parquet(read.dissimilarity),
        pd.read_parquet(read.legacy),
        pd.read_parquet(read.ratios),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
        Words(params.axis, params.methods),
    )
