# PATCHIB: radiographs and reports meet in one space; models A to E learn which patches of a radiograph matter for it.
# Needs: manifest, reports, split, image store, disjoint.json. Leaves under results/{cohort}/patchib/: the data set
# (mimic_master_official_split.jsonl), towers/ (where none are named), models/ (weights, exports), tables and figures.


PATCHIB_SIZE = config["patchib"]["data"]["image_size"]
PATCHIB_COHORT = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "images": f"results/{{cohort}}/cohort/images_{PATCHIB_SIZE}.npy",
    "index": f"results/{{cohort}}/cohort/images_{PATCHIB_SIZE}.parquet",
}
PATCHIB_DATA = PATCHIB_COHORT | {"master": "results/{cohort}/patchib/mimic_master_official_split.jsonl"}
PATCHIB_OWN_TOWERS = config["patchib"]["towers"]["name"] == "small"
PATCHIB_TOWERS = "results/{cohort}/patchib/towers"
PATCHIB_TOWER_FILES = {
    "config": f"{PATCHIB_TOWERS}/open_clip_config.json",
    "weights": f"{PATCHIB_TOWERS}/open_clip_model.safetensors",
    "bert": f"{PATCHIB_TOWERS}/config.json",
    "tokenizer": f"{PATCHIB_TOWERS}/tokenizer.json",
    "tokenizer_config": f"{PATCHIB_TOWERS}/tokenizer_config.json",
}
PATCHIB_SIZES = {"image_size": PATCHIB_SIZE, "context_length": config["patchib"]["towers"]["context_length"]}
PATCHIB_SEEDS = {model: about["seeds"] for model, about in config["patchib"]["models"].items()}


wildcard_constraints:
    model="|".join(map(re.escape, config["patchib"]["models"])),


rule patchib_build_master:
    input:
        **PATCHIB_COHORT,
        code=library("patchib_build_master"),
        reports="results/{cohort}/cohort/reports.parquet",
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        master="results/{cohort}/patchib/mimic_master_official_split.jsonl",
        distribution=report(
            "results/{cohort}/patchib/distribution.csv",
            caption="../workflow/report/patchib_distribution.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "radiographs and positives per split"},
        ),
        distribution_parquet="results/{cohort}/patchib/distribution.parquet",
        dropped=report(
            "results/{cohort}/patchib/dropped.csv",
            caption="../workflow/report/patchib_dropped.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "what each rule of the data set left out"},
        ),
        dropped_parquet="results/{cohort}/patchib/dropped.parquet",
    log:
        "results/logs/{cohort}/patchib_build_master.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_build_master.tsv"
    conda:
        "../envs/data.yaml"
    params:
        data=lookup(dpath="patchib/data", within=config),
        simulated=is_simulated,
    message:
        "Writing the data set of patchib from {wildcards.cohort}"
    script:
        "../scripts/patchib_build_master.py"


rule patchib_train_towers:
    input:
        **PATCHIB_DATA,
        code=library("patchib_train_towers"),
        backbone="results/{cohort}/backbone/weights.safetensors",
    output:
        **PATCHIB_TOWER_FILES,
        history=f"{PATCHIB_TOWERS}/history.csv",
    log:
        "results/logs/{cohort}/patchib_train_towers.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_train_towers.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="patchib/towers", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/patchib/towers/resume",
    message:
        "Training the small towers of patchib on {wildcards.cohort}"
    script:
        "../scripts/patchib_train_towers.py"


