# PruneCXR: long-tailed classifiers are pruned after training, in one shot. What they forget then is rules/forgetting.smk.
# Needs: manifest, split, image store, disjoint.json; or published predictions; readers' forms for the survey.
# Leaves under results/{cohort}/prunecxr/: training/ (per seed), predictions/ (per seed and chunk of the sparsities),
# storage and weights tables, the survey's tables and figure.


PRUNECXR = "results/{cohort}/prunecxr"
PRUNECXR_TABLES = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "images": f"results/{{cohort}}/cohort/images_{config['prunecxr']['data']['image_size']}.npy",
    "index": f"results/{{cohort}}/cohort/images_{config['prunecxr']['data']['image_size']}.parquet",
}
PRUNECXR_SEEDS = config["prunecxr"]["training"]["seeds"]
PRUNECXR_METHODS = config["prunecxr"]["sweep"]["methods"]


wildcard_constraints:
    chunk=r"\d+",


rule prunecxr_train:
    input:
        **PRUNECXR_TABLES,
        code=library("prunecxr_train"),
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        weights="results/{cohort}/prunecxr/training/seed_{seed}.safetensors",
        history="results/{cohort}/prunecxr/training/seed_{seed}_history.csv",
        validation="results/{cohort}/prunecxr/training/seed_{seed}_validation.parquet",
    log:
        "results/logs/{cohort}/prunecxr_train_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_train_{seed}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="prunecxr/data", within=config),
        network=lookup(dpath="prunecxr/network", within=config),
        training=lookup(dpath="prunecxr/training", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/prunecxr/training/resume/seed_{wildcards.seed}.pt",
    message:
        "Training the classifier of prunecxr on {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/prunecxr_train.py"


rule prunecxr_sweep:
    input:
        **PRUNECXR_TABLES,
        code=library("prunecxr_sweep"),
        weights="results/{cohort}/prunecxr/training/seed_{seed}.safetensors",
    output:
        predictions="results/{cohort}/prunecxr/predictions/seed_{seed}_chunk_{chunk}.parquet",
        speed="results/{cohort}/prunecxr/predictions/seed_{seed}_chunk_{chunk}_speed.json",
    log:
        "results/logs/{cohort}/prunecxr_sweep_{seed}_{chunk}.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_sweep_{seed}_{chunk}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="prunecxr/data", within=config),
        network=lookup(dpath="prunecxr/network", within=config),
        sweep=lookup(dpath="prunecxr/sweep", within=config),
        waiting=lambda wildcards: (
            f"results/{wildcards.cohort}/prunecxr/predictions/waiting/seed_{wildcards.seed}_chunk_{wildcards.chunk}"
        ),
    message:
        "Pruning the classifier of {wildcards.cohort}, seed {wildcards.seed}, at every sparsity"
    script:
        "../scripts/prunecxr_sweep.py"


rule prunecxr_storage:
    input:
        code=library("prunecxr_storage"),
        weights=f"{PRUNECXR}/training/seed_{PRUNECXR_SEEDS[0]}.safetensors",
        validation=f"{PRUNECXR}/training/seed_{PRUNECXR_SEEDS[0]}_validation.parquet",
    output:
        storage=report(
            "results/{cohort}/prunecxr/storage.csv",
            caption="../workflow/report/prunecxr_storage.rst",
            category="prunecxr",
            labels={"cohort": "{cohort}", "shows": "bytes by sparsity"},
        ),
        storage_parquet="results/{cohort}/prunecxr/storage.parquet",
        weights="results/{cohort}/prunecxr/weights.csv",
        weights_parquet="results/{cohort}/prunecxr/weights.parquet",
    log:
        "results/logs/{cohort}/prunecxr_storage.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_storage.tsv"
    conda:
        "../envs/vision.yaml"
    params:
        network=lookup(dpath="prunecxr/network", within=config),
        sparsities=lookup(dpath="prunecxr/sweep/sparsities", within=config),
        methods=PRUNECXR_METHODS,
        simulated=is_simulated,
    message:
        "Counting what pruning saves on {wildcards.cohort}"
    script:
        "../scripts/prunecxr_storage.py"


rule prunecxr_import_predictions:
    input:
        code=library("prunecxr_import_predictions"),
        split="results/{cohort}/cohort/split.parquet",
        labels=long_tail_files,
    output:
        predictions="results/{cohort}/prunecxr/predictions/seed_{seed}.parquet",
    log:
        "results/logs/{cohort}/prunecxr_import_predictions_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_import_predictions_{seed}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        folder=lookup(dpath="prunecxr/published/{cohort}/folder", within=config),
        model=lookup(dpath="prunecxr/published/{cohort}/method", within=config),
        labels=long_tail_name,
        network=lookup(dpath="prunecxr/published/{cohort}/network", within=config),
        levels=lookup(dpath="prunecxr/sweep/sparsities", within=config),
    message:
        "Reading the published predictions of {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/prunecxr_import_predictions.py"


rule prunecxr_export_predictions:
    input:
        code=library("prunecxr_export_predictions"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        predictions=collect(
            "results/{{cohort}}/prunecxr/predictions/seed_{{seed}}_chunk_{chunk}.parquet",
            chunk=range(config["prunecxr"]["sweep"]["chunks"]),
        ),
    output:
        folder=directory("results/{cohort}/prunecxr/published/seed_{seed}"),
    log:
        "results/logs/{cohort}/prunecxr_export_predictions_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_export_predictions_{seed}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        labels=long_tail_name,
        model=PRUNECXR_METHODS[0],
        network=lookup(dpath="prunecxr/network/name", within=config),
    message:
        "Writing the predictions of {wildcards.cohort}, seed {wildcards.seed}, as the published files are"
    script:
        "../scripts/prunecxr_export_predictions.py"


rule prunecxr_survey_forms:
    input:
        code=library("prunecxr_survey_forms"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
        images=largest_store("npy"),
        index=largest_store("parquet"),
        pie="results/{cohort}/prunecxr/pie.parquet",
        predictions=lambda wildcards: prunecxr_predictions(wildcards.cohort, PRUNECXR_SEEDS[0])[0],
    output:
        folder=directory("results/{cohort}/prunecxr/survey_forms"),
    log:
        "results/logs/{cohort}/prunecxr_survey_forms.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_survey_forms.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        settings=lookup(dpath="prunecxr/surveys/{cohort}", within=config, default={}),
        uncertain=lookup(dpath="prunecxr/data/uncertain", within=config),
    message:
        "Making blank forms of exemplars and other images of {wildcards.cohort} for radiologists"
    script:
        "../scripts/prunecxr_survey_forms.py"


rule prunecxr_survey:
    input:
        code=library("prunecxr_survey"),
        forms=survey_files,
    output:
        survey=report(
            "results/{cohort}/prunecxr/survey.csv",
            caption="../workflow/report/prunecxr_survey.rst",
            category="prunecxr",
            labels={"cohort": "{cohort}", "shows": "what readers said of exemplars and of other images"},
        ),
        survey_parquet="results/{cohort}/prunecxr/survey.parquet",
        tests="results/{cohort}/prunecxr/survey_tests.csv",
        tests_parquet="results/{cohort}/prunecxr/survey_tests.parquet",
        refused="results/{cohort}/prunecxr/survey_refused.csv",
    log:
        "results/logs/{cohort}/prunecxr_survey.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_survey.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        settings=lookup(dpath="prunecxr/surveys/{cohort}", within=config),
        forgetting=lookup(dpath="prunecxr/forgetting", within=config),
        simulated=is_simulated,
    message:
        "Reading what radiologists said of images of {wildcards.cohort}"
    script:
        "../scripts/prunecxr_survey.py"


rule prunecxr_plot_survey:
    input:
        code=library("prunecxr_plot_survey"),
        survey="results/{cohort}/prunecxr/survey.parquet",
        tests="results/{cohort}/prunecxr/survey_tests.parquet",
    output:
        png=report(
            "results/{cohort}/prunecxr/survey.png",
            caption="../workflow/report/prunecxr_survey.rst",
            category="prunecxr",
            labels={"cohort": "{cohort}", "shows": "reader survey"},
        ),
        pdf="results/{cohort}/prunecxr/survey.pdf",
    log:
        "results/logs/{cohort}/prunecxr_plot_survey.log",
    benchmark:
        "results/benchmarks/{cohort}/prunecxr_plot_survey.tsv"
    conda:
        "../envs/analysis.yaml"
    message:
        "Drawing the reader survey of {wildcards.cohort}"
    script:
        "../scripts/prunecxr_plot_survey.py"
