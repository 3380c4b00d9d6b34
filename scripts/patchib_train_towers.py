"""Train the small towers that every model starts from where the configuration names no published ones.

Needs: the data set, image store, backbone. Leaves: a folder that open_clip reads (configuration, weights, tokenizer),
and the history.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.settings import TowerSettings
from cxrflow.patchib.small_towers import TowerFiles, train_small_towers
from cxrflow.processes import run_on_gpus

FILES = ("config", "weights", "bert", "tokenizer", "tokenizer_config", "history")

with script_run(snakemake):
    run_on_gpus(snakemake)
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    train_small_towers(
        CohortFiles.of(read),
        Path(read.master),
        Path(read.backbone),
        TowerFiles(*(Path(getattr(made, name)) for name in FILES), Path(params.resume)),
        TowerSettings.model_validate(params.settings),
        list(read.code),
        snakemake.threads,
    )
