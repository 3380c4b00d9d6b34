# What all rooms share: the validated configuration, the wildcards it allows, and the few functions that rules call.
# Needs: config (any layers of it). Leaves: `config` with every default filled in, or an error that names the bad key.
import os
import re
import sys
import time
from functools import cache
from pathlib import Path
from typing import get_args

from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import Wildcards

STARTED = time.time()
LIBRARY = Path(workflow.basedir).parent / "scripts"
sys.path.insert(0, str(LIBRARY))

from cxrflow.clear.downstream_settings import ATTENDING
from cxrflow.cohort.layouts import LAYOUTS, is_credentialed, raw_files, require_raw_files, window_of
from cxrflow.config import own_initialisations, parse_config, plain_config, systems_of
from cxrflow.cohort.long_tail import PARTS, label_file
from cxrflow.cohort.simulation.grain import chest_name
from cxrflow.errors import UserError
from cxrflow.neural.settings import CodecSettings, codec_names, guiding_text
from cxrflow.imports import local_imports
from cxrflow.patchib.settings import forgetting_model
from cxrflow.profiles import require_filled_in
from cxrflow.settings import System
from cxrflow.last_words import failed, finished
from cxrflow.timers import cancel_timers

asked = workflow.resource_settings
try:
    require_filled_in([asked.default_resources, *asked.overwrite_resources.values()])
    settings = parse_config(config)
    validated = plain_config(settings)
    for name in validated["run"]["cohorts"]:
        require_raw_files(name, validated["cohorts"][name])
except UserError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(validated)


# What holds credentialed data is for its maker alone: also logs, benchmarks and the report, which Snakemake itself writes.
CREDENTIALED = [name for name in config["run"]["cohorts"] if is_credentialed(config["cohorts"][name])]
if CREDENTIALED:
    os.umask(0o077)


def require_writable(folder):
    """Raise an error with a hint where nothing can be written into a folder (or into the one that will hold it)."""
    place = folder if os.path.isdir(folder) else "."
    if not os.access(place, os.W_OK | os.X_OK):
        reason = "Read-only" if os.statvfs(place).f_flag & os.ST_RDONLY else "Permission denied"
        raise WorkflowError(
            f"{reason}: nothing can be written into {os.path.abspath(place)}.\n"
            "Hint: mount it for writing or see who owns it, and run again: what is finished is kept."
        )


wildcard_constraints:
    cohort="|".join(map(re.escape, config["cohorts"])),
    anatomy=r"(volume_)?(ct_\d+|phantom)",
    layout="|".join(LAYOUTS),
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
    "prunecxr": [],  # see prunecxr_targets
    "patchib": [
        "patchib/distribution.csv",
        "patchib/metrics.csv",
        "patchib/efficiency.csv",
        *(f"patchib/{name}.png" for name in ("training", "ablation", "shares", "removal", "gallery", "similarity")),
    ],
    "igcl": [],  # see igcl_targets
    "clear": ["clear/lesion_rows.csv"],  # see clear_targets
}
# The model of patchib whose patches are taken away; None where no model selects patches.
FORGETTING_MODEL = forgetting_model(settings.patchib)
# Where the analysis of what a compressed model forgets lies, below a cohort's folder: the system, how it compresses (the
# first way is the one that the analysis is about), what that is called, and the size of the images it sees.
FORGETTING = {
    "prunecxr": {
        "system": "prunecxr",
        "seeds": config["prunecxr"]["training"]["seeds"],
        "ways": config["prunecxr"]["sweep"]["methods"],
        "names": {"l1": "smallest magnitudes", "random": "random weights", "layerwise": "smallest of each layer"},
        "axis": "weights set to zero",
    },
    "neural/forgetting": {
        "system": "neural",
        "seeds": config["neural"]["gnn"]["seeds"],
        "ways": [f"attention_{guiding_text(config['neural']['texts']['settings'])}"],
        "names": {},
        "axis": "patches taken away",
    },
    "patchib/forgetting": {
        "system": "patchib",
        "seeds": config["patchib"]["models"][FORGETTING_MODEL]["seeds"] if FORGETTING_MODEL else [],
        "ways": [f"model_{FORGETTING_MODEL}"],
        "names": {f"model_{FORGETTING_MODEL}": f"patches that model {FORGETTING_MODEL} selects"},
        "axis": "patches taken away",
    },
}
FORGETTING_TARGETS = [
    "metrics.csv",
    "forgettability.csv",
    "pie_ratios.csv",
    "overall.png",
    "curves.png",
    "correlations.png",
    "dissimilarity.png",
    "exemplars.png",
]


