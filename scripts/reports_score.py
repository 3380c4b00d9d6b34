"""Compare the extracted findings with the labels of the cohort.

Needs: the findings, the manifest and the reports. Leaves: precision, recall and F1 per label, micro and macro.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.reports.scores import write_scores
from cxrflow.reports.settings import ScoreSettings

with script_run(snakemake):
    write_scores(
        Path(snakemake.input.findings),
        Path(snakemake.input.manifest),
        Path(snakemake.input.reports),
        Path(snakemake.output.scores),
        ScoreSettings.model_validate(snakemake.params.settings),
        cohort=snakemake.wildcards.cohort,
        simulated=snakemake.params.simulated,
    )
