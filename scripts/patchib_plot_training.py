"""Draw how every model trained.

Needs: histories of all models and seeds, the counts of the data set. Leaves: training as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.patchib.figures import plot_training, read_histories

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    trained = [(model, seed) for model, seeds in params.models.items() for seed in seeds]
    plot_training(
        read_histories([Path(file) for file in read.histories], trained),
        pd.read_parquet(read.distribution),
        params.simulated,
        [Path(made.png), Path(made.pdf)],
    )
