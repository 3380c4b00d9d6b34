"""Run the trained encoder over the radiographs after each codec: JPEG or down-sampling.

Needs: the model, the cohort's tables and images. Leaves: features of the decoded images and their bytes, by codec and
split.
"""

from itertools import product
from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.codec_export import CodecFiles, export_codec
from cxrflow.neural.settings import DataSettings, VlmSettings

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    parts = zip(product(params.codecs, params.splits), made.features, made.sizes, strict=True)
    for (codec, split), features, sizes in parts:
        export_codec(
            CohortFiles.of(read),
            Path(read.weights),
            split,
            codec,
            CodecFiles(Path(features), Path(sizes)),
            DataSettings.model_validate(params.data),
            VlmSettings.model_validate(params.settings),
            params.batch_size,
            snakemake.threads,
        )
