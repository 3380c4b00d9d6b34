"""Train the classifiers of one initialisation: linear and fine-tuned, from few labels and from all, with every seed.

Needs: manifest, split, image store, and the weights that the initialisation names. Leaves: predictions on the validate
and test splits. An interrupted run goes on where it was.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.initialisation import Source
from cxrflow.igcl.transfer import TransferChoice, transfer
from cxrflow.igcl.transfer_settings import InitialisationSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    transfer(
        CohortFiles.of(read),
        Source(
            InitialisationSettings.model_validate(params.initialisation),
            Path(read.weights) if read.weights else None,
            params.towers,
        ),
        Path(snakemake.output.predictions),
        Path(params.resume),
        TransferChoice.of(params, snakemake.threads),
        list(read.code),
    )
