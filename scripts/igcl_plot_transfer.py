"""Draw AUROC against the share of labels, and ROC curves, of all initialisations.

Needs: the results table, manifest, split, image index, predictions, radiologists' operating points where they are
named. Leaves: two figures as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.figures import plot_label_fractions
from cxrflow.igcl.operating_points import read_operating_points
from cxrflow.igcl.roc_figure import plot_roc
from cxrflow.igcl.transfer_settings import EvaluationSettings, TransferSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    transfer = TransferSettings.model_validate(params.transfer)
    settings = EvaluationSettings.model_validate(params.settings)
    labels = list(transfer.labels)
    metrics = pd.read_parquet(read.metrics)
    samples = CohortFiles.of(read).samples(labels, transfer.uncertain)
    plot_label_fractions(metrics, params.uses_backbone, [Path(made.fractions), Path(made.fractions_pdf)])
    plot_roc(
        dict(zip(params.initialisations, map(pd.read_parquet, read.predictions), strict=True)),
        samples[samples["split"] == "test"].set_index("image_id")[labels],
        metrics,
        read_operating_points(Path(read.radiologists), labels) if read.radiologists else {},
        settings.roc_fraction,
        [Path(made.roc), Path(made.roc_pdf)],
    )
