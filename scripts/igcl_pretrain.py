"""Pretrain the image and the graph encoder on radiographs and the graphs of their reports.

Needs: manifest, split, reports, image store, graphs with vectors, and the backbone where the image encoder starts from
it. Leaves: weights, history, vectors of the test split.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.pretraining import PretrainedFiles, PretrainingChoice, PretrainingInputs, pretrain
from cxrflow.logs import script_run
from cxrflow.processes import run_on_gpus

with script_run(snakemake):
    run_on_gpus(snakemake)
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    backbone = Path(read.backbone) if read.backbone else None
    pretrain(
        PretrainingInputs(CohortFiles.of(read), Path(read.graphs), Path(read.vectors), backbone),
        PretrainedFiles(*map(Path, (made.weights, made.history, made.embeddings, params.resume))),
        PretrainingChoice.of(params, snakemake.threads),
        list(read.code),
    )
