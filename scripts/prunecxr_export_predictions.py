"""Write one seed's predictions as the published files are: one pickled table per sparsity.

Needs: the seed's canonical predictions, and the manifest. Leaves: a folder of pickles, and the label file that says
which images their rows are.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.prunecxr.published import export_predictions

with script_run(snakemake):
    params = snakemake.params
    files = [Path(file) for file in snakemake.input.predictions]
    export_predictions(
        files,
        Path(snakemake.output.folder),
        params.labels,
        Path(snakemake.input.manifest),
        params.model,
        params.network,
    )