def targets():
    """The files that this configuration asks for."""
    cohorts = config["run"]["cohorts"]
    files = [file for cohort in cohorts for room in rooms(cohort) for file in room_targets(room, cohort)]
    files += collect("results/quarantine/{cohort}.csv", cohort=cohorts)
    return files + text_targets() + forgetting_targets() + summary_targets()


def system_targets(system):
    """Return a function of no wildcards: the files that this configuration asks for of one system."""

    def files(_):
        cohorts = running(system)
        if not cohorts:
            raise WorkflowError(
                f"{system} runs on none of the cohorts {config['run']['cohorts']}.\n"
                "Hint: name it in run.systems and, where a cohort says its own, in cohorts.<name>.systems."
            )
        places = [place for place in forgetting_places() if forgetting_system(place) == system]
        return [file for cohort in cohorts for file in room_targets(system, cohort)] + forgetting_files(places)

    return files


def room_targets(room, cohort):
    """The files that a room offers of a cohort."""
    more = {"prunecxr": prunecxr_targets, "igcl": igcl_targets, "clear": clear_targets}
    own = TARGETS[room] + (more[room](cohort) if room in more else [])
    return [f"results/{cohort}/{file}" for file in own]


def forgetting_places():
    """Where the analyses of forgetting of this run lie, below results/."""
    return [
        f"{cohort}/{room}"
        for cohort in config["run"]["cohorts"]
        for room, about in FORGETTING.items()
        if about["system"] in systems_of(settings, cohort) and about["seeds"]
    ]


def forgetting_about(key):
    """What the table of rooms says of `key`, for each analysis of this run."""
    return [FORGETTING[place.partition("/")[2]][key] for place in forgetting_places()]


def forgetting_targets():
    """What the analyses of forgetting offer, and all of them side by side."""
    places = forgetting_places()
    return forgetting_files(places) + (["results/forgetting/side_by_side.png"] if places else [])


def forgetting_files(places):
    """What the analyses of forgetting at some places offer."""
    files = [f"results/{place}/{file}" for place in places for file in FORGETTING_TARGETS]
    # The released formulas are those of prunecxr: that they say something else is to be seen there.
    files += [f"results/{place}/legacy.png" for place in places if forgetting_system(place) == "prunecxr"]
    return files + [f"results/{place}/exemplars.html" for place in places if shows_exemplars(place)]


def forgetting_system(place):
    """The system that an analysis of forgetting is about."""
    _, _, room = place.partition("/")
    return FORGETTING[room]["system"]


def shows_exemplars(place):
    """Whether a page may show the exemplars' radiographs: openly published or simulated, or the user wants it."""
    cohort, _, room = place.partition("/")
    about = config["cohorts"][cohort]
    choice = config[FORGETTING[room]["system"]]["exemplars"]["browser"]
    return choice == "always" or (choice == "open" and not is_credentialed(about))


def forgetting_of(key):
    """Return a function of the wildcards: what the room's table, or its system's configuration, says of `key`."""

    def value(wildcards):
        about = FORGETTING[wildcards.room]
        system = config[about["system"]]
        return {**about, **system, "uncertain": system["data"]["uncertain"]}[key]

    return value


def forgetting_store(suffix):
    """Return a function of the wildcards: a file of the image store that the room's system sees."""

    def file(wildcards):
        size = config[FORGETTING[wildcards.room]["system"]]["data"]["image_size"]
        return f"results/{wildcards.cohort}/cohort/images_{size}.{suffix}"

    return file


