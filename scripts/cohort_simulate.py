"""Simulate a cohort of radiographs: for the Open-I reports, or for rows of the table of ChestX-ray14.

Needs: the anatomy; the installed packages that ship reports and table. Leaves: a tree in the layout of the wildcard,
below the parameter `root`; its checksums last.
"""

from pathlib import Path

from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.simulate import simulate_cohort
from cxrflow.logs import script_run

if __name__ == "__main__":  # the worker processes read this file as well, and must not start workers of their own
    with script_run(snakemake):
        settings = SimulationSettings.model_validate(snakemake.params.settings)
        simulate_cohort(
            Path(snakemake.params.root),
            Path(snakemake.input.anatomy),
            snakemake.wildcards.layout,
            settings,
            snakemake.threads,
        )
