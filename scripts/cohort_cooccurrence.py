"""Count which labels occur together.

Needs: the canonical manifest. Leaves: a table of label pairs as csv and parquet, and its heat map.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.cooccurrence import cooccurrence, plot_cooccurrence
from cxrflow.cohort.tables import read_labels
from cxrflow.files import write_twins
from cxrflow.logs import script_run

with script_run(snakemake):
    manifest = Path(snakemake.input.manifest)
    labels = read_labels(manifest)
    table = cooccurrence(pd.read_parquet(manifest, columns=["patient_id", "study_id", *labels]), labels)
    table.insert(0, "cohort", snakemake.wildcards.cohort)
    table.insert(1, "simulated", snakemake.params.simulated)
    write_twins(snakemake.output.table, table)
    plot_cooccurrence(table, Path(snakemake.output.figure), snakemake.wildcards.cohort, snakemake.params.simulated)
