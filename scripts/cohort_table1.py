"""Count who is in each split.

Needs: manifest and split. Leaves: the cohort table as csv and parquet.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.table1 import FIXED, table1
from cxrflow.cohort.tables import read_labels
from cxrflow.files import write_twins
from cxrflow.logs import script_run

with script_run(snakemake):
    manifest = Path(snakemake.input.manifest)
    labels = read_labels(manifest)
    images = pd.read_parquet(manifest, columns=[*FIXED, *labels])
    counts = table1(images, pd.read_parquet(snakemake.input.split), labels)
    counts.insert(0, "cohort", snakemake.wildcards.cohort)
    counts.insert(1, "simulated", snakemake.params.simulated)
    write_twins(snakemake.output.table, counts)
