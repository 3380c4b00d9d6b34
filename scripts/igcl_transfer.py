"""Train the classifiers of one initialisation: linear and fine-tuned, from few labels and from all, with every seed.

Needs: manifest, split, image store, and the weights that the initialisation names. Leaves: predictions on the validate
and test splits. An interrupted run goes on where it was.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.initialisation import Source
from cxrflow.igcl.transfer import TransferChoice, transfer
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    transfer(
        CohortFiles.of(read),
        Source(params.weights, *(Path(file) if file else None for file in (read.pretrained, read.backbone))),
        Path(snakemake.output.predictions),
        Path(params.resume),
        TransferChoice.of(params, snakemake.threads),
        list(read.code),
    )
