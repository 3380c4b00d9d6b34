"""Read one seed's published predictions, in the place of training and pruning.

Needs: the three published label files, the split, and the folder of published pickles, which are read without running
them. Leaves: the canonical table of predictions of this cohort's test images.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.prunecxr.published import PublishedSource, import_predictions

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    import_predictions(
        Path(snakemake.output.predictions),
        PublishedSource(Path(params.folder), Path(read.labels[0]).parent, params.labels, params.network),
        Path(read.split),
        int(snakemake.wildcards.seed),
        params.model,
        params.levels,
    )
