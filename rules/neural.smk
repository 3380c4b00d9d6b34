# NEURAL: a vision-language model's attention prunes radiographs; kept patches and the report's graph become one graph.
# Needs: manifest, reports, split, image store, disjoint.json, report graphs. Leaves under results/{cohort}/neural/:
# vlm/ (weights), attention/ (per split), graphs, predictions per seed, metrics, compression, pointing, two figures.


NEURAL_TABLES = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "reports": "results/{cohort}/cohort/reports.parquet",
    "images": f"results/{{cohort}}/cohort/images_{config['neural']['data']['image_size']}.npy",
    "index": f"results/{{cohort}}/cohort/images_{config['neural']['data']['image_size']}.parquet",
}
NEURAL_SPLITS = ["train", "validate", "test"]
NEURAL_EXPORT = "results/{{cohort}}/neural/attention/{split}_{part}"


rule neural_train_vlm:
    input:
        **NEURAL_TABLES,
        code=library("neural_train_vlm"),
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        weights="results/{cohort}/neural/vlm/model.safetensors",
        tokenizer="results/{cohort}/neural/vlm/tokenizer.json",
        history="results/{cohort}/neural/vlm/history.csv",
        validation="results/{cohort}/neural/vlm/validation.parquet",
    log:
        "results/logs/{cohort}/neural_train_vlm.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_train_vlm.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 2
    resources:
        gpu=1,
    params:
        data=lookup(dpath="neural/data", within=config),
        settings=lookup(dpath="neural/vlm", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/neural/vlm/resume/state.pt",
    message:
        "Training the vision-language model of neural on {wildcards.cohort}"
    script:
        "../scripts/neural_train_vlm.py"


rule neural_export_attention:
    input:
        **NEURAL_TABLES,
        code=library("neural_export_attention"),
        disjoint="results/{cohort}/cohort/disjoint.json",
        weights="results/{cohort}/neural/vlm/model.safetensors",
        tokenizer="results/{cohort}/neural/vlm/tokenizer.json",
    output:
        features="results/{cohort}/neural/attention/{split}_features.npy",
        attention="results/{cohort}/neural/attention/{split}_attention.npy",
        images="results/{cohort}/neural/attention/{split}_images.parquet",
    log:
        "results/logs/{cohort}/neural_export_attention_{split}.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_export_attention_{split}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 2
    resources:
        gpu=1,
    params:
        data=lookup(dpath="neural/data", within=config),
        settings=lookup(dpath="neural/vlm", within=config),
        attention=lookup(dpath="neural/attention", within=config),
    message:
        "Exporting attention of {wildcards.cohort}, {wildcards.split} split"
    script:
        "../scripts/neural_export_attention.py"


rule neural_prune:
    input:
        code=library("neural_prune"),
        attention=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="attention.npy"),
        images=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="images.parquet"),
    output:
        ranking="results/{cohort}/neural/ranking.npz",
        kept="results/{cohort}/neural/kept.csv",
    log:
        "results/logs/{cohort}/neural_prune.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_prune.tsv"
    conda:
        "../envs/data.yaml"
    params:
        layers=lookup(dpath="neural/attention/layers", within=config),
        settings=lookup(dpath="neural/pruning", within=config),
    message:
        "Ranking the patches of {wildcards.cohort}"
    script:
        "../scripts/neural_prune.py"


rule neural_build_graphs:
    input:
        code=library("neural_build_graphs"),
        ranking="results/{cohort}/neural/ranking.npz",
        report_graphs="results/{cohort}/reports/graphs.jsonl",
    output:
        graphs="results/{cohort}/neural/graphs.npz",
    log:
        "results/logs/{cohort}/neural_build_graphs.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_build_graphs.tsv"
    conda:
        "../envs/graph.yaml"
    params:
        settings=lookup(dpath="neural/graphs", within=config),
        pruning=lookup(dpath="neural/pruning", within=config),
    message:
        "Joining patches and report graphs of {wildcards.cohort}"
    script:
        "../scripts/neural_build_graphs.py"


