"""Draw how well findings, sides and sites are read, against the human index of the real Open-I reports.

Needs: index_scores.parquet. Leaves: the picture as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.reports.figures import plot_index_scores

with script_run(snakemake):
    plot_index_scores(pd.read_parquet(snakemake.input.scores), [Path(snakemake.output.png), Path(snakemake.output.pdf)])
