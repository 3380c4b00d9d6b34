# NEURAL: a vision-language model's attention prunes radiographs; kept patches and the report's graph become one graph.
# Needs: manifest, reports, split, image store, disjoint.json, report graphs. Leaves under results/{cohort}/neural/:
# vlm/ (weights), texts/ (reports, read or written), attention/ and codecs/ (per split), graphs, assets/ (per share),
# predictions per seed, tables and figures; forgetting/ (rules/forgetting.smk).


NEURAL_TABLES = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "reports": "results/{cohort}/cohort/reports.parquet",
    "images": f"results/{{cohort}}/cohort/images_{config['neural']['data']['image_size']}.npy",
    "index": f"results/{{cohort}}/cohort/images_{config['neural']['data']['image_size']}.parquet",
}
NEURAL_SPLITS = ["train", "validate", "test"]
NEURAL_EXPORT = "results/{{cohort}}/neural/attention/{split}_{part}"
NEURAL_TEXT = "results/{{cohort}}/neural/texts/{text}.{form}"
NEURAL_CODEC = "results/{{cohort}}/neural/codecs/{codec}_{part}_{split}.npy"
NEURAL_TEXTS = config["neural"]["texts"]["settings"]
NEURAL_CODECS = codec_names(CodecSettings(**config["neural"]["codecs"]))
# The model writes reports only where a text setting asks for them, and they are compared where the references are there.
NEURAL_WRITTEN = NEURAL_SPLITS if any(text.startswith("generated") for text in NEURAL_TEXTS) else []
NEURAL_COMPARED = (
    {
        "generated_texts": "results/{cohort}/neural/texts/generated.parquet",
        "generated_graphs": "results/{cohort}/neural/texts/generated.jsonl",
        "generated_findings": "results/{cohort}/neural/texts/generated_findings.parquet",
        "reference_texts": "results/{cohort}/neural/texts/reference.parquet",
        "reference_graphs": "results/{cohort}/neural/texts/reference.jsonl",
        "reference_findings": "results/{cohort}/reports/findings.parquet",
    }
    if {"generated", "reference"} <= set(NEURAL_TEXTS)
    else {}
)


wildcard_constraints:
    percent=r"\d+(\.\d+)?",


# What leads to the graph classifiers is the longest chain of all: its jobs begin before others that wait as well.
rule neural_train_vlm:
    input:
        **NEURAL_TABLES,
        code=library("neural_train_vlm"),
        backbone=first_backbone("neural/vlm/encoder"),
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
    priority: 1
    conda:
        "../envs/vision.yaml"
    # The longest job of all: a second thread would gain it a third of its time and take a core from all the others.
    threads: 1
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


rule neural_generate_reports:
    input:
        **NEURAL_TABLES,
        code=library("neural_generate_reports"),
        weights="results/{cohort}/neural/vlm/model.safetensors",
        tokenizer="results/{cohort}/neural/vlm/tokenizer.json",
    output:
        written=collect("results/{{cohort}}/neural/texts/generated_{split}.parquet", split=NEURAL_SPLITS),
    log:
        "results/logs/{cohort}/neural_generate_reports.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_generate_reports.tsv"
    priority: 1
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="neural/data", within=config),
        settings=lookup(dpath="neural/vlm", within=config),
        texts=lookup(dpath="neural/texts", within=config),
        splits=NEURAL_SPLITS,
    message:
        "Writing reports for {wildcards.cohort}"
    script:
        "../scripts/neural_generate_reports.py"


rule neural_read_generated:
    input:
        code=library("neural_read_generated"),
        lexicon="scripts/cxrflow/reports/lexicon.yaml",
        texts=collect("results/{{cohort}}/neural/texts/generated_{split}.parquet", split=NEURAL_SPLITS),
    output:
        graphs="results/{cohort}/neural/texts/generated_graphs.jsonl",
        findings="results/{cohort}/neural/texts/generated_findings.parquet",
    log:
        "results/logs/{cohort}/neural_read_generated.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_read_generated.tsv"
    priority: 1
    conda:
        "../envs/nlp.yaml"
    threads: cohort_threads
    params:
        settings=lookup(dpath="reports/extract", within=config),
    message:
        "Reading findings and graphs from the written reports of {wildcards.cohort}"
    script:
        "../scripts/neural_read_generated.py"


