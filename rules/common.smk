# What all rooms share: the validated configuration, the wildcards it allows, and the few functions that rules call.
# Needs: config (any layers of it). Leaves: `config` with every default filled in, or an error that names the bad key.
import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

LIBRARY = Path(workflow.basedir).parent / "scripts"
sys.path.insert(0, str(LIBRARY))

from cxrflow.config import SYSTEMS, parse_config, plain_config
from cxrflow.errors import UserError
from cxrflow.imports import local_imports
from cxrflow.summary import failed, finished

try:
    validated = plain_config(parse_config(config))
except UserError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(validated)


wildcard_constraints:
    cohort="|".join(config["cohorts"]),
    split="train|validate|test",
    seed=r"\d+",
    size=r"\d+",


# What each room offers as an end in itself; `rule all` asks for it per cohort.
TARGETS = {
    "cohort": ["cohort/table1.csv", "cohort/contact_sheet.png", "cohort/disjoint.json"],
    "reports": ["reports/extraction_scores.csv"],
    "neural": [
        "neural/metrics.csv",
        "neural/compression.csv",
        "neural/pointing.csv",
        "neural/auc_vs_kept.png",
        "neural/gallery.png",
    ],
}


def targets():
    """The files that this configuration asks for."""
    rooms = ["cohort", "reports", *config["run"]["systems"]]
    files = [file for room in rooms for file in TARGETS[room]]
    return collect("results/{cohort}/{file}", cohort=config["run"]["cohorts"], file=files) + collect(
        "results/quarantine/{cohort}.csv", cohort=config["run"]["cohorts"]
    )


@cache
def library(script):
    """The library modules that scripts/`script`.py imports: an edit of one re-runs exactly the rules that use it."""
    return [os.path.relpath(file) for file in local_imports(LIBRARY / f"{script}.py", LIBRARY)]


def is_simulated(wildcards):
    """Whether the cohort's images are simulated; every table and figure says so."""
    return config["cohorts"][wildcards.cohort]["simulate"] is not None


def patient_picture(path, **about):
    """Put a picture of patients into the HTML report, unless one of the cohorts to run holds real patients."""
    simulated = all(config["cohorts"][name]["simulate"] for name in config["run"]["cohorts"])
    return report(path, **about) if simulated else path


def image_root(wildcards):
    """The folder that the manifest's paths are relative to."""
    return config["cohorts"][wildcards.cohort]["root"] or f"results/{wildcards.cohort}/raw/mimic-cxr-jpg"


def report_root(wildcards):
    """The folder of the report tree."""
    return config["cohorts"][wildcards.cohort]["reports"] or f"results/{wildcards.cohort}/raw/mimic-cxr"


def box_table(wildcards):
    """The table of annotated boxes, or an empty string."""
    if is_simulated(wildcards):
        return f"{image_root(wildcards)}/MS_CXR_Local_Alignment_v1.1.0.csv"
    return config["cohorts"][wildcards.cohort]["boxes"] or ""


def raw_tables(wildcards):
    """The files that tell whether the raw tree is there and unchanged."""
    if is_simulated(wildcards):
        return [f"{image_root(wildcards)}/SHA256SUMS.txt"]
    names = ["split", "metadata", config["cohorts"][wildcards.cohort]["reading"]["label_table"]]
    boxes = [box_table(wildcards)] if box_table(wildcards) else []
    return [f"{image_root(wildcards)}/mimic-cxr-2.0.0-{name}.csv.gz" for name in names] + boxes


def quarantine_parts(wildcards):
    """The quarantine tables of a cohort's rules: the adapter's and one per image size that a system uses."""
    sizes = sorted({config[system]["data"]["image_size"] for system in config["run"]["systems"]})
    names = ["manifest", *(f"images_{size}" for size in sizes)]
    return [f"results/{wildcards.cohort}/cohort/quarantine_{name}.csv" for name in names]
