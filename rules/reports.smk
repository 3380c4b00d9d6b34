# From report texts to findings and graphs. Needs: reports.parquet (and the manifest's labels for the scores).
# Leaves under results/{cohort}/reports/: findings.parquet, graphs.jsonl (RadGraph schema), extraction_scores.csv; under
# results/extraction/: how well reports are read, measured against people.


rule reports_extract:
    input:
        code=library("reports_extract"),
        lexicon="scripts/cxrflow/reports/lexicon.yaml",
        reports="results/{cohort}/cohort/reports.parquet",
        annotations=lookup(dpath="cohorts/{cohort}/radgraph", within=config),
    output:
        findings="results/{cohort}/reports/findings.parquet",
        graphs="results/{cohort}/reports/graphs.jsonl",
        quarantine="results/{cohort}/reports/quarantine_extract.csv",
    log:
        "results/logs/{cohort}/reports_extract.log",
    benchmark:
        "results/benchmarks/{cohort}/reports_extract.tsv"
    conda:
        "../envs/nlp.yaml"
    threads: cohort_threads
    params:
        settings=lookup(dpath="reports/extract", within=config),
        on_bad_input=lookup(dpath="cohorts/{cohort}/reading/on_bad_input", within=config),
        maximum_quarantined=lookup(dpath="cohorts/{cohort}/reading/maximum_quarantined", within=config),
    message:
        "Reading findings and graphs from the reports of {wildcards.cohort}"
    script:
        "../scripts/reports_extract.py"


rule reports_score:
    input:
        code=library("reports_score"),
        findings="results/{cohort}/reports/findings.parquet",
        manifest="results/{cohort}/cohort/manifest.parquet",
        reports="results/{cohort}/cohort/reports.parquet",
    output:
        scores=report(
            "results/{cohort}/reports/extraction_scores.csv",
            caption="../workflow/report/extraction_scores.rst",
            category="Reports",
            labels={"cohort": "{cohort}", "shows": "findings read from texts against the labels"},
        ),
        twin="results/{cohort}/reports/extraction_scores.parquet",
    log:
        "results/logs/{cohort}/reports_score.log",
    benchmark:
        "results/benchmarks/{cohort}/reports_score.tsv"
    conda:
        "../envs/data.yaml"
    params:
        settings=lookup(dpath="reports/score", within=config),
        simulated=is_simulated,
    message:
        "Scoring the findings read from the reports of {wildcards.cohort}"
    script:
        "../scripts/reports_score.py"


rule reports_score_index:
    input:
        code=library("reports_score_index"),
        lexicon="scripts/cxrflow/reports/lexicon.yaml",
    output:
        table=report(
            "results/extraction/index_scores.csv",
            caption="../workflow/report/index_scores.rst",
            category="Reports",
            labels={"cohort": "Open-I", "shows": "findings read from texts against the human index"},
        ),
        twin="results/extraction/index_scores.parquet",
    log:
        "results/logs/reports_score_index.log",
    benchmark:
        "results/benchmarks/reports_score_index.tsv"
    conda:
        "../envs/nlp.yaml"
    threads: 1
    params:
        settings=lookup(dpath="reports/extract", within=config),
        resamples=lookup(dpath="reports/score/resamples", within=config),
        seed=lookup(dpath="reports/score/seed", within=config),
    message:
        "Scoring the extraction against the human index of Open-I"
    script:
        "../scripts/reports_score_index.py"


rule reports_plot_index:
    input:
        code=library("reports_plot_index"),
        scores="results/extraction/index_scores.parquet",
    output:
        png=report(
            "results/extraction/index_scores.png",
            caption="../workflow/report/index_scores.rst",
            category="Reports",
            labels={"cohort": "Open-I", "shows": "F1 against the human index"},
        ),
        pdf="results/extraction/index_scores.pdf",
    log:
        "results/logs/reports_plot_index.log",
    benchmark:
        "results/benchmarks/reports_plot_index.tsv"
    conda:
        "../envs/analysis.yaml"
    message:
        "Drawing the scores against the human index of Open-I"
    script:
        "../scripts/reports_plot_index.py"


rule reports_score_radgraph:
    input:
        code=library("reports_score_radgraph"),
        lexicon="scripts/cxrflow/reports/lexicon.yaml",
        annotations=lookup(dpath="reports/radgraph_test", within=config) or [],
    output:
        table="results/extraction/radgraph_agreement.csv",
        twin="results/extraction/radgraph_agreement.parquet",
    log:
        "results/logs/reports_score_radgraph.log",
    benchmark:
        "results/benchmarks/reports_score_radgraph.tsv"
    conda:
        "../envs/nlp.yaml"
    params:
        settings=lookup(dpath="reports/extract", within=config),
        resamples=lookup(dpath="reports/score/resamples", within=config),
        seed=lookup(dpath="reports/score/seed", within=config),
    message:
        "Scoring our graphs against RadGraph's annotators"
    script:
        "../scripts/reports_score_radgraph.py"
