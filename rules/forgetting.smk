# What a compressed model forgets: one analysis for every system whose predictions lie along a compression axis.
# Needs: predictions of each seed at every level, manifest, split. Leaves tables, figures and the page of exemplars under
# results/{cohort}/{room}/, and all systems side by side under results/forgetting/.
#
# `room` is prunecxr (the axis: weights set to zero), neural/forgetting or patchib/forgetting (patches taken away).


FORGETTING_COHORT = {
    "manifest": "results/{cohort}/cohort/manifest.parquet",
    "split": "results/{cohort}/cohort/split.parquet",
    "images": forgetting_store("npy"),
    "index": forgetting_store("parquet"),
    "reports": forgetting_reports,
}


FORGETTING_LARGEST = {"images": largest_store("npy"), "index": largest_store("parquet")}


wildcard_constraints:
    room="|".join(FORGETTING),


rule forgetting_measure:
    input:
        **FORGETTING_COHORT,
        code=library("forgetting_measure"),
        predictions=lambda wildcards: forgetting_predictions(wildcards, wildcards.seed),
        validation=forgetting_validation,
    output:
        measures="results/{cohort}/{room}/measures/seed_{seed}.npz",
    log:
        "results/logs/{cohort}/{room}/forgetting_measure_{seed}.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_measure_{seed}.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        ways=forgetting_of("ways"),
        settings=forgetting_of("forgetting"),
        uncertain=forgetting_of("uncertain"),
    message:
        "Measuring {wildcards.room} on {wildcards.cohort}, seed {wildcards.seed}"
    script:
        "../scripts/forgetting_measure.py"


rule forgetting_tables:
    input:
        **FORGETTING_COHORT,
        code=library("forgetting_tables"),
        predictions=lambda wildcards: forgetting_all_predictions(wildcards)[:1],
        measures=forgetting_measures,
    output:
        metrics=report(
            "results/{cohort}/{room}/metrics.csv",
            caption="../workflow/report/forgetting_metrics.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "AUC and average precision by class and sparsity"},
        ),
        metrics_parquet="results/{cohort}/{room}/metrics.parquet",
        overall=report(
            "results/{cohort}/{room}/overall.csv",
            caption="../workflow/report/forgetting_overall.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "tests of the mean over classes"},
        ),
        overall_parquet="results/{cohort}/{room}/overall.parquet",
        curves="results/{cohort}/{room}/curves.csv",
        curves_parquet="results/{cohort}/{room}/curves.parquet",
        forgettability=report(
            "results/{cohort}/{room}/forgettability.csv",
            caption="../workflow/report/forgetting_forgettability.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "when each class is forgotten"},
        ),
        forgettability_parquet="results/{cohort}/{room}/forgettability.parquet",
        correlations=report(
            "results/{cohort}/{room}/correlations.csv",
            caption="../workflow/report/forgetting_correlations.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "forgetting against frequency and co-occurrence"},
        ),
        correlations_parquet="results/{cohort}/{room}/correlations.parquet",
        dissimilarity="results/{cohort}/{room}/dissimilarity.csv",
        dissimilarity_parquet="results/{cohort}/{room}/dissimilarity.parquet",
        joint_model=report(
            "results/{cohort}/{room}/joint_model.csv",
            caption="../workflow/report/forgetting_joint_model.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "distance of curves by frequency and overlap"},
        ),
        joint_model_parquet="results/{cohort}/{room}/joint_model.parquet",
        legacy="results/{cohort}/{room}/legacy.csv",
        legacy_parquet="results/{cohort}/{room}/legacy.parquet",
    log:
        "results/logs/{cohort}/{room}/forgetting_tables.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_tables.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        settings=forgetting_of("forgetting"),
        uncertain=forgetting_of("uncertain"),
        simulated=is_simulated,
    message:
        "Telling which classes {wildcards.room} forgets on {wildcards.cohort}"
    script:
        "../scripts/forgetting_tables.py"


rule forgetting_exemplars:
    input:
        **FORGETTING_COHORT,
        code=library("forgetting_exemplars"),
        predictions=forgetting_all_predictions,
    output:
        pie="results/{cohort}/{room}/pie.csv",
        pie_parquet="results/{cohort}/{room}/pie.parquet",
        ratios=report(
            "results/{cohort}/{room}/pie_ratios.csv",
            caption="../workflow/report/forgetting_pie_ratios.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "what exemplars show more often than other images"},
        ),
        ratios_parquet="results/{cohort}/{room}/pie_ratios.parquet",
        stability=report(
            "results/{cohort}/{room}/pie_stability.csv",
            caption="../workflow/report/forgetting_pie_stability.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "how reliable the set of exemplars is"},
        ),
        stability_parquet="results/{cohort}/{room}/pie_stability.parquet",
        sensitivity="results/{cohort}/{room}/pie_sensitivity.csv",
        sensitivity_parquet="results/{cohort}/{room}/pie_sensitivity.parquet",
    log:
        "results/logs/{cohort}/{room}/forgetting_exemplars.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_exemplars.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        model=lambda wildcards: forgetting_of("ways")(wildcards)[0],
        exemplars=forgetting_of("exemplars"),
        forgetting=forgetting_of("forgetting"),
        uncertain=forgetting_of("uncertain"),
        simulated=is_simulated,
    message:
        "Finding the exemplars of {wildcards.room} on {wildcards.cohort}"
    script:
        "../scripts/forgetting_exemplars.py"


