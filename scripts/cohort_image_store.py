"""Decode every radiograph once, at one size.

Needs: the manifest and the image files. Leaves: a uint8 memory map, its index and checksum, and what was refused. An
interrupted run goes on where it was; so does one that refused too many images, once it is allowed more.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.store_building import build_store
from cxrflow.logs import script_run

with script_run(snakemake):
    params, output = snakemake.params, snakemake.output
    manifest = pd.read_parquet(snakemake.input.manifest)
    refused = Quarantine(snakemake.rule)

    def accept():
        refused.settle(Path(output.quarantine), len(manifest), params.on_bad_input, params.maximum_quarantined)

    size = int(snakemake.wildcards.size)
    root, images = Path(params.root), Path(output.images)
    build_store(manifest, root, size, images, snakemake.threads, refused, accept, window=params.window)
