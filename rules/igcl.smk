# IGCL: radiographs and the graphs of their reports meet in one space; then classifiers learn from few labels.
# Needs: manifest, split, image store, disjoint.json, the backbone or a model of patchib where an encoder starts from it;
# to pretrain also reports and report graphs, else the encoder of another cohort (igcl.pretrained_on). Leaves under
# results/{cohort}/igcl/: graphs, weights, predictions/, tables and figures.


IGCL_SIZE = config["igcl"]["data"]["image_size"]
IGCL_COHORT = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "images": f"results/{{cohort}}/cohort/images_{IGCL_SIZE}.npy",
    "index": f"results/{{cohort}}/cohort/images_{IGCL_SIZE}.parquet",
}
IGCL_PAIRS = IGCL_COHORT | {"reports": "results/{cohort}/cohort/reports.parquet"}
IGCL_INITIALISATIONS = list(config["igcl"]["transfer"]["initialisations"])
IGCL_PREDICTIONS = collect(
    "results/{{cohort}}/igcl/predictions/{initialisation}.parquet", initialisation=IGCL_INITIALISATIONS
)


wildcard_constraints:
    initialisation="|".join(map(re.escape, IGCL_INITIALISATIONS)),


rule igcl_build_graphs:
    input:
        code=library("igcl_build_graphs"),
        graphs="results/{cohort}/reports/graphs.jsonl",
    output:
        graphs="results/{cohort}/igcl/graphs.npz",
        vectors="results/{cohort}/igcl/vectors.npy",
        description="results/{cohort}/igcl/vectors.json",
        quarantine="results/{cohort}/igcl/quarantine_graphs.csv",
    log:
        "results/logs/{cohort}/igcl_build_graphs.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_build_graphs.tsv"
    conda:
        "../envs/vision.yaml"
    threads: cohort_threads
    params:
        settings=lookup(dpath="igcl/graphs", within=config),
        on_bad_input=lookup(dpath="cohorts/{cohort}/reading/on_bad_input", within=config),
        maximum_quarantined=lookup(dpath="cohorts/{cohort}/reading/maximum_quarantined", within=config),
    message:
        "Turning the report graphs of {wildcards.cohort} into arrays"
    script:
        "../scripts/igcl_build_graphs.py"


rule igcl_pretrain:
    input:
        **IGCL_PAIRS,
        code=library("igcl_pretrain"),
        graphs="results/{cohort}/igcl/graphs.npz",
        vectors="results/{cohort}/igcl/vectors.npy",
        description="results/{cohort}/igcl/vectors.json",
        backbone=first_backbone("igcl/image_encoder"),
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        weights="results/{cohort}/igcl/pretrained.safetensors",
        history="results/{cohort}/igcl/history.csv",
        embeddings="results/{cohort}/igcl/embeddings.npz",
    log:
        "results/logs/{cohort}/igcl_pretrain.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_pretrain.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="igcl/data", within=config),
        image=lookup(dpath="igcl/image_encoder", within=config),
        graph=lookup(dpath="igcl/graph_encoder", within=config),
        training=lookup(dpath="igcl/pretraining", within=config),
        resume=lambda wildcards: f"results/{wildcards.cohort}/igcl/resume/pretraining.pt",
    message:
        "Pretraining the encoders of igcl on {wildcards.cohort}"
    script:
        "../scripts/igcl_pretrain.py"


rule igcl_measure_retrieval:
    input:
        **IGCL_PAIRS,
        code=library("igcl_measure_retrieval"),
        embeddings="results/{cohort}/igcl/embeddings.npz",
    output:
        table=report(
            "results/{cohort}/igcl/retrieval.csv",
            caption="../workflow/report/igcl_retrieval.rst",
            category="igcl",
            labels={"cohort": "{cohort}", "shows": "radiographs and report graphs find each other"},
        ),
        table_parquet="results/{cohort}/igcl/retrieval.parquet",
    log:
        "results/logs/{cohort}/igcl_measure_retrieval.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_measure_retrieval.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        settings=lookup(dpath="igcl/evaluation", within=config),
        simulated=is_simulated,
    message:
        "Measuring retrieval of igcl on {wildcards.cohort}"
    script:
        "../scripts/igcl_measure_retrieval.py"


