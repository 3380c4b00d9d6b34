# From report texts to findings and graphs. Needs: reports.parquet (and the manifest's labels for the scores).
# Leaves under results/{cohort}/reports/: findings.parquet, graphs.jsonl (RadGraph schema), extraction_scores.csv.


rule reports_extract:
    input:
        code=library("reports_extract"),
        lexicon="scripts/cxrflow/reports/lexicon.yaml",
        reports="results/{cohort}/cohort/reports.parquet",
    output:
        findings="results/{cohort}/reports/findings.parquet",
        graphs="results/{cohort}/reports/graphs.jsonl",
    log:
        "results/logs/{cohort}/reports_extract.log",
    benchmark:
        "results/benchmarks/{cohort}/reports_extract.tsv"
    conda:
        "../envs/nlp.yaml"
    threads: 8
    params:
        settings=lookup(dpath="reports/extract", within=config),
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
