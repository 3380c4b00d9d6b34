# BACKBONE: the demonstration's stand-in for published weights, a small image encoder that has learnt the findings.
# Needs: manifest, split, image store, disjoint.json. Leaves under results/{cohort}/backbone/: weights, history, the best
# epoch's predictions on the validate split. Runs only where a system names no published weights.


BACKBONE_SIZE = config["backbone"]["data"]["image_size"]


rule backbone_train:
    input:
        code=library("backbone_train"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
        images=f"results/{{cohort}}/cohort/images_{BACKBONE_SIZE}.npy",
        index=f"results/{{cohort}}/cohort/images_{BACKBONE_SIZE}.parquet",
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        weights="results/{cohort}/backbone/weights.safetensors",
        history="results/{cohort}/backbone/history.csv",
        validation="results/{cohort}/backbone/validation.parquet",
    log:
        "results/logs/{cohort}/backbone_train.log",
    benchmark:
        "results/benchmarks/{cohort}/backbone_train.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="backbone/data", within=config),
        network=lookup(dpath="backbone/network", within=config),
        training=lookup(dpath="backbone/training", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/backbone/resume/state.pt",
    message:
        "Training the small image encoder on {wildcards.cohort}"
    script:
        "../scripts/backbone_train.py"
