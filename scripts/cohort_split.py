"""Decide once which patient is in which split.

Needs: the manifest. Leaves: the split table that every system reads.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.splits import split_images
from cxrflow.cohort.tables import read_labels, write_split
from cxrflow.logs import script_run

with script_run(snakemake):
    manifest = Path(snakemake.input.manifest)
    params = snakemake.params
    split = split_images(
        pd.read_parquet(manifest), read_labels(manifest), tuple(params.shares), params.seed, params.valid
    )
    write_split(Path(snakemake.output.split), split)
