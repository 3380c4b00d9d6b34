"""Prove that no patient is in two splits.

Needs: the split table. Leaves: counts per split, an input of every rule that trains.
"""

import pandas as pd

from cxrflow.cohort.splits import assert_disjoint
from cxrflow.files import sha256, write_json
from cxrflow.logs import script_run

with script_run(snakemake):
    split = snakemake.input.split
    write_json(snakemake.output.disjoint, {**assert_disjoint(pd.read_parquet(split)), "split_sha256": sha256(split)})