rule neural_write_texts:
    input:
        **NEURAL_TABLES,
        code=library("neural_write_texts"),
        report_graphs="results/{cohort}/reports/graphs.jsonl",
        findings="results/{cohort}/reports/findings.parquet",
        generated=collect("results/{{cohort}}/neural/texts/generated_{split}.parquet", split=NEURAL_WRITTEN),
        generated_graphs=collect("results/{{cohort}}/neural/texts/generated_graphs.jsonl") if NEURAL_WRITTEN else [],
        generated_findings=(
            collect("results/{{cohort}}/neural/texts/generated_findings.parquet") if NEURAL_WRITTEN else []
        ),
    output:
        texts=collect(NEURAL_TEXT, text=NEURAL_TEXTS, form="parquet"),
        graphs=collect(NEURAL_TEXT, text=NEURAL_TEXTS, form="jsonl"),
    log:
        "results/logs/{cohort}/neural_write_texts.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_write_texts.tsv"
    priority: 1
    conda:
        "../envs/data.yaml"
    params:
        texts=lookup(dpath="neural/texts/settings", within=config),
        targets=lookup(dpath="neural/gnn/targets", within=config),
    message:
        "Preparing the text settings of {wildcards.cohort}"
    script:
        "../scripts/neural_write_texts.py"


rule neural_export_attention:
    input:
        **NEURAL_TABLES,
        code=library("neural_export_attention"),
        weights="results/{cohort}/neural/vlm/model.safetensors",
        tokenizer="results/{cohort}/neural/vlm/tokenizer.json",
        texts=collect(NEURAL_TEXT, text=NEURAL_TEXTS, form="parquet"),
        text_graphs=collect(NEURAL_TEXT, text=NEURAL_TEXTS, form="jsonl"),
    output:
        features=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="features.npy"),
        norms=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="norms.npy"),
        attention=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="attention.npz"),
        images=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="images.parquet"),
    log:
        "results/logs/{cohort}/neural_export_attention.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_export_attention.tsv"
    priority: 1
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="neural/data", within=config),
        settings=lookup(dpath="neural/vlm", within=config),
        attention=lookup(dpath="neural/attention", within=config),
        texts=lookup(dpath="neural/texts/settings", within=config),
        splits=NEURAL_SPLITS,
    message:
        "Exporting attention of {wildcards.cohort}"
    script:
        "../scripts/neural_export_attention.py"


rule neural_export_codecs:
    input:
        **NEURAL_TABLES,
        code=library("neural_export_codecs"),
        weights="results/{cohort}/neural/vlm/model.safetensors",
    output:
        # Without any codec nothing asks for the outputs, but a rule has to have some.
        features=collect(NEURAL_CODEC, codec=NEURAL_CODECS or "none", part="features", split=NEURAL_SPLITS),
        sizes=collect(NEURAL_CODEC, codec=NEURAL_CODECS or "none", part="bytes", split=NEURAL_SPLITS),
    log:
        "results/logs/{cohort}/neural_export_codecs.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_export_codecs.tsv"
    priority: 1
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="neural/data", within=config),
        settings=lookup(dpath="neural/vlm", within=config),
        codecs=NEURAL_CODECS,
        splits=NEURAL_SPLITS,
        batch_size=lookup(dpath="neural/attention/batch_size", within=config),
    message:
        "Encoding the radiographs of {wildcards.cohort} after each codec"
    script:
        "../scripts/neural_export_codecs.py"


rule neural_prune:
    input:
        code=library("neural_prune"),
        attention=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="attention.npz"),
        norms=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="norms.npy"),
        images=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="images.parquet"),
    output:
        ranking="results/{cohort}/neural/ranking.npz",
        kept="results/{cohort}/neural/kept.csv",
    log:
        "results/logs/{cohort}/neural_prune.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_prune.tsv"
    priority: 1
    conda:
        "../envs/data.yaml"
    params:
        layers=lookup(dpath="neural/attention/layers", within=config),
        settings=lookup(dpath="neural/pruning", within=config),
        texts=lookup(dpath="neural/texts", within=config),
    message:
        "Ranking the patches of {wildcards.cohort}"
    script:
        "../scripts/neural_prune.py"


rule neural_build_graphs:
    input:
        code=library("neural_build_graphs"),
        ranking="results/{cohort}/neural/ranking.npz",
        texts=collect(NEURAL_TEXT, text=NEURAL_TEXTS, form="jsonl"),
    output:
        graphs="results/{cohort}/neural/graphs.npz",
    log:
        "results/logs/{cohort}/neural_build_graphs.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_build_graphs.tsv"
    priority: 1
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
        codecs=collect(NEURAL_CODEC, codec=NEURAL_CODECS, part="features", split=NEURAL_SPLITS),
    output:
        predictions="results/{cohort}/neural/predictions/seed_{seed}.parquet",
    log:
        "results/logs/{cohort}/neural_train_gnn_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_train_gnn_{seed}.tsv"
    priority: 1
    conda:
        "../envs/graph.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="neural/gnn", within=config),
        uncertain=lookup(dpath="neural/data/uncertain", within=config),
        states=lambda wildcards: f"results/{wildcards.cohort}/neural/predictions/resume/seed_{wildcards.seed}",
    message:
        "Training the graph classifiers of {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/neural_train_gnn.py"


