"""Compute the features of all CT slices with one encoder.

Needs: manifest, split, image store, and the weights of pretraining where the encoder starts from them. Leaves: one
array of all features with its index, the table of the patients' HDF5 files, and their checksums. These files lie in a
folder that outlives the job: who is there, made by the same encoder, is not computed again.
"""

from pathlib import Path

from cxrflow.clear.downstream_settings import EncoderSettings, FeatureSettings
from cxrflow.clear.features import FeatureFiles, extract_features
from cxrflow.clear.slice_encoders import EncoderChoice
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    extract_features(
        CohortFiles.of(read),
        EncoderChoice(
            snakemake.wildcards.encoder,
            int(snakemake.wildcards.seed),
            EncoderSettings.model_validate(params.encoder),
            params.architecture,
            params.image_size,
            Path(read.pretrained) if read.pretrained else None,
        ),
        FeatureFiles(*map(Path, (made.features, made.index, made.patients, made.checksums, params.folder))),
        FeatureSettings.model_validate(params.settings),
        params.window,
        snakemake.threads,
        list(read.code),
    )