rule patchib_train:
    input:
        **PATCHIB_DATA,
        code=library("patchib_train"),
        towers=list(PATCHIB_TOWER_FILES.values()) if PATCHIB_OWN_TOWERS else [],
    output:
        weights="results/{cohort}/patchib/models/{model}_{seed}.safetensors",
        history="results/{cohort}/patchib/models/{model}_{seed}_history.csv",
    log:
        "results/logs/{cohort}/patchib_train_{model}_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_train_{model}_{seed}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        **PATCHIB_SIZES,
        towers=patchib_towers,
        model=patchib_model,
        training=lookup(dpath="patchib/training", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/patchib/models/resume/{wildcards.model}_{wildcards.seed}",
    message:
        "Training model {wildcards.model} of patchib on {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/patchib_train.py"


rule patchib_export:
    input:
        **PATCHIB_DATA,
        code=library("patchib_export"),
        towers=list(PATCHIB_TOWER_FILES.values()) if PATCHIB_OWN_TOWERS else [],
        weights=patchib_weights,
    output:
        arrays="results/{cohort}/patchib/models/{model}.npz",
    log:
        "results/logs/{cohort}/patchib_export_{model}.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_export_{model}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        **PATCHIB_SIZES,
        towers=patchib_towers,
        model=patchib_model,
        seeds=lambda wildcards: PATCHIB_SEEDS[wildcards.model],
        training=lookup(dpath="patchib/training", within=config),
        settings=lookup(dpath="patchib/evaluation", within=config),
    message:
        "Embedding {wildcards.cohort} with model {wildcards.model} of patchib"
    script:
        "../scripts/patchib_export.py"


rule patchib_share_predictions:
    input:
        code=library("patchib_share_predictions"),
        manifest=PATCHIB_DATA["manifest"],
        master=PATCHIB_DATA["master"],
        export=f"results/{{cohort}}/patchib/models/{FORGETTING_MODEL}.npz",
    output:
        # Where no model selects patches nobody asks for it.
        predictions=collect(
            "results/{{cohort}}/patchib/forgetting/predictions/seed_{seed}.parquet",
            seed=FORGETTING["patchib/forgetting"]["seeds"] or [0],
        ),
    log:
        "results/logs/{cohort}/patchib_share_predictions.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_share_predictions.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        model=FORGETTING_MODEL,
        seeds=FORGETTING["patchib/forgetting"]["seeds"],
        kind=lambda wildcards: config["patchib"]["models"][FORGETTING_MODEL]["mask"]["kind"],
        way=FORGETTING["patchib/forgetting"]["ways"][0],
    message:
        "Probing the test radiographs of {wildcards.cohort} with fewer patches"
    script:
        "../scripts/patchib_share_predictions.py"


rule patchib_measure:
    input:
        **PATCHIB_DATA,
        code=library("patchib_measure"),
        exports=collect("results/{{cohort}}/patchib/models/{model}.npz", model=PATCHIB_SEEDS),
    output:
        metrics=report(
            "results/{cohort}/patchib/metrics.csv",
            caption="../workflow/report/patchib_metrics.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "retrieval, zero-shot and probe by model"},
        ),
        metrics_parquet="results/{cohort}/patchib/metrics.parquet",
        differences=report(
            "results/{cohort}/patchib/differences.csv",
            caption="../workflow/report/patchib_differences.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "paired differences from model A"},
        ),
        differences_parquet="results/{cohort}/patchib/differences.parquet",
        grounding=report(
            "results/{cohort}/patchib/grounding.csv",
            caption="../workflow/report/patchib_grounding.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "heat and masks against known boxes"},
        ),
        grounding_parquet="results/{cohort}/patchib/grounding.parquet",
        shares="results/{cohort}/patchib/shares.csv",
        shares_parquet="results/{cohort}/patchib/shares.parquet",
        robustness=report(
            "results/{cohort}/patchib/robustness.csv",
            caption="../workflow/report/patchib_robustness.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "masks of changed radiographs"},
        ),
        robustness_parquet="results/{cohort}/patchib/robustness.parquet",
        curves="results/{cohort}/patchib/curves.csv",
        curves_parquet="results/{cohort}/patchib/curves.parquet",
    log:
        "results/logs/{cohort}/patchib_measure.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_measure.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        models=PATCHIB_SEEDS,
        settings=lookup(dpath="patchib/evaluation", within=config),
        simulated=is_simulated,
    message:
        "Measuring all models of patchib on {wildcards.cohort}"
    script:
        "../scripts/patchib_measure.py"


rule patchib_measure_efficiency:
    input:
        **PATCHIB_DATA,
        code=library("patchib_measure_efficiency"),
        towers=list(PATCHIB_TOWER_FILES.values()) if PATCHIB_OWN_TOWERS else [],
        weights=[
            f"results/{{cohort}}/patchib/models/{model}_{seeds[0]}.safetensors"
            for model, seeds in PATCHIB_SEEDS.items()
        ],
    output:
        table=report(
            "results/{cohort}/patchib/efficiency.csv",
            caption="../workflow/report/patchib_efficiency.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "speed, multiplications, parameters, memory"},
        ),
        table_parquet="results/{cohort}/patchib/efficiency.parquet",
    log:
        "results/logs/{cohort}/patchib_measure_efficiency.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_measure_efficiency.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        **PATCHIB_SIZES,
        towers=patchib_towers,
        models=lookup(dpath="patchib/models", within=config),
        settings=lookup(dpath="patchib/evaluation", within=config),
        simulated=is_simulated,
    message:
        "Measuring what the models of patchib cost on {wildcards.cohort}"
    script:
        "../scripts/patchib_measure_efficiency.py"


rule patchib_plot_training:
    input:
        code=library("patchib_plot_training"),
        histories=[
            f"results/{{cohort}}/patchib/models/{model}_{seed}_history.csv"
            for model, seeds in PATCHIB_SEEDS.items()
            for seed in seeds
        ],
        distribution="results/{cohort}/patchib/distribution.parquet",
    output:
        png=report(
            "results/{cohort}/patchib/training.png",
            caption="../workflow/report/patchib_training_figure.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "training of every model"},
        ),
        pdf="results/{cohort}/patchib/training.pdf",
    log:
        "results/logs/{cohort}/patchib_plot_training.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_plot_training.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        models=PATCHIB_SEEDS,
        simulated=is_simulated,
    message:
        "Drawing how the models of patchib trained on {wildcards.cohort}"
    script:
        "../scripts/patchib_plot_training.py"


rule patchib_plot_ablation:
    input:
        code=library("patchib_plot_ablation"),
        metrics="results/{cohort}/patchib/metrics.parquet",
        differences="results/{cohort}/patchib/differences.parquet",
        efficiency="results/{cohort}/patchib/efficiency.parquet",
    output:
        png=report(
            "results/{cohort}/patchib/ablation.png",
            caption="../workflow/report/patchib_ablation_figure.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "all models compared"},
        ),
        pdf="results/{cohort}/patchib/ablation.pdf",
    log:
        "results/logs/{cohort}/patchib_plot_ablation.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_plot_ablation.tsv"
    conda:
        "../envs/analysis.yaml"
    message:
        "Drawing the comparison of the models of patchib on {wildcards.cohort}"
    script:
        "../scripts/patchib_plot_ablation.py"


rule patchib_plot_shares:
    input:
        code=library("patchib_plot_shares"),
        shares="results/{cohort}/patchib/shares.parquet",
        metrics="results/{cohort}/patchib/metrics.parquet",
        efficiency="results/{cohort}/patchib/efficiency.parquet",
    output:
        png=report(
            "results/{cohort}/patchib/shares.png",
            caption="../workflow/report/patchib_shares_figure.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "what fewer patches cost and save"},
        ),
        pdf="results/{cohort}/patchib/shares.pdf",
    log:
        "results/logs/{cohort}/patchib_plot_shares.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_plot_shares.tsv"
    conda:
        "../envs/analysis.yaml"
    message:
        "Drawing what fewer patches cost and save on {wildcards.cohort}"
    script:
        "../scripts/patchib_plot_shares.py"


rule patchib_plot_removal:
    input:
        code=library("patchib_plot_removal"),
        curves="results/{cohort}/patchib/curves.parquet",
        robustness="results/{cohort}/patchib/robustness.parquet",
    output:
        png=report(
            "results/{cohort}/patchib/removal.png",
            caption="../workflow/report/patchib_removal_figure.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "patches taken away and put in, masks of changed radiographs"},
        ),
        pdf="results/{cohort}/patchib/removal.pdf",
    log:
        "results/logs/{cohort}/patchib_plot_removal.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_plot_removal.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        most_images=lookup(dpath="patchib/evaluation/curve_images", within=config),
    message:
        "Drawing which patches matter to the models of patchib on {wildcards.cohort}"
    script:
        "../scripts/patchib_plot_removal.py"


rule patchib_plot_gallery:
    input:
        **PATCHIB_DATA,
        code=library("patchib_plot_gallery"),
        exports=collect("results/{{cohort}}/patchib/models/{model}.npz", model=PATCHIB_SEEDS),
    output:
        png=patient_picture(
            "results/{cohort}/patchib/gallery.png",
            caption="../workflow/report/patchib_gallery_figure.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "heat and masks beside true boxes"},
        ),
        pdf="results/{cohort}/patchib/gallery.pdf",
    log:
        "results/logs/{cohort}/patchib_plot_gallery.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_plot_gallery.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        models={model: seeds[0] for model, seeds in PATCHIB_SEEDS.items()},
        simulated=is_simulated,
    message:
        "Drawing what the models of patchib look at in {wildcards.cohort}"
    script:
        "../scripts/patchib_plot_gallery.py"


rule patchib_plot_similarity:
    input:
        **PATCHIB_DATA,
        code=library("patchib_plot_similarity"),
        exports=collect("results/{{cohort}}/patchib/models/{model}.npz", model=PATCHIB_SEEDS),
    output:
        png=patient_picture(
            "results/{cohort}/patchib/similarity.png",
            caption="../workflow/report/patchib_similarity_figure.rst",
            category="patchib",
            labels={"cohort": "{cohort}", "shows": "a few radiographs and reports, each with each"},
        ),
        pdf="results/{cohort}/patchib/similarity.pdf",
    log:
        "results/logs/{cohort}/patchib_plot_similarity.log",
    benchmark:
        "results/benchmarks/{cohort}/patchib_plot_similarity.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        models={model: seeds[0] for model, seeds in PATCHIB_SEEDS.items()},
        simulated=is_simulated,
    message:
        "Drawing radiographs against reports of {wildcards.cohort}"
    script:
        "../scripts/patchib_plot_similarity.py"