def largest_store(suffix):
    """Return a function of the wildcards: a file of the largest image store of a cohort, for people to look at."""

    def file(wildcards):
        return f"results/{wildcards.cohort}/cohort/images_{store_sizes(wildcards.cohort)[-1]}.{suffix}"

    return file


def forgetting_reports(wildcards):
    """The reports, for a system that sees only images with one."""
    return "results/{cohort}/cohort/reports.parquet" if wildcards.room != "prunecxr" else []


def is_published(wildcards):
    """Whether the predictions are the authors' published ones."""
    return wildcards.room == "prunecxr" and wildcards.cohort in config["prunecxr"]["published"]


def forgetting_predictions(wildcards, seed):
    """One seed's predictions along the compression axis: a file per chunk of the sweep, or a single one."""
    if wildcards.room == "prunecxr":
        return prunecxr_predictions(wildcards.cohort, seed)
    return [f"results/{wildcards.cohort}/{wildcards.room}/predictions/seed_{seed}.parquet"]


def prunecxr_predictions(cohort, seed):
    """One seed's predictions at all sparsities: a file per chunk of the sweep, or the published ones in one file."""
    base = f"results/{cohort}/prunecxr/predictions/seed_{seed}"
    if cohort in config["prunecxr"]["published"]:
        return [f"{base}.parquet"]
    return [f"{base}_chunk_{chunk}.parquet" for chunk in range(config["prunecxr"]["sweep"]["chunks"])]


def forgetting_all_predictions(wildcards):
    """The predictions of all seeds."""
    seeds = FORGETTING[wildcards.room]["seeds"]
    return [file for seed in seeds for file in forgetting_predictions(wildcards, seed)]


def forgetting_measures(wildcards):
    """The measures of all seeds."""
    base = f"results/{wildcards.cohort}/{wildcards.room}/measures"
    return [f"{base}/seed_{seed}.npz" for seed in FORGETTING[wildcards.room]["seeds"]]


def forgetting_validation(wildcards):
    """The seed's predictions on the validate split, where a classifier was trained here."""
    trained = wildcards.room == "prunecxr" and not is_published(wildcards)
    base = f"results/{wildcards.cohort}/prunecxr/training/seed_{wildcards.seed}"
    return [f"{base}_validation.parquet"] if trained else []


def forgetting_weights(wildcards):
    """The histogram of weights, where a classifier was trained here."""
    trained = wildcards.room == "prunecxr" and not is_published(wildcards)
    return f"results/{wildcards.cohort}/prunecxr/weights.parquet" if trained else []


def prunecxr_targets(cohort):
    """What prunecxr offers beside the analysis of forgetting."""
    published = cohort in config["prunecxr"]["published"]
    survey = cohort in config["prunecxr"]["surveys"] and config["prunecxr"]["surveys"][cohort]["forms"]
    return ([] if published else ["prunecxr/storage.csv"]) + (["prunecxr/survey.png"] if survey else [])


def rooms(cohort):
    """The rooms that have something to do for a cohort: there is nothing to read where it has no reports."""
    return ["cohort", *(["reports"] if has_reports(cohort) else []), *systems_of(settings, cohort)]


def text_targets():
    """How well our rules read reports, which depends on no cohort: asked for where they read those of a cohort."""
    read = any(has_reports(cohort) for cohort in config["run"]["cohorts"])
    ours = read and config["reports"]["extract"]["extractor"] == "rules"
    index = ["results/extraction/index_scores.png"] if ours else []
    return index + (["results/extraction/radgraph_agreement.csv"] if config["reports"]["radgraph_test"] else [])


def has_reports(cohort):
    """Whether the data set of a cohort has reports."""
    return settings.cohorts[cohort].has_reports


@cache
def library(script):
    """The library modules that scripts/`script`.py imports: an edit of one re-runs exactly the rules that use it."""
    return [os.path.relpath(file) for file in local_imports(LIBRARY / f"{script}.py", LIBRARY)]


