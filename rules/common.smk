# What all rooms share: the validated configuration, the wildcards it allows, and the few functions that rules call.
# Needs: config (any layers of it). Leaves: `config` with every default filled in, or an error that names the bad key.
import os
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

LIBRARY = Path(workflow.basedir).parent / "scripts"
sys.path.insert(0, str(LIBRARY))

from cxrflow.cohort.layouts import LAYOUTS, raw_files, require_raw_files
from cxrflow.config import SYSTEMS, parse_config, plain_config
from cxrflow.errors import UserError
from cxrflow.neural.settings import CodecSettings, codec_names
from cxrflow.imports import local_imports
from cxrflow.summary import failed, finished

try:
    validated = plain_config(parse_config(config))
    for name in validated["run"]["cohorts"]:
        require_raw_files(name, validated["cohorts"][name])
except UserError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(validated)


wildcard_constraints:
    cohort="|".join(map(re.escape, config["cohorts"])),
    split="train|validate|test",
    seed=r"\d+",
    size=r"\d+",


# What each room offers as an end in itself; `rule all` asks for it per cohort.
TARGETS = {
    "cohort": [
        "cohort/table1.csv",
        "cohort/cooccurrence.png",
        "cohort/contact_sheet.png",
        "cohort/disjoint.json",
        "cohort/duplicates.csv",
    ],
    "reports": ["reports/extraction_scores.csv"],
    "neural": [
        "neural/metrics.csv",
        "neural/compression.csv",
        "neural/pointing.csv",
        "neural/differences.csv",
        "neural/report_quality.csv",
        "neural/auc_vs_kept.png",
        "neural/bytes_vs_auc.png",
        "neural/gallery.png",
        *(f"neural/assets/kept_{percent:g}.npz" for percent in config["neural"]["pruning"]["percentiles"][:-1]),
    ],
}


def targets():
    """The files that this configuration asks for."""
    files = [
        f"results/{cohort}/{file}"
        for cohort in config["run"]["cohorts"]
        for room in rooms(cohort)
        for file in TARGETS[room]
    ]
    return files + collect("results/quarantine/{cohort}.csv", cohort=config["run"]["cohorts"]) + text_targets()


def rooms(cohort):
    """The rooms that have something to do for a cohort: there is nothing to read where it has no reports."""
    return ["cohort", *(["reports"] if has_reports(cohort) else []), *config["run"]["systems"]]


def text_targets():
    """How well our rules read reports, which depends on no cohort: asked for where they read those of a cohort."""
    read = any(has_reports(cohort) for cohort in config["run"]["cohorts"])
    ours = read and config["reports"]["extract"]["extractor"] == "rules"
    index = ["results/extraction/index_scores.png"] if ours else []
    return index + (["results/extraction/radgraph_agreement.csv"] if config["reports"]["radgraph_test"] else [])


def has_reports(cohort):
    """Whether the data set of a cohort has reports."""
    return LAYOUTS[config["cohorts"][cohort]["format"]].reports != "none"


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


def raw_source(wildcards):
    """Where the raw files of a cohort are: the folders of images and tables, the reports, the annotated boxes."""
    cohort = config["cohorts"][wildcards.cohort]
    if not is_simulated(wildcards):
        places = {name: cohort[name] for name in ("root", "reports", "boxes")}
        return places | {"tables": cohort["tables"] or cohort["root"]}
    raw = f"results/{wildcards.cohort}/raw"
    root = f"{raw}/mimic-cxr-jpg"
    return {
        "root": root,
        "tables": root,
        "reports": f"{raw}/mimic-cxr",
        "boxes": f"{root}/MS_CXR_Local_Alignment_v1.1.0.csv",
    }


def image_root(wildcards):
    """The folder that the manifest's paths are relative to."""
    return raw_source(wildcards)["root"]


def raw_tables(wildcards):
    """The files that tell whether the raw tree is there and unchanged."""
    if is_simulated(wildcards):
        return [f"{image_root(wildcards)}/SHA256SUMS.txt"]
    return raw_files(config["cohorts"][wildcards.cohort])


def store_sizes(cohort):
    """The sides in pixels to which a cohort's images are decoded, the smallest first."""
    asked = {config[system]["data"]["image_size"] for system in config["run"]["systems"]}
    return sorted(asked | set(config["cohorts"][cohort]["image_sizes"]))


def smallest_index(wildcards):
    """The index of the smallest image store: it knows the checksum of every file."""
    return f"results/{wildcards.cohort}/cohort/images_{store_sizes(wildcards.cohort)[0]}.parquet"


def quarantine_parts(wildcards):
    """The quarantine tables of a cohort's rules: the adapter's, one per image size, and the extractor's."""
    images = [f"cohort/quarantine_images_{size}" for size in store_sizes(wildcards.cohort)]
    texts = ["reports/quarantine_extract"] if has_reports(wildcards.cohort) else []
    parts = ["cohort/quarantine_manifest", *images, *texts]
    return collect("results/{cohort}/{part}.csv", cohort=wildcards.cohort, part=parts)