rule neural_train_gnn:
    input:
        **NEURAL_TABLES,
        code=library("neural_train_gnn"),
        disjoint="results/{cohort}/cohort/disjoint.json",
        graphs="results/{cohort}/neural/graphs.npz",
        features=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="features.npy"),
        exported=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="images.parquet"),
    output:
        predictions="results/{cohort}/neural/predictions/seed_{seed}.parquet",
    log:
        "results/logs/{cohort}/neural_train_gnn_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_train_gnn_{seed}.tsv"
    conda:
        "../envs/graph.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="neural/gnn", within=config),
        uncertain=lookup(dpath="neural/data/uncertain", within=config),
    message:
        "Training the graph classifiers of {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/neural_train_gnn.py"


rule neural_evaluate:
    input:
        **NEURAL_TABLES,
        code=library("neural_evaluate"),
        predictions=collect(
            "results/{{cohort}}/neural/predictions/seed_{seed}.parquet", seed=config["neural"]["gnn"]["seeds"]
        ),
        validation="results/{cohort}/neural/vlm/validation.parquet",
        graphs="results/{cohort}/neural/graphs.npz",
        features="results/{cohort}/neural/attention/test_features.npy",
        attention=collect(NEURAL_EXPORT, split=["validate", "test"], part="attention.npy"),
        exported=collect(NEURAL_EXPORT, split=["validate", "test"], part="images.parquet"),
    output:
        metrics=report(
            "results/{cohort}/neural/metrics.csv",
            caption="../workflow/report/neural_metrics.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "AUC and average precision"},
        ),
        metrics_parquet="results/{cohort}/neural/metrics.parquet",
        compression=report(
            "results/{cohort}/neural/compression.csv",
            caption="../workflow/report/neural_compression.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "patches, pixels and bytes kept"},
        ),
        compression_parquet="results/{cohort}/neural/compression.parquet",
        pointing=report(
            "results/{cohort}/neural/pointing.csv",
            caption="../workflow/report/neural_pointing.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "attention inside the true boxes"},
        ),
        pointing_parquet="results/{cohort}/neural/pointing.parquet",
        classifier=report(
            "results/{cohort}/neural/classifier.csv",
            caption="../workflow/report/neural_classifier.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "AUC of the vision-language model's classifier"},
        ),
        classifier_parquet="results/{cohort}/neural/classifier.parquet",
    log:
        "results/logs/{cohort}/neural_evaluate.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_evaluate.tsv"
    conda:
        "../envs/graph.yaml"
    params:
        settings=lookup(dpath="neural/evaluation", within=config),
        layers=lookup(dpath="neural/attention/layers", within=config),
        simulated=is_simulated,
    message:
        "Measuring neural on {wildcards.cohort}"
    script:
        "../scripts/neural_evaluate.py"


rule neural_plot_auc:
    input:
        code=library("neural_plot_auc"),
        metrics="results/{cohort}/neural/metrics.parquet",
    output:
        png=report(
            "results/{cohort}/neural/auc_vs_kept.png",
            caption="../workflow/report/neural_auc.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "AUC against patches kept"},
        ),
        pdf="results/{cohort}/neural/auc_vs_kept.pdf",
    log:
        "results/logs/{cohort}/neural_plot_auc.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_plot_auc.tsv"
    conda:
        "../envs/analysis.yaml"
    message:
        "Drawing AUC against kept patches of {wildcards.cohort}"
    script:
        "../scripts/neural_plot_auc.py"


rule neural_plot_gallery:
    input:
        **NEURAL_TABLES,
        code=library("neural_plot_gallery"),
        attention=collect(NEURAL_EXPORT, split=["validate", "test"], part="attention.npy"),
        exported=collect(NEURAL_EXPORT, split=["validate", "test"], part="images.parquet"),
    output:
        png=patient_picture(
            "results/{cohort}/neural/gallery.png",
            caption="../workflow/report/neural_gallery.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "attention and kept patches"},
        ),
    log:
        "results/logs/{cohort}/neural_plot_gallery.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_plot_gallery.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        layers=lookup(dpath="neural/attention/layers", within=config),
        shares=lookup(dpath="neural/gallery/percentiles", within=config),
        pruning=lookup(dpath="neural/pruning", within=config),
        simulated=is_simulated,
    message:
        "Drawing what the model looks at in {wildcards.cohort}"
    script:
        "../scripts/neural_plot_gallery.py"