rule igcl_show_gallery:
    input:
        **IGCL_PAIRS,
        code=library("igcl_show_gallery"),
        report_graphs="results/{cohort}/reports/graphs.jsonl",
        embeddings="results/{cohort}/igcl/embeddings.npz",
    output:
        page=patient_picture(
            "results/{cohort}/igcl/gallery.html",
            caption="../workflow/report/igcl_gallery.rst",
            category="igcl",
            labels={"cohort": "{cohort}", "shows": "radiographs, their report graphs, and the nearest ones"},
        ),
    log:
        "results/logs/{cohort}/igcl_show_gallery.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_show_gallery.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        settings=lookup(dpath="igcl/evaluation", within=config),
        simulated=is_simulated,
    message:
        "Showing the report graphs nearest to radiographs of {wildcards.cohort}"
    script:
        "../scripts/igcl_show_gallery.py"


rule igcl_transfer:
    input:
        **IGCL_COHORT,
        code=library("igcl_transfer"),
        weights=igcl_weights,
        towers=igcl_tower_files,
        disjoint="results/{cohort}/cohort/disjoint.json",
    output:
        predictions="results/{cohort}/igcl/predictions/{initialisation}.parquet",
    log:
        "results/logs/{cohort}/igcl_transfer_{initialisation}.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_transfer_{initialisation}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        data=lookup(dpath="igcl/data", within=config),
        image=lookup(dpath="igcl/image_encoder", within=config),
        transfer=igcl_transfer_settings,
        initialisation=igcl_initialisation,
        towers=igcl_towers,
        resume=lambda wildcards: f"results/{wildcards.cohort}/igcl/resume/{wildcards.initialisation}",
    message:
        "Training classifiers of {wildcards.cohort} from {wildcards.initialisation}"
    script:
        "../scripts/igcl_transfer.py"


rule igcl_measure:
    input:
        **IGCL_COHORT,
        code=library("igcl_measure"),
        predictions=IGCL_PREDICTIONS,
    output:
        metrics=report(
            "results/{cohort}/igcl/metrics.csv",
            caption="../workflow/report/igcl_metrics.rst",
            category="igcl",
            labels={"cohort": "{cohort}", "shows": "classifiers by initialisation and share of labels"},
        ),
        metrics_parquet="results/{cohort}/igcl/metrics.parquet",
        differences=report(
            "results/{cohort}/igcl/differences.csv",
            caption="../workflow/report/igcl_differences.rst",
            category="igcl",
            labels={"cohort": "{cohort}", "shows": "paired differences between initialisations"},
        ),
        differences_parquet="results/{cohort}/igcl/differences.parquet",
        summary="results/{cohort}/igcl/summary.json",
    log:
        "results/logs/{cohort}/igcl_measure.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_measure.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        initialisations=IGCL_INITIALISATIONS,
        transfer=lookup(dpath="igcl/transfer", within=config),
        settings=lookup(dpath="igcl/evaluation", within=config),
        simulated=is_simulated,
    message:
        "Measuring the classifiers of igcl on {wildcards.cohort}"
    script:
        "../scripts/igcl_measure.py"


rule igcl_plot_transfer:
    input:
        **IGCL_COHORT,
        code=library("igcl_plot_transfer"),
        metrics="results/{cohort}/igcl/metrics.parquet",
        predictions=IGCL_PREDICTIONS,
        radiologists=config["igcl"]["evaluation"]["radiologists"] or [],
    output:
        fractions=report(
            "results/{cohort}/igcl/label_fractions.png",
            caption="../workflow/report/igcl_label_fractions.rst",
            category="igcl",
            labels={"cohort": "{cohort}", "shows": "AUROC against the share of labels"},
        ),
        fractions_pdf="results/{cohort}/igcl/label_fractions.pdf",
        roc=report(
            "results/{cohort}/igcl/roc.png",
            caption="../workflow/report/igcl_roc.rst",
            category="igcl",
            labels={"cohort": "{cohort}", "shows": "ROC curves"},
        ),
        roc_pdf="results/{cohort}/igcl/roc.pdf",
    log:
        "results/logs/{cohort}/igcl_plot_transfer.log",
    benchmark:
        "results/benchmarks/{cohort}/igcl_plot_transfer.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        initialisations=IGCL_INITIALISATIONS,
        transfer=lookup(dpath="igcl/transfer", within=config),
        settings=lookup(dpath="igcl/evaluation", within=config),
        uses_backbone=igcl_uses_backbone(),
    message:
        "Drawing the classifiers of igcl on {wildcards.cohort}"
    script:
        "../scripts/igcl_plot_transfer.py"