rule forgetting_plot:
    input:
        code=library("forgetting_plot"),
        metrics="results/{cohort}/{room}/metrics.parquet",
        overall="results/{cohort}/{room}/overall.parquet",
        curves="results/{cohort}/{room}/curves.parquet",
        forgettability="results/{cohort}/{room}/forgettability.parquet",
        correlations="results/{cohort}/{room}/correlations.parquet",
        dissimilarity="results/{cohort}/{room}/dissimilarity.parquet",
        weights=forgetting_weights,
    output:
        overall=report(
            "results/{cohort}/{room}/overall.png",
            caption="../workflow/report/forgetting_overall_figure.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "mean over classes against sparsity"},
        ),
        overall_pdf="results/{cohort}/{room}/overall.pdf",
        curves=report(
            "results/{cohort}/{room}/curves.png",
            caption="../workflow/report/forgetting_curves_figure.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "forgettability curves"},
        ),
        curves_pdf="results/{cohort}/{room}/curves.pdf",
        correlations=report(
            "results/{cohort}/{room}/correlations.png",
            caption="../workflow/report/forgetting_correlations_figure.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "forgetting against frequency"},
        ),
        correlations_pdf="results/{cohort}/{room}/correlations.pdf",
        dissimilarity=report(
            "results/{cohort}/{room}/dissimilarity.png",
            caption="../workflow/report/forgetting_dissimilarity_figure.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "distance of curves against frequency and overlap"},
        ),
        dissimilarity_pdf="results/{cohort}/{room}/dissimilarity.pdf",
    log:
        "results/logs/{cohort}/{room}/forgetting_plot.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_plot.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        axis=forgetting_of("axis"),
        methods=forgetting_of("names"),
    message:
        "Drawing what {wildcards.room} forgets on {wildcards.cohort}"
    script:
        "../scripts/forgetting_plot.py"


rule forgetting_plot_exemplars:
    input:
        code=library("forgetting_plot_exemplars"),
        ratios="results/{cohort}/{room}/pie_ratios.parquet",
        stability="results/{cohort}/{room}/pie_stability.parquet",
        sensitivity="results/{cohort}/{room}/pie_sensitivity.parquet",
    output:
        png=report(
            "results/{cohort}/{room}/exemplars.png",
            caption="../workflow/report/forgetting_exemplars_figure.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "pruning-identified exemplars"},
        ),
        pdf="results/{cohort}/{room}/exemplars.pdf",
    log:
        "results/logs/{cohort}/{room}/forgetting_plot_exemplars.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_plot_exemplars.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        legacy=lambda wildcards: forgetting_of("forgetting")(wildcards)["legacy"],
    message:
        "Drawing the exemplars of {wildcards.room} on {wildcards.cohort}"
    script:
        "../scripts/forgetting_plot_exemplars.py"


rule forgetting_plot_legacy:
    input:
        code=library("forgetting_plot_legacy"),
        dissimilarity="results/{cohort}/{room}/dissimilarity.parquet",
        legacy="results/{cohort}/{room}/legacy.parquet",
        ratios="results/{cohort}/{room}/pie_ratios.parquet",
    output:
        png=report(
            "results/{cohort}/{room}/legacy.png",
            caption="../workflow/report/forgetting_legacy_figure.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "defined and released formulas side by side"},
        ),
        pdf="results/{cohort}/{room}/legacy.pdf",
    log:
        "results/logs/{cohort}/{room}/forgetting_plot_legacy.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_plot_legacy.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        axis=forgetting_of("axis"),
        methods=forgetting_of("names"),
    message:
        "Drawing both formulas of {wildcards.room} on {wildcards.cohort}"
    script:
        "../scripts/forgetting_plot_legacy.py"


rule forgetting_browse:
    input:
        **FORGETTING_COHORT | FORGETTING_LARGEST,
        code=library("forgetting_browse"),
        template="scripts/cxrflow/forgetting/browser.html",
        pie="results/{cohort}/{room}/pie.parquet",
        predictions=forgetting_all_predictions,
    output:
        page=patient_picture(
            "results/{cohort}/{room}/exemplars.html",
            caption="../workflow/report/forgetting_browser.rst",
            category="{room}",
            labels={"cohort": "{cohort}", "shows": "a page of the exemplars to sort and filter"},
        ),
    log:
        "results/logs/{cohort}/{room}/forgetting_browse.log",
    benchmark:
        "results/benchmarks/{cohort}/{room}/forgetting_browse.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        model=lambda wildcards: forgetting_of("ways")(wildcards)[0],
        exemplars=forgetting_of("exemplars"),
        uncertain=forgetting_of("uncertain"),
        axis=forgetting_of("axis"),
    message:
        "Making a page of the exemplars of {wildcards.room} on {wildcards.cohort}"
    script:
        "../scripts/forgetting_browse.py"


rule forgetting_compare:
    input:
        code=library("forgetting_compare"),
        curves=collect("results/{place}/curves.parquet", place=forgetting_places()),
        forgettability=collect("results/{place}/forgettability.parquet", place=forgetting_places()),
    output:
        table="results/forgetting/side_by_side.csv",
        table_parquet="results/forgetting/side_by_side.parquet",
        png=report(
            "results/forgetting/side_by_side.png",
            caption="../workflow/report/forgetting_compare.rst",
            category="Comparison",
            labels={"shows": "what each kind of compression forgets first"},
        ),
        pdf="results/forgetting/side_by_side.pdf",
    log:
        "results/logs/forgetting_compare.log",
    benchmark:
        "results/benchmarks/forgetting_compare.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        systems=forgetting_about("system"),
        axes=forgetting_about("axis"),
    message:
        "Comparing what each kind of compression forgets"
    script:
        "../scripts/forgetting_compare.py"
