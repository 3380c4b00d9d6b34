"""Read a raw tree through its adapter.

Needs: the raw tables and reports. Leaves: the canonical manifest and reports, and the rows that were refused.
"""

from pathlib import Path

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import read_cohort
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import write_manifest, write_reports
from cxrflow.logs import script_run

with script_run(snakemake):
    params, output = snakemake.params, snakemake.output
    settings = ReadingSettings.model_validate(params.settings)
    source = Source(**{name: Path(place) for name, place in params.source.items() if place})
    refused = Quarantine(snakemake.rule)
    cohort = read_cohort(params.format, source, settings, refused, workers=snakemake.threads)
    refused.settle(Path(output.quarantine), cohort.input_rows, settings.on_bad_input, settings.maximum_quarantined)
    write_manifest(Path(output.manifest), cohort.manifest, cohort.labels)
    write_reports(Path(output.reports), cohort.reports)
