"""Draw the mean over classes, the curves of all classes, and what goes with forgetting: frequency and overlap.

Needs: the tables of forgetting_tables, and weights.parquet where there are weights. Leaves: four figures as png and
pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.figures import Words, plot_curves, plot_overall
from cxrflow.forgetting.relation_figures import plot_correlations, plot_dissimilarity
from cxrflow.logs import script_run

TABLES = ("metrics", "overall", "curves", "forgettability", "correlations", "dissimilarity")
FIGURES = ("overall", "curves", "correlations", "dissimilarity")

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    tables = {name: pd.read_parquet(getattr(read, name)) for name in TABLES}
    files = {name: [Path(getattr(made, name)), Path(getattr(made, f"{name}_pdf"))] for name in FIGURES}
    words = Words(params.axis, params.methods)
    weights = getattr(read, "weights", None)
    weighed = pd.read_parquet(weights) if weights else None
    plot_overall(tables["metrics"], tables["overall"], files["overall"], words, weighed)
    plot_curves(tables["curves"], tables["forgettability"], files["curves"], words)
    plot_correlations(tables["forgettability"], tables["correlations"], files["correlations"], words)
    plot_dissimilarity(tables["dissimilarity"], tables["correlations"], files["dissimilarity"], words)
