"""Draw where aggregators look: attention along the slices of test patients, and the slices that have most of it.

Needs: attention of all encoders and seeds, manifest, split, image store. Leaves: two figures.
"""

from pathlib import Path

from cxrflow.clear.attention import attention_note, read_attention, shown_bags
from cxrflow.clear.attention_figures import plot_attention, plot_top_slices
from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.clear.slice_order import slices_in_order
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    cohort, settings = CohortFiles.of(read), MeasuringSettings.model_validate(params.settings)
    attention, slices = read_attention(read.attention, params.task), slices_in_order(cohort)
    shown = shown_bags(attention, slices, params.encoders[0], settings.shown)
    about = attention_note(attention, slices, params.encoders, params.task)
    plot_attention(shown, params.encoders, about, params.simulated, [Path(made.attention), Path(made.attention_pdf)])
    plot_top_slices(
        shown, params.encoders[0], cohort.store(), settings.top, about, params.simulated, Path(made.top_slices)
    )
