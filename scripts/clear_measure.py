"""Measure all encoders and aggregators on the test split.

Needs: predictions of all encoders and seeds. Leaves: two results tables.
"""

from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.clear.measures import measure, read_predictions
from cxrflow.files import write_twins
from cxrflow.logs import script_run

with script_run(snakemake):
    made, params = snakemake.output, snakemake.params
    metrics, differences = measure(
        read_predictions(snakemake.input.predictions),
        params.first,
        {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated},
        MeasuringSettings.model_validate(params.settings),
    )
    write_twins(made.metrics, metrics)
    write_twins(made.differences, differences)