rule neural_patch_predictions:
    input:
        code=library("neural_patch_predictions"),
        predictions="results/{cohort}/neural/predictions/seed_{seed}.parquet",
    output:
        predictions="results/{cohort}/neural/forgetting/predictions/seed_{seed}.parquet",
    log:
        "results/logs/{cohort}/neural_patch_predictions_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_patch_predictions_{seed}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        targets=lookup(dpath="neural/gnn/targets", within=config),
        way=FORGETTING["neural/forgetting"]["ways"][0],
    message:
        "Ordering the predictions of {wildcards.cohort} by patches taken away, seed {wildcards.seed}"
    script:
        "../scripts/neural_patch_predictions.py"


rule neural_write_asset:
    input:
        code=library("neural_write_asset"),
        images=NEURAL_TABLES["images"],
        index=NEURAL_TABLES["index"],
        graphs="results/{cohort}/neural/graphs.npz",
        report_graphs=f"results/{{cohort}}/neural/texts/{NEURAL_TEXTS[0]}.jsonl",
        features=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="features.npy"),
        exported=collect(NEURAL_EXPORT, split=NEURAL_SPLITS, part="images.parquet"),
    output:
        asset="results/{cohort}/neural/assets/kept_{percent}.npz",
    log:
        "results/logs/{cohort}/neural_write_asset_{percent}.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_write_asset_{percent}.tsv"
    conda:
        "../envs/graph.yaml"
    params:
        text=NEURAL_TEXTS[0],
        simulated=is_simulated,
    message:
        "Writing the compressed asset of {wildcards.cohort}: {wildcards.percent} % of the patches"
    script:
        "../scripts/neural_write_asset.py"


rule neural_evaluate:
    input:
        **NEURAL_TABLES,
        **NEURAL_COMPARED,
        code=library("neural_evaluate"),
        predictions=collect(
            "results/{{cohort}}/neural/predictions/seed_{seed}.parquet", seed=config["neural"]["gnn"]["seeds"]
        ),
        validation="results/{cohort}/neural/vlm/validation.parquet",
        graphs="results/{cohort}/neural/graphs.npz",
        features="results/{cohort}/neural/attention/test_features.npy",
        attention=collect(NEURAL_EXPORT, split=["validate", "test"], part="attention.npz"),
        exported=collect(NEURAL_EXPORT, split=["validate", "test"], part="images.parquet"),
        codecs=collect(NEURAL_CODEC, codec=NEURAL_CODECS, part="bytes", split="test"),
    output:
        metrics=report(
            "results/{cohort}/neural/metrics.csv",
            caption="../workflow/report/neural_metrics.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "AUC and average precision"},
        ),
        metrics_parquet="results/{cohort}/neural/metrics.parquet",
        differences=report(
            "results/{cohort}/neural/differences.csv",
            caption="../workflow/report/neural_differences.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "paired differences from the whole image and other selectors"},
        ),
        differences_parquet="results/{cohort}/neural/differences.parquet",
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
        report_quality=report(
            "results/{cohort}/neural/report_quality.csv",
            caption="../workflow/report/neural_report_quality.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "the model's reports against the radiologist's"},
        ),
        report_quality_parquet="results/{cohort}/neural/report_quality.parquet",
    log:
        "results/logs/{cohort}/neural_evaluate.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_evaluate.tsv"
    conda:
        "../envs/graph.yaml"
    params:
        settings=lookup(dpath="neural/evaluation", within=config),
        texts=lookup(dpath="neural/texts/settings", within=config),
        codecs=NEURAL_CODECS,
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


rule neural_plot_bytes:
    input:
        code=library("neural_plot_bytes"),
        metrics="results/{cohort}/neural/metrics.parquet",
        compression="results/{cohort}/neural/compression.parquet",
    output:
        png=report(
            "results/{cohort}/neural/bytes_vs_auc.png",
            caption="../workflow/report/neural_bytes.rst",
            category="neural",
            labels={"cohort": "{cohort}", "shows": "AUC against bytes per radiograph"},
        ),
        pdf="results/{cohort}/neural/bytes_vs_auc.pdf",
    log:
        "results/logs/{cohort}/neural_plot_bytes.log",
    benchmark:
        "results/benchmarks/{cohort}/neural_plot_bytes.tsv"
    conda:
        "../envs/analysis.yaml"
    message:
        "Drawing AUC against bytes of {wildcards.cohort}"
    script:
        "../scripts/neural_plot_bytes.py"


rule neural_plot_gallery:
    input:
        **NEURAL_TABLES,
        **{name: file for name, file in NEURAL_COMPARED.items() if name == "generated_texts"},
        code=library("neural_plot_gallery"),
        attention=collect(NEURAL_EXPORT, split=["validate", "test"], part="attention.npz"),
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
        texts=lookup(dpath="neural/texts/settings", within=config),
        pruning=lookup(dpath="neural/pruning", within=config),
        simulated=is_simulated,
    message:
        "Drawing what the model looks at in {wildcards.cohort}"
    script:
        "../scripts/neural_plot_gallery.py"
