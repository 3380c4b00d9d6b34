# Which encoders are compared on which cohort, and where their files are: what the rules of the room `summary` ask for.
# Needs: config, the functions of common.smk, the names of other rooms. Leaves: functions of the wildcards.


# Systems whose encoders are run over a cohort's images for its leaderboard; those of the others have features there.
SUMMARY_EMBEDDED = ("neural", "prunecxr", "igcl")


def summary_sources(cohort):
    """The (system, cohort where it was trained) whose encoders are run over a cohort's images for its leaderboard."""
    places = [cohort, *config["summary"]["encoders_from"].get(cohort, [])]
    return [(system, place) for place in places for system in SUMMARY_EMBEDDED if summary_trained(system, place)]


def summary_trained(system, cohort):
    """The (encoder, seed, file of weights, or nothing) of a system that this run trains on a cohort."""
    if system not in systems_of(settings, cohort):
        return []
    base, most = f"results/{cohort}", config["summary"]["seeds"]
    if system == "neural":
        return [("whole radiograph", config["neural"]["vlm"]["seed"], f"{base}/neural/vlm/model.safetensors")]
    if system == "prunecxr":
        seeds = [] if cohort in config["prunecxr"]["published"] else config["prunecxr"]["training"]["seeds"][:most]
        return [("classifier", seed, f"{base}/prunecxr/training/seed_{seed}.safetensors") for seed in seeds]
    return [
        (name, 0, igcl_weights(igcl_wildcards(cohort, name)) or None) for name in own_initialisations(settings, cohort)
    ]


def summary_weights(wildcards):
    """The files that the encoders of a system are read from."""
    files = [file for _, _, file in summary_trained(wildcards.system, wildcards.source) if file]
    if wildcards.system == "igcl":
        named = own_initialisations(settings, wildcards.source)
        files += {file for name in named for file in igcl_tower_files(igcl_wildcards(wildcards.source, name))}
    return sorted(files)


def summary_about(wildcards):
    """The settings that decide what the encoders of a system are."""
    about = config[wildcards.system]
    if wildcards.system == "neural":
        return {"data": about["data"], "encoder": about["vlm"]["encoder"]}
    if wildcards.system == "prunecxr":
        return {"data": about["data"], "network": about["network"]}
    named = about["transfer"]["initialisations"]
    towers = [igcl_towers(igcl_wildcards(wildcards.source, name)) for name in named]
    return {
        "data": about["data"],
        "image": about["image_encoder"],
        "features": about["transfer"]["features"],
        "initialisations": named,
        "towers": next(filter(None, towers), ""),
    }


def summary_store(suffix):
    """Return a function of the wildcards: the smallest store of a cohort that is no smaller than an encoder's images,
    else the largest."""

    def file(wildcards):
        wanted = config[wildcards.system]["data"]["image_size"]
        sizes = store_sizes(wildcards.cohort)
        size = next((size for size in sizes if size >= wanted), sizes[-1])
        return f"results/{wildcards.cohort}/cohort/images_{size}.{suffix}"

    return file


def summary_compared(wildcards):
    """What is compared on a cohort: files by what they hold, as scripts/cxrflow/summary/comparison.py reads them."""
    cohort = wildcards.cohort
    base, own = f"results/{cohort}", systems_of(settings, cohort)
    sources = summary_sources(cohort)
    folder = f"{base}/summary/features"
    patchib = {
        "exports": [(model, seeds, f"{base}/patchib/models/{model}.npz") for model, seeds in PATCHIB_SEEDS.items()],
        "master": f"{base}/patchib/mimic_master_official_split.jsonl",
        "metrics": f"{base}/patchib/metrics.parquet",
        "efficiency": f"{base}/patchib/efficiency.parquet",
    }
    clear = {
        "features": [
            (name, *(f"{base}/clear/features/{name}/{seed}.{form}" for form in ("npy", "npz")))
            for name in config["clear"]["downstream"]["encoders"]
            for seed in clear_seeds(name)
        ],
        "compute": f"{base}/clear/compute.parquet",
    }
    learnt = [
        name
        for name, about in config["igcl"]["transfer"]["initialisations"].items()
        if about["weights"] == "pretrained"
    ]
    retrieval = "igcl" in own and igcl_pretrains(cohort) and learnt
    percents = config["neural"]["pruning"]["percentiles"][:-1]
    return {
        "embedded": [
            (system, place, f"{folder}/{place}/{system}.npz", f"{folder}/{place}/{system}_cost.parquet")
            for system, place in sources
        ],
        "assets": [f"{base}/neural/assets/kept_{percent:g}.npz" for percent in percents] if "neural" in own else [],
        "patchib": patchib if "patchib" in own else None,
        "clear": clear if "clear" in own else None,
        "igcl": {"retrieval": f"{base}/igcl/retrieval.parquet", "encoder": learnt[0]} if retrieval else None,
        "training": list(summary_training(cohort, own, sources)),
    }