def cohort_threads(wildcards):
    """Return how many processes draw or read a cohort: eight, but one per 2,500 studies of a simulated one.

    Where cores are few, a job that wants them all waits until every other has ended.
    """
    simulated = config["cohorts"][wildcards.cohort]["simulate"]
    return min(8, -(-simulated["studies"] // 2500)) if simulated else 8


def is_simulated(wildcards):
    """Whether the cohort's images are simulated; every table and figure says so."""
    return config["cohorts"][wildcards.cohort]["simulate"] is not None


def patient_picture(path, **about):
    """Put a picture of patients into the HTML report, unless one of the cohorts to run holds real patients."""
    simulated = all(config["cohorts"][name]["simulate"] for name in config["run"]["cohorts"])
    return report(path, **about) if simulated else path


def simulated_chest(wildcards):
    """The anatomy that the radiographs of a cohort are made from; cohorts of the same grain share it."""
    cohort = config["cohorts"][wildcards.cohort]
    about = cohort["simulate"]
    return f"results/anatomy/{chest_name(about['anatomy'], about['size'], LAYOUTS[cohort['format']].slices)}.npz"


def raw_source(wildcards):
    """Where the raw files of a cohort are: the folders of images and tables, the reports, the annotated boxes."""
    cohort = config["cohorts"][wildcards.cohort]
    if not is_simulated(wildcards):
        places = {name: cohort[name] for name in ("root", "reports", "boxes", "long_tail")}
        return places | {"tables": cohort["tables"] or cohort["root"]}
    raw = f"results/{wildcards.cohort}/raw"
    root = f"{raw}/{cohort['format']}"
    own = {
        "mimic-cxr-jpg": {"reports": f"{raw}/mimic-cxr", "boxes": f"{root}/MS_CXR_Local_Alignment_v1.1.0.csv"},
        "nih": {"long_tail": f"{root}/labels"},
    }
    return {"root": root, "tables": root, **own.get(cohort["format"], {})}


def data_use(wildcards):
    """The acknowledgement without which nothing of a credentialed cohort is read."""
    credentialed = is_credentialed(config["cohorts"][wildcards.cohort])
    return "results/{cohort}/cohort/data_use.json" if credentialed else []


def image_root(wildcards):
    """The folder that the manifest's paths are relative to."""
    return raw_source(wildcards)["root"]


def shown_window(wildcards):
    """The window in Hounsfield units that a cohort of CT slices is shown through; nothing for radiographs."""
    return window_of(config["cohorts"][wildcards.cohort])


def raw_tables(wildcards):
    """The files that tell whether the raw tree is there and unchanged."""
    if is_simulated(wildcards):
        return [f"{image_root(wildcards)}/SHA256SUMS.txt"]
    return raw_files(config["cohorts"][wildcards.cohort])


def store_sizes(cohort):
    """The sides in pixels to which a cohort's images are decoded, the smallest first."""
    data = [config[system]["data"] for system in systems_of(settings, cohort)]
    asked = {about[key] for about in data for key in ("image_size", "slice_size") if key in about}
    return sorted(asked | set(config["cohorts"][cohort]["image_sizes"]))


def smallest_index(wildcards):
    """The index of the smallest image store: it knows the checksum of every file."""
    return f"results/{wildcards.cohort}/cohort/images_{store_sizes(wildcards.cohort)[0]}.parquet"


def quarantine_parts(wildcards):
    """The quarantine tables of a cohort's rules: the adapter's, one per image size, and the extractor's."""
    images = [f"cohort/quarantine_images_{size}" for size in store_sizes(wildcards.cohort)]
    texts = ["reports/quarantine_extract"] if has_reports(wildcards.cohort) else []
    reads = "igcl" in systems_of(settings, wildcards.cohort) and igcl_pretrains(wildcards.cohort)
    graphs = ["igcl/quarantine_graphs"] if reads else []
    parts = ["cohort/quarantine_manifest", *images, *texts, *graphs]
    return collect("results/{cohort}/{part}.csv", cohort=wildcards.cohort, part=parts)


def long_tail_name(wildcards):
    """Which long-tailed labels a cohort has, by their published name."""
    return LAYOUTS[config["cohorts"][wildcards.cohort]["format"]].long_tail


def long_tail_files(wildcards):
    """The published label files of a cohort: they say which image a row of published predictions is of."""
    folder = Path(raw_source(wildcards)["long_tail"])
    return [str(label_file(folder, long_tail_name(wildcards), part)) for part in PARTS]


def survey_files(wildcards):
    """The readers' forms and their key."""
    survey = config["prunecxr"]["surveys"][wildcards.cohort]
    return survey["forms"] + ([survey["key"]] if survey["key"] else [])


def towers_of(cohort):
    """The folder or hub name of the towers that every model of patchib starts from on a cohort."""
    named = config["patchib"]["towers"]["name"]
    return f"results/{cohort}/patchib/towers" if named == "small" else named


def patchib_towers(wildcards):
    """The towers of patchib on the cohort of a rule."""
    return towers_of(wildcards.cohort)


def patchib_model(wildcards):
    """The settings of one model of patchib; which other seeds are trained is nothing to this one."""
    about = config["patchib"]["models"][wildcards.model]
    return {name: value for name, value in about.items() if name != "seeds"}


def patchib_weights(wildcards):
    """The weights of all seeds of one model of patchib."""
    base = f"results/{wildcards.cohort}/patchib/models/{wildcards.model}"
    return [f"{base}_{seed}.safetensors" for seed in config["patchib"]["models"][wildcards.model]["seeds"]]


def igcl_source(wildcards):
    """The cohort whose radiographs and reports the encoders of igcl learn from: a cohort's own, or the one named."""
    return config["igcl"]["pretrained_on"].get(wildcards.cohort, wildcards.cohort)


def igcl_wildcards(cohort, initialisation):
    """What stands for the wildcards of an initialisation where a rule has them not."""
    return Wildcards(fromdict={"cohort": cohort, "initialisation": initialisation})


def igcl_initialisation(wildcards):
    """What the configuration says of an initialisation of igcl."""
    return config["igcl"]["transfer"]["initialisations"][wildcards.initialisation]


def igcl_weights(wildcards):
    """The weights that an initialisation of igcl starts from, where the workflow makes them."""
    about, base = igcl_initialisation(wildcards), f"results/{igcl_source(wildcards)}"
    made = {
        "pretrained": f"{base}/igcl/pretrained.safetensors",
        "patchib": f"{base}/patchib/models/{about['model']}_{about['seed']}.safetensors",
        "backbone": f"{base}/backbone/weights.safetensors",
    }
    return made.get(about["weights"], [])


def igcl_towers(wildcards):
    """The towers of patchib, for an initialisation of igcl that starts from one of them."""
    return towers_of(igcl_source(wildcards)) if igcl_initialisation(wildcards)["weights"] == "patchib" else ""


def igcl_tower_files(wildcards):
    """The files of these towers, where none are named."""
    reads = igcl_towers(wildcards) and PATCHIB_OWN_TOWERS
    return collect(PATCHIB_TOWER_FILES.values(), cohort=igcl_source(wildcards)) if reads else []


def first_backbone(encoder):
    """The backbone, for a training whose encoder (its place in the configuration) starts from it."""
    starts = lookup(dpath=f"{encoder}/weights", within=config) == "backbone"
    return "results/{cohort}/backbone/weights.safetensors" if starts else []


def igcl_uses_backbone():
    """Whether an encoder of igcl starts from the backbone, or from towers whose stem it is: it has learnt from labels."""
    named = [about["weights"] for about in config["igcl"]["transfer"]["initialisations"].values()]
    small = "patchib" in named and config["patchib"]["towers"]["name"] == "small"
    return small or "backbone" in [*named, config["igcl"]["image_encoder"]["weights"]]


def igcl_transfer_settings(wildcards):
    """How classifiers of igcl learn; which other initialisations there are is nothing to one."""
    return {name: value for name, value in config["igcl"]["transfer"].items() if name != "initialisations"}


def igcl_targets(cohort):
    """What igcl offers of a cohort: retrieval where it is pretrained on its own reports, and classifiers."""
    lent = {source for name, source in config["igcl"]["pretrained_on"].items() if name in config["run"]["cohorts"]}
    classified = cohort in config["igcl"]["pretrained_on"] or cohort not in lent
    retrieval = ["igcl/retrieval.csv", "igcl/gallery.html"] if igcl_pretrains(cohort) else []
    return retrieval + (["igcl/metrics.csv", "igcl/label_fractions.png", "igcl/roc.png"] if classified else [])


def igcl_pretrains(cohort):
    """Whether encoders of igcl learn from the radiographs and reports of a cohort."""
    return config["igcl"]["pretrained_on"].get(cohort, cohort) == cohort


def clear_targets(cohort):
    """What clear offers of a cohort: one encoder per variant and seed, and what their features are worth."""
    about = config["clear"]["pretraining"]
    encoders = collect("clear/{variant}/{seed}/weights.safetensors", variant=about["variants"], seed=about["seeds"])
    looked_at = ["attention", "top_slices"] if clear_attends() else []
    figures = collect("clear/{name}.png", name=["confusion", "efficiency", "embedding", *looked_at])
    return [*encoders, "clear/metrics.csv", "clear/differences.csv", "clear/compute.csv", *figures]


def clear_attends():
    """Whether an aggregator of clear has learnt weights of slices."""
    return bool(set(config["clear"]["downstream"]["aggregation"]["aggregators"]) & set(ATTENDING))


def clear_seeds(encoder):
    """The seeds of an encoder of clear: its own, or those of pretraining for a pretrained one."""
    about = config["clear"]["downstream"]["encoders"][encoder]
    default = config["clear"]["pretraining"]["seeds"] if about["source"] == "pretrained" else [0]
    return about["seeds"] or default


def clear_files(pattern, encoders=None, first=False):
    """The files of a pattern for all encoders of clear, or some, and all their seeds, or the first of each."""
    named = encoders or config["clear"]["downstream"]["encoders"]
    pairs = [(name, seed) for name in named for seed in clear_seeds(name)[: 1 if first else None]]
    return [pattern.format(cohort="{cohort}", encoder=name, seed=seed) for name, seed in pairs]


def clear_encoder(wildcards):
    """What the configuration says of an encoder of clear; which seeds it has is nothing to one of them."""
    about = config["clear"]["downstream"]["encoders"][wildcards.encoder]
    return {name: value for name, value in about.items() if name != "seeds"}


def clear_weights(wildcards):
    """The weights of pretraining, for an encoder of clear that starts from them."""
    return clear_pretrained(wildcards.encoder, wildcards.seed)


def clear_pretrained(encoder, seed):
    """The weights that an encoder of clear starts from, where the workflow makes them."""
    about = config["clear"]["downstream"]["encoders"][encoder]
    file = f"results/{{cohort}}/clear/{about['name'] or encoder}/{seed}/weights.safetensors"
    return file if about["source"] == "pretrained" else []


def clear_pretrained_encoders():
    """The encoders of clear that start from weights of pretraining."""
    encoders = config["clear"]["downstream"]["encoders"]
    return [name for name, about in encoders.items() if about["source"] == "pretrained"]


def clear_task_tables():
    """The csv files that tasks of clear name."""
    return [about["file"] for about in config["clear"]["downstream"]["tasks"].values() if about["file"]]


def clear_pretraining(wildcards):
    """How encoders of clear are pretrained; which other variants and seeds there are is nothing to one."""
    about = config["clear"]["pretraining"]
    return {name: value for name, value in about.items() if name not in ("variants", "seeds")}


def image_kind(wildcards):
    """What figures call the images of a cohort."""
    return "CT slices" if LAYOUTS[config["cohorts"][wildcards.cohort]["format"]].slices else "radiographs"


def running(system):
    """The cohorts of the run that a system runs on."""
    return [cohort for cohort in config["run"]["cohorts"] if system in systems_of(settings, cohort)]
