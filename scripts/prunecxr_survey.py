"""Test whether readers see exemplars differently from other images.

Needs: the readers' forms as the VGG Image Annotator exports them, and a key. Leaves: means, tests, and what was
refused.
"""

from pathlib import Path

from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.logs import script_run
from cxrflow.prunecxr.survey import SurveyFiles, write_survey
from cxrflow.prunecxr.survey_settings import SurveySettings

with script_run(snakemake):
    made, params = snakemake.output, snakemake.params
    write_survey(
        SurveyFiles(Path(made.survey), Path(made.tests), Path(made.refused)),
        SurveySettings.model_validate(params.settings),
        ForgettingSettings.model_validate(params.forgetting),
        snakemake.wildcards.cohort,
        params.simulated,
    )
