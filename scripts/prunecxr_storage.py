"""Count what pruning saves on disk, and the magnitudes that it goes by, for one trained classifier.

Needs: weights and the classes of its predictions. Leaves: storage and weights tables.
"""

from pathlib import Path

from cxrflow.classification.settings import NetworkSettings
from cxrflow.files import write_twins
from cxrflow.forgetting.predictions import read_classes
from cxrflow.logs import script_run
from cxrflow.prunecxr.storage import magnitude_table, storage_table

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    network, weights = NetworkSettings.model_validate(params.network), Path(read.weights)
    classes = len(read_classes(Path(read.validation)))
    about = {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated, "n_seeds": 1}
    storage = storage_table(network, classes, weights, params.sparsities, params.methods)
    write_twins(made.storage, storage.assign(**about)[[*about, *storage]])
    magnitudes = magnitude_table(network, classes, weights)
    write_twins(made.weights, magnitudes.assign(**about)[[*about, *magnitudes]])
