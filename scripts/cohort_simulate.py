"""Simulate a cohort of radiographs for the Open-I reports.

Needs: the installed packages that ship reports and scan. Leaves: a tree in MIMIC-CXR-JPG's layout; its checksums last.
"""

from pathlib import Path

from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.simulate import simulate_cohort
from cxrflow.logs import script_run

if __name__ == "__main__":  # the worker processes read this file as well, and must not start workers of their own
    with script_run(snakemake):
        settings = SimulationSettings.model_validate(snakemake.params.settings)
        simulate_cohort(Path(snakemake.params.root), settings, snakemake.threads)
