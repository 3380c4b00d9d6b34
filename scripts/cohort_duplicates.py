"""Find images and studies that share their files.

Needs: the index of an image store, manifest and split. Leaves: the duplicates as csv and parquet.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.duplicates import duplicates, write_duplicates
from cxrflow.logs import script_run

with script_run(snakemake):
    tables = snakemake.input
    found = duplicates(
        pd.read_parquet(tables.index, columns=["image_id", "sha256"]),
        pd.read_parquet(tables.manifest, columns=["image_id", "study_id", "patient_id"]),
        pd.read_parquet(tables.split, columns=["image_id", "split"]),
    )
    write_duplicates(Path(snakemake.output.table), found)
