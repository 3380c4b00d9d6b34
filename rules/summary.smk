# SUMMARY: all systems of a run side by side: encoders on the same patients, compression, attention, the papers' claims.
# Needs: the weights, features and tables of the systems (summary_files.smk tells which). Leaves tables and figures under
# results/{cohort}/summary/ and results/summary/.


wildcard_constraints:
    source="|".join(map(re.escape, config["cohorts"])),
    system="|".join(SUMMARY_EMBEDDED),


rule summary_embed:
    input:
        code=library("summary_embed"),
        images=summary_store("npy"),
        index=summary_store("parquet"),
        weights=summary_weights,
    output:
        features="results/{cohort}/summary/features/{source}/{system}.npz",
        cost="results/{cohort}/summary/features/{source}/{system}_cost.parquet",
    log:
        "results/logs/{cohort}/summary_embed_{source}_{system}.log",
    benchmark:
        "results/benchmarks/{cohort}/summary_embed_{source}_{system}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        trained=lambda wildcards: summary_trained(wildcards.system, wildcards.source),
        about=summary_about,
        settings=lookup(dpath="summary", within=config),
    message:
        "Running the encoders that {wildcards.system} trained on {wildcards.source} over {wildcards.cohort}"
    script:
        "../scripts/summary_embed.py"


rule summary_leaderboard:
    input:
        code=library("summary_leaderboard"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
        disjoint="results/{cohort}/cohort/disjoint.json",
        images=largest_store("npy"),
        index=largest_store("parquet"),
        compared=summary_files,
    output:
        leaderboard=report(
            "results/{cohort}/summary/leaderboard.csv",
            caption="../workflow/report/summary_leaderboard.rst",
            category="Comparison",
            labels={"cohort": "{cohort}", "shows": "every encoder: worth and cost"},
        ),
        leaderboard_parquet="results/{cohort}/summary/leaderboard.parquet",
        differences=report(
            "results/{cohort}/summary/differences.csv",
            caption="../workflow/report/summary_differences.rst",
            category="Comparison",
            labels={"cohort": "{cohort}", "shows": "paired differences between encoders"},
        ),
        differences_parquet="results/{cohort}/summary/differences.parquet",
        png=report(
            "results/{cohort}/summary/leaderboard.png",
            caption="../workflow/report/summary_leaderboard_figure.rst",
            category="Comparison",
            labels={"cohort": "{cohort}", "shows": "encoders by what a probe reads"},
        ),
        pdf="results/{cohort}/summary/leaderboard.pdf",
    log:
        "results/logs/{cohort}/summary_leaderboard.log",
    benchmark:
        "results/benchmarks/{cohort}/summary_leaderboard.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        compared=summary_compared,
        settings=lookup(dpath="summary", within=config),
        images=image_kind,
        simulated=is_simulated,
    message:
        "Comparing all encoders on {wildcards.cohort}"
    script:
        "../scripts/summary_leaderboard.py"


rule summary_claims:
    input:
        code=library("summary_claims"),
        tables=summary_claim_tables(),
    output:
        all=report(
            "results/summary/claims.csv",
            caption="../workflow/report/summary_claims.rst",
            category="Comparison",
            labels={"cohort": "all", "shows": "what the papers claim, and what was measured"},
        ),
        all_parquet="results/summary/claims.parquet",
        tables=collect("results/{cohort}/summary/claims.csv", cohort=config["run"]["cohorts"]),
        parquets=collect("results/{cohort}/summary/claims.parquet", cohort=config["run"]["cohorts"]),
    log:
        "results/logs/summary_claims.log",
    benchmark:
        "results/benchmarks/summary_claims.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        cohorts=summary_claim_cohorts(),
    message:
        "Holding the papers' claims against what was measured"
    script:
        "../scripts/summary_claims.py"


rule summary_compression:
    input:
        code=library("summary_compression"),
        overall=collect("results/{place}/overall.parquet", place=forgetting_places()),
        stored=[file for file in summary_stored() if file],
    output:
        table=report(
            "results/summary/compression.csv",
            caption="../workflow/report/summary_compression.rst",
            category="Comparison",
            labels={"cohort": "all", "shows": "AUROC by what is kept"},
        ),
        table_parquet="results/summary/compression.parquet",
        png=report(
            "results/summary/compression.png",
            caption="../workflow/report/summary_compression_figure.rst",
            category="Comparison",
            labels={"cohort": "all", "shows": "what each kind of compression costs"},
        ),
        pdf="results/summary/compression.pdf",
    log:
        "results/logs/summary_compression.log",
    benchmark:
        "results/benchmarks/summary_compression.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        systems=forgetting_about("system"),
        axes=forgetting_about("axis"),
        stored=summary_stored(),
    message:
        "Putting AUROC against what each system keeps"
    script:
        "../scripts/summary_compression.py"


rule summary_forgotten:
    input:
        code=library("summary_forgotten"),
        forgettability=collect("results/{place}/forgettability.parquet", place=forgetting_places()),
        pie=collect("results/{place}/pie.parquet", place=forgetting_places()),
    output:
        table=report(
            "results/summary/forgotten.csv",
            caption="../workflow/report/summary_forgotten.rst",
            category="Comparison",
            labels={"cohort": "all", "shows": "whether the same diseases and patients are forgotten"},
        ),
        table_parquet="results/summary/forgotten.parquet",
    log:
        "results/logs/summary_forgotten.log",
    benchmark:
        "results/benchmarks/summary_forgotten.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        systems=forgetting_about("system"),
        axes=forgetting_about("axis"),
        settings=[config[system]["forgetting"] for system in forgetting_about("system")[:1]],
    message:
        "Telling whether two kinds of compression forget the same"
    script:
        "../scripts/summary_forgotten.py"


rule summary_pointing:
    input:
        code=library("summary_pointing"),
        neural=collect("results/{cohort}/neural/pointing.parquet", cohort=running("neural")),
        patchib=collect("results/{cohort}/patchib/grounding.parquet", cohort=running("patchib")),
        attention=[file for about in summary_attention() for file in about["attention"]],
        slices=[about[name] for about in summary_attention() for name in CLEAR_COHORT],
    output:
        table=report(
            "results/summary/pointing.csv",
            caption="../workflow/report/summary_pointing.rst",
            category="Comparison",
            labels={"cohort": "all", "shows": "attention against known boxes"},
        ),
        table_parquet="results/summary/pointing.parquet",
        png=report(
            "results/summary/pointing.png",
            caption="../workflow/report/summary_pointing_figure.rst",
            category="Comparison",
            labels={"cohort": "all", "shows": "who looks where the finding is"},
        ),
        pdf="results/summary/pointing.pdf",
    log:
        "results/logs/summary_pointing.log",
    benchmark:
        "results/benchmarks/summary_pointing.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        sliced=summary_attention(),
        task=CLEAR_TASK,
        measuring=lookup(dpath="clear/downstream/measuring", within=config),
        shown=summary_looks(),
    message:
        "Putting the attention of all systems side by side"
    script:
        "../scripts/summary_pointing.py"
