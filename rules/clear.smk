# CLEAR: encoders of CT slices learn without labels, lesions first; then a patient's slices are told together.
# Needs: manifest, split, image stores, disjoint.json. Leaves under results/{cohort}/clear/: the derived tables, encoders
# with checkpoints per variant and seed, and what is made of their features.


CLEAR_SLICES = config["clear"]["data"]["slice_size"]


wildcard_constraints:
    variant="|".join(map(re.escape, config["clear"]["pretraining"]["variants"])),


rule clear_lesion_table:
    input:
        code=library("clear_lesion_table"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
    output:
        boxes="results/{cohort}/clear/boxes.csv",
        presence="results/{cohort}/clear/presence.csv",
        rows=report(
            "results/{cohort}/clear/lesion_rows.csv",
            caption="../workflow/report/clear_lesion_rows.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "boxes, slices and patients"},
        ),
        rows_parquet="results/{cohort}/clear/lesion_rows.parquet",
    log:
        "results/logs/{cohort}/clear_lesion_table.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_lesion_table.tsv"
    conda:
        "../envs/data.yaml"
    params:
        simulated=is_simulated,
    message:
        "Counting the boxes and slices of {wildcards.cohort}"
    script:
        "../scripts/clear_lesion_table.py"


rule clear_pretrain:
    input:
        code=library("clear_pretrain"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
        images=f"results/{{cohort}}/cohort/images_{CLEAR_SLICES}.npy",
        index=f"results/{{cohort}}/cohort/images_{CLEAR_SLICES}.parquet",
        start=config["clear"]["pretraining"]["start"] or [],
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        weights="results/{cohort}/clear/{variant}/{seed}/weights.safetensors",
        history="results/{cohort}/clear/{variant}/{seed}/history.csv",
        checkpoints=directory("results/{cohort}/clear/{variant}/{seed}/checkpoints"),
    log:
        "results/logs/{cohort}/clear_pretrain_{variant}_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_pretrain_{variant}_{seed}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="clear/data", within=config),
        augmentation=lookup(dpath="clear/augmentation", within=config),
        training=clear_pretraining,
        variant=lookup(dpath="clear/pretraining/variants/{variant}", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/clear/resume/{wildcards.variant}_{wildcards.seed}.pt",
    message:
        "Pretraining {wildcards.variant} of clear on {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/clear_pretrain.py"


CLEAR_DOWNSTREAM = config["clear"]["downstream"]
CLEAR_ENCODERS = list(CLEAR_DOWNSTREAM["encoders"])
CLEAR_TASK = next(iter(CLEAR_DOWNSTREAM["tasks"]))
CLEAR_COHORT = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "images": f"results/{{cohort}}/cohort/images_{CLEAR_SLICES}.npy",
    "index": f"results/{{cohort}}/cohort/images_{CLEAR_SLICES}.parquet",
}


wildcard_constraints:
    encoder="|".join(map(re.escape, CLEAR_ENCODERS)),


rule clear_extract_features:
    input:
        **CLEAR_COHORT,
        code=library("clear_extract_features"),
        pretrained=clear_weights,
    output:
        features="results/{cohort}/clear/features/{encoder}/{seed}.npy",
        index="results/{cohort}/clear/features/{encoder}/{seed}.npz",
        patients="results/{cohort}/clear/features/{encoder}/{seed}.csv",
        checksums="results/{cohort}/clear/features/{encoder}/{seed}.sha256",
    log:
        "results/logs/{cohort}/clear_extract_features_{encoder}_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_extract_features_{encoder}_{seed}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        encoder=clear_encoder,
        settings=lookup(dpath="clear/downstream/features", within=config),
        architecture=lookup(dpath="clear/pretraining/architecture", within=config),
        image_size=lookup(dpath="clear/data/image_size", within=config),
        window=shown_window,
        # The patients' files: no output, since Snakemake takes outputs away before a job and after a failed one.
        folder=lambda wildcards: f"results/{wildcards.cohort}/clear/features/{wildcards.encoder}/{wildcards.seed}",
    message:
        "Computing features of {wildcards.cohort} with {wildcards.encoder}, seed {wildcards.seed}"
    script:
        "../scripts/clear_extract_features.py"


rule clear_aggregate:
    input:
        **CLEAR_COHORT,
        code=library("clear_aggregate"),
        features="results/{cohort}/clear/features/{encoder}/{seed}.npy",
        features_index="results/{cohort}/clear/features/{encoder}/{seed}.npz",
        tables=clear_task_tables(),
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        predictions="results/{cohort}/clear/predictions/{encoder}/{seed}.parquet",
        attention="results/{cohort}/clear/attention/{encoder}/{seed}.parquet",
    log:
        "results/logs/{cohort}/clear_aggregate_{encoder}_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_aggregate_{encoder}_{seed}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        tasks=lookup(dpath="clear/downstream/tasks", within=config),
        settings=lookup(dpath="clear/downstream/aggregation", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/clear/resume/{wildcards.encoder}_{wildcards.seed}",
    message:
        "Training aggregators of {wildcards.cohort} on features of {wildcards.encoder}, seed {wildcards.seed}"
    script:
        "../scripts/clear_aggregate.py"


rule clear_measure:
    input:
        code=library("clear_measure"),
        predictions=clear_files("results/{cohort}/clear/predictions/{encoder}/{seed}.parquet"),
    output:
        metrics=report(
            "results/{cohort}/clear/metrics.csv",
            caption="../workflow/report/clear_metrics.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "encoders, aggregators and shares of labels"},
        ),
        metrics_parquet="results/{cohort}/clear/metrics.parquet",
        differences=report(
            "results/{cohort}/clear/differences.csv",
            caption="../workflow/report/clear_differences.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "paired differences between encoders"},
        ),
        differences_parquet="results/{cohort}/clear/differences.parquet",
    log:
        "results/logs/{cohort}/clear_measure.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_measure.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        first=CLEAR_ENCODERS[0],
        settings=lookup(dpath="clear/downstream/measuring", within=config),
        simulated=is_simulated,
    message:
        "Measuring the encoders of clear on {wildcards.cohort}"
    script:
        "../scripts/clear_measure.py"


rule clear_measure_compute:
    input:
        code=library("clear_measure_compute"),
        weights=[clear_pretrained(name, clear_seeds(name)[0]) for name in clear_pretrained_encoders()],
    output:
        table=report(
            "results/{cohort}/clear/compute.csv",
            caption="../workflow/report/clear_compute.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "what encoders cost"},
        ),
        table_parquet="results/{cohort}/clear/compute.parquet",
    log:
        "results/logs/{cohort}/clear_measure_compute.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_measure_compute.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        pretrained=clear_pretrained_encoders(),
        encoders=lookup(dpath="clear/downstream/encoders", within=config),
        architecture=lookup(dpath="clear/pretraining/architecture", within=config),
        image_size=lookup(dpath="clear/data/image_size", within=config),
        slice_size=CLEAR_SLICES,
        settings=lookup(dpath="clear/downstream/measuring", within=config),
        simulated=is_simulated,
    message:
        "Measuring what the encoders of clear cost"
    script:
        "../scripts/clear_measure_compute.py"


rule clear_plot_attention:
    input:
        **CLEAR_COHORT,
        code=library("clear_plot_attention"),
        attention=clear_files("results/{cohort}/clear/attention/{encoder}/{seed}.parquet"),
    output:
        attention=report(
            "results/{cohort}/clear/attention.png",
            caption="../workflow/report/clear_attention.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "attention along the slices"},
        ),
        attention_pdf="results/{cohort}/clear/attention.pdf",
        top_slices=patient_picture(
            "results/{cohort}/clear/top_slices.png",
            caption="../workflow/report/clear_top_slices.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "slices with most attention"},
        ),
    log:
        "results/logs/{cohort}/clear_plot_attention.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_plot_attention.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        encoders=CLEAR_ENCODERS,
        task=CLEAR_TASK,
        settings=lookup(dpath="clear/downstream/measuring", within=config),
        simulated=is_simulated,
    message:
        "Drawing where the aggregators of clear look on {wildcards.cohort}"
    script:
        "../scripts/clear_plot_attention.py"


rule clear_plot_results:
    input:
        **CLEAR_COHORT,
        code=library("clear_plot_results"),
        metrics="results/{cohort}/clear/metrics.parquet",
        compute="results/{cohort}/clear/compute.parquet",
        predictions=clear_files("results/{cohort}/clear/predictions/{encoder}/{seed}.parquet", CLEAR_ENCODERS[:1]),
        features=clear_files("results/{cohort}/clear/features/{encoder}/{seed}.npy", first=True),
        features_index=clear_files("results/{cohort}/clear/features/{encoder}/{seed}.npz", first=True),
        tables=clear_task_tables(),
    output:
        confusion=report(
            "results/{cohort}/clear/confusion.png",
            caption="../workflow/report/clear_confusion.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "confusion matrices"},
        ),
        confusion_pdf="results/{cohort}/clear/confusion.pdf",
        efficiency=report(
            "results/{cohort}/clear/efficiency.png",
            caption="../workflow/report/clear_efficiency.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "accuracy against labels and compute"},
        ),
        efficiency_pdf="results/{cohort}/clear/efficiency.pdf",
        embedding=report(
            "results/{cohort}/clear/embedding.png",
            caption="../workflow/report/clear_embedding.rst",
            category="clear",
            labels={"cohort": "{cohort}", "shows": "patients on a plane"},
        ),
        embedding_pdf="results/{cohort}/clear/embedding.pdf",
    log:
        "results/logs/{cohort}/clear_plot_results.log",
    benchmark:
        "results/benchmarks/{cohort}/clear_plot_results.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        encoders=CLEAR_ENCODERS,
        task=CLEAR_TASK,
        task_settings=lookup(dpath=f"clear/downstream/tasks/{CLEAR_TASK}", within=config),
        aggregator=CLEAR_DOWNSTREAM["aggregation"]["aggregators"][0],
        fraction=max(CLEAR_DOWNSTREAM["aggregation"]["fractions"]),
        simulated=is_simulated,
    message:
        "Drawing the results of clear on {wildcards.cohort}"
    script:
        "../scripts/clear_plot_results.py"