def summary_training(cohort, own, sources):
    """Yield (system, cohort where it was trained, encoder, benchmark files) of the encoders that this run trains."""
    for system, place in sources:
        base = f"results/benchmarks/{place}"
        if system == "neural":
            yield system, place, "whole radiograph", [f"{base}/neural_train_vlm.tsv"]
        elif system == "prunecxr":
            seeds = [seed for _, seed, _ in summary_trained(system, place)]
            yield system, place, "classifier", [f"{base}/prunecxr_train_{seed}.tsv" for seed in seeds]
        else:
            for name in own_initialisations(settings, place):
                about = config["igcl"]["transfer"]["initialisations"][name]
                trained_by = {
                    "pretrained": "igcl_pretrain",
                    "patchib": f"patchib_train_{about['model']}_{about['seed']}",
                    "backbone": "backbone_train",
                }.get(about["weights"])
                if trained_by:
                    where = igcl_source(igcl_wildcards(place, name))
                    yield system, place, name, [f"results/benchmarks/{where}/{trained_by}.tsv"]
    if "patchib" in own:
        for model, seeds in PATCHIB_SEEDS.items():
            files = [f"results/benchmarks/{cohort}/patchib_train_{model}_{seed}.tsv" for seed in seeds]
            yield "patchib", cohort, model, files
    if "clear" in own:
        for name in clear_pretrained_encoders():
            variant = config["clear"]["downstream"]["encoders"][name]["name"] or name
            files = [f"results/benchmarks/{cohort}/clear_pretrain_{variant}_{seed}.tsv" for seed in clear_seeds(name)]
            yield "clear", cohort, name, files


def summary_files(wildcards):
    """All files of `summary_compared`."""
    named = summary_compared(wildcards)
    files = [file for *_, features, cost in named["embedded"] for file in (features, cost)] + named["assets"]
    if named["patchib"]:
        files += [file for *_, file in named["patchib"]["exports"]]
        files += [named["patchib"][name] for name in ("master", "metrics", "efficiency")]
    if named["clear"]:
        files += [file for _, *pair in named["clear"]["features"] for file in pair] + [named["clear"]["compute"]]
    files += [named["igcl"]["retrieval"]] if named["igcl"] else []
    return files + [file for *_, timed in named["training"] for file in timed]


# The tables that tell whether a paper's claims hold, by system.
SUMMARY_CLAIMED = {
    "neural": ["differences", "compression"],
    "prunecxr": ["overall", "correlations", "pie_ratios"],
    "patchib": ["differences", "efficiency"],
    "igcl": ["differences"],
    "clear": ["differences"],
}


def summary_claim_cohorts():
    """The cohorts of the run: name, folder, whether simulated, and the systems whose claims can be held against it."""
    return [
        (cohort, f"results/{cohort}", config["cohorts"][cohort]["simulate"] is not None, summary_claimed(cohort))
        for cohort in config["run"]["cohorts"]
    ]


def summary_claimed(cohort):
    """The systems of a cohort with tables for claims: igcl only where it classifies."""
    classified = "igcl/metrics.csv" in igcl_targets(cohort)
    return [system for system in systems_of(settings, cohort) if system != "igcl" or classified]


def summary_claim_tables():
    """The tables that all claims are held against."""
    return [
        f"results/{cohort}/{system}/{table}.parquet"
        for cohort in config["run"]["cohorts"]
        for system in summary_claimed(cohort)
        for table in SUMMARY_CLAIMED[system]
    ]


def summary_targets():
    """What the comparison offers: a leaderboard per cohort with encoders, and the claims where a system runs."""
    cohorts = [cohort for cohort in config["run"]["cohorts"] if summary_has_encoders(cohort)]
    boards = collect("results/{cohort}/summary/leaderboard.png", cohort=cohorts)
    claims = ["results/summary/claims.csv"] if summary_claim_tables() else []
    return boards + claims + summary_side_by_side()


def summary_has_encoders(cohort):
    """Whether a trained encoder has seen the images of a cohort, or will."""
    return bool(summary_sources(cohort)) or bool({"patchib", "clear"} & set(systems_of(settings, cohort)))


def summary_side_by_side():
    """What compression and attention of all systems offer, beside each other: what this run has something for."""
    places = forgetting_places()
    files = (["results/summary/compression.png"] if places else []) + (
        ["results/summary/forgotten.csv"] if len(places) > 1 else []
    )
    looks = running("neural") or running("patchib") or summary_attention()
    return files + (["results/summary/pointing.png"] if looks else [])


def summary_stored():
    """The table of bytes of each analysis of forgetting; empty where the system counts none."""
    tables = {"neural": "neural/compression.parquet", "prunecxr": "prunecxr/storage.parquet"}
    files = []
    for place in forgetting_places():
        cohort, _, room = place.partition("/")
        counted = room != "prunecxr" or cohort not in config["prunecxr"]["published"]
        table = tables.get(FORGETTING[room]["system"])
        files.append(f"results/{cohort}/{table}" if table and counted else "")
    return files


def summary_attention():
    """The cohorts on which clear attends to slices: what each is called, and the files that tell where."""
    cohorts = running("clear") if clear_attends() else []
    pattern = "results/{cohort}/clear/attention/{encoder}/{seed}.parquet"
    return [
        {
            "cohort": cohort,
            "simulated": config["cohorts"][cohort]["simulate"] is not None,
            "attention": [file.format(cohort=cohort) for file in clear_files(pattern)],
            **{name: file.format(cohort=cohort) for name, file in CLEAR_COHORT.items()},
        }
        for cohort in cohorts
    ]


def summary_looks():
    """The ways to look that a figure shows: attention guided by the text that counts, models of patchib, and controls."""
    models = [name for name in config["patchib"]["models"] if name in ("A", FORGETTING_MODEL)]
    heats = [f"model {name}, {kind}" for name in models for kind in ("prompt", "mask")]
    return [f"attention, {guiding_text(config['neural']['texts']['settings'])} text", "norm", "random", *heats]
