"""Write the two tables that CLEAR's programs read, and count what the rows of DeepLesion's table are.

Needs: manifest and split. Leaves: the tables of boxes and of presence, and the counts as csv and parquet.
"""

from pathlib import Path

import pandas as pd

from cxrflow.clear.lesion_table import lesion_table, row_counts, write_boxes, write_presence
from cxrflow.files import write_twins
from cxrflow.logs import script_run

with script_run(snakemake):
    made = snakemake.output
    manifest = pd.read_parquet(snakemake.input.manifest)
    write_boxes(Path(made.boxes), lesion_table(manifest))
    write_presence(Path(made.presence), manifest)
    counts = row_counts(manifest, pd.read_parquet(snakemake.input.split))
    counts.insert(0, "cohort", snakemake.wildcards.cohort)
    counts.insert(1, "simulated", snakemake.params.simulated)
    write_twins(made.rows, counts)
