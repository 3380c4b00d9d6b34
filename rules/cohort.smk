# From raw files to canonical tables and an image store. Needs: a raw tree (or the settings of a simulated one).
# Leaves under results/{cohort}/cohort/: data_use.json (credentialed data), manifest, reports, split, disjoint.json, image
# stores, duplicates, Table 1, label co-occurrence, contact sheet; under results/anatomy/ the chests of simulated cohorts.

# Whatever waits for a machine waits for these.
FIRST = 2


rule write_config:
    input:
        code=library("write_config"),
    output:
        "results/config.yaml",
    log:
        "results/logs/write_config.log",
    benchmark:
        "results/benchmarks/write_config.tsv"
    conda:
        "../envs/data.yaml"
    params:
        config=config,
    message:
        "Writing down the merged configuration"
    script:
        "../scripts/write_config.py"


rule cohort_anatomy:
    input:
        code=library("cohort_anatomy"),
    output:
        anatomy="results/anatomy/{anatomy}.npz",
    log:
        "results/logs/cohort_anatomy_{anatomy}.log",
    benchmark:
        "results/benchmarks/cohort_anatomy_{anatomy}.tsv"
    priority: FIRST
    conda:
        "../envs/simulation.yaml"
    message:
        "Making the chest {wildcards.anatomy}"
    script:
        "../scripts/cohort_anatomy.py"


rule cohort_simulate:
    input:
        code=library("cohort_simulate"),
        anatomy=simulated_chest,
    output:
        sums="results/{cohort}/raw/{layout}/SHA256SUMS.txt",
    log:
        "results/logs/{cohort}/cohort_simulate_{layout}.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_simulate_{layout}.tsv"
    priority: FIRST
    conda:
        "../envs/simulation.yaml"
    threads: cohort_threads
    params:
        root=lambda wildcards: f"results/{wildcards.cohort}/raw",
        settings=lookup(dpath="cohorts/{cohort}/simulate", within=config),
    message:
        "Simulating the images of {wildcards.cohort}"
    script:
        "../scripts/cohort_simulate.py"


rule cohort_acknowledge:
    input:
        code=library("cohort_acknowledge"),
    output:
        data_use="results/{cohort}/cohort/data_use.json",
    log:
        "results/logs/{cohort}/cohort_acknowledge.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_acknowledge.tsv"
    conda:
        "../envs/data.yaml"
    params:
        format=lookup(dpath="cohorts/{cohort}/format", within=config),
        acknowledged=lambda wildcards: wildcards.cohort in config["acknowledge_dua"],
    message:
        "Asking whether the data use agreement of {wildcards.cohort} is acknowledged"
    script:
        "../scripts/cohort_acknowledge.py"


rule cohort_manifest:
    input:
        code=library("cohort_manifest"),
        data_use=data_use,
        sections="scripts/cxrflow/cohort/mimic_sections.yaml",
        raw=raw_tables,
    output:
        manifest="results/{cohort}/cohort/manifest.parquet",
        reports="results/{cohort}/cohort/reports.parquet",
        quarantine="results/{cohort}/cohort/quarantine_manifest.csv",
    log:
        "results/logs/{cohort}/cohort_manifest.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_manifest.tsv"
    priority: FIRST
    conda:
        "../envs/data.yaml"
    threads: cohort_threads
    params:
        format=lookup(dpath="cohorts/{cohort}/format", within=config),
        source=raw_source,
        settings=lookup(dpath="cohorts/{cohort}/reading", within=config),
    message:
        "Reading the raw tables and reports of {wildcards.cohort}"
    script:
        "../scripts/cohort_manifest.py"


rule cohort_split:
    input:
        code=library("cohort_split"),
        manifest="results/{cohort}/cohort/manifest.parquet",
    output:
        split="results/{cohort}/cohort/split.parquet",
    log:
        "results/logs/{cohort}/cohort_split.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_split.tsv"
    priority: FIRST
    conda:
        "../envs/data.yaml"
    params:
        shares=lookup(dpath="cohorts/{cohort}/split_shares", within=config),
        seed=lookup(dpath="cohorts/{cohort}/split_seed", within=config),
        valid=lookup(dpath="cohorts/{cohort}/official_valid", within=config),
    message:
        "Splitting the patients of {wildcards.cohort}"
    script:
        "../scripts/cohort_split.py"


rule cohort_assert_disjoint:
    input:
        code=library("cohort_assert_disjoint"),
        split="results/{cohort}/cohort/split.parquet",
    output:
        disjoint="results/{cohort}/cohort/disjoint.json",
    log:
        "results/logs/{cohort}/cohort_assert_disjoint.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_assert_disjoint.tsv"
    priority: FIRST
    conda:
        "../envs/data.yaml"
    message:
        "Asserting that no patient of {wildcards.cohort} is in two splits"
    script:
        "../scripts/cohort_assert_disjoint.py"


rule cohort_image_store:
    input:
        code=library("cohort_image_store"),
        manifest="results/{cohort}/cohort/manifest.parquet",
    output:
        images="results/{cohort}/cohort/images_{size}.npy",
        index="results/{cohort}/cohort/images_{size}.parquet",
        checksum="results/{cohort}/cohort/images_{size}.sha256",
        quarantine="results/{cohort}/cohort/quarantine_images_{size}.csv",
    log:
        "results/logs/{cohort}/cohort_image_store_{size}.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_image_store_{size}.tsv"
    priority: FIRST
    conda:
        "../envs/data.yaml"
    threads: cohort_threads
    params:
        root=image_root,
        window=shown_window,
        on_bad_input=lookup(dpath="cohorts/{cohort}/reading/on_bad_input", within=config),
        maximum_quarantined=lookup(dpath="cohorts/{cohort}/reading/maximum_quarantined", within=config),
    message:
        "Decoding the images of {wildcards.cohort} to {wildcards.size} px"
    script:
        "../scripts/cohort_image_store.py"


rule cohort_duplicates:
    input:
        code=library("cohort_duplicates"),
        index=smallest_index,
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
    output:
        table="results/{cohort}/cohort/duplicates.csv",
        twin="results/{cohort}/cohort/duplicates.parquet",
    log:
        "results/logs/{cohort}/cohort_duplicates.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_duplicates.tsv"
    conda:
        "../envs/data.yaml"
    message:
        "Looking for images of {wildcards.cohort} that are there twice"
    script:
        "../scripts/cohort_duplicates.py"


rule cohort_quarantine:
    input:
        code=library("cohort_quarantine"),
        parts=quarantine_parts,
    output:
        table="results/quarantine/{cohort}.csv",
    log:
        "results/logs/{cohort}/cohort_quarantine.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_quarantine.tsv"
    conda:
        "../envs/data.yaml"
    params:
        hides_ids=lambda wildcards: is_credentialed(config["cohorts"][wildcards.cohort]),
    message:
        "Collecting what was refused of {wildcards.cohort}"
    script:
        "../scripts/cohort_quarantine.py"


rule cohort_table1:
    input:
        code=library("cohort_table1"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        split="results/{cohort}/cohort/split.parquet",
    output:
        table=report(
            "results/{cohort}/cohort/table1.csv",
            caption="../workflow/report/table1.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "shows": "patients, studies, images and labels by split"},
        ),
        twin="results/{cohort}/cohort/table1.parquet",
    log:
        "results/logs/{cohort}/cohort_table1.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_table1.tsv"
    conda:
        "../envs/data.yaml"
    params:
        simulated=is_simulated,
    message:
        "Counting who is in each split of {wildcards.cohort}"
    script:
        "../scripts/cohort_table1.py"


rule cohort_cooccurrence:
    input:
        code=library("cohort_cooccurrence"),
        manifest="results/{cohort}/cohort/manifest.parquet",
    output:
        table="results/{cohort}/cohort/cooccurrence.csv",
        twin="results/{cohort}/cohort/cooccurrence.parquet",
        figure=report(
            "results/{cohort}/cohort/cooccurrence.png",
            caption="../workflow/report/cooccurrence.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "shows": "labels that occur together"},
        ),
    log:
        "results/logs/{cohort}/cohort_cooccurrence.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_cooccurrence.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        simulated=is_simulated,
    message:
        "Counting which labels of {wildcards.cohort} occur together"
    script:
        "../scripts/cohort_cooccurrence.py"


rule cohort_contact_sheet:
    input:
        code=library("cohort_contact_sheet"),
        manifest="results/{cohort}/cohort/manifest.parquet",
        index=smallest_index,
    output:
        sheet=patient_picture(
            "results/{cohort}/cohort/contact_sheet.png",
            caption="../workflow/report/contact_sheet.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "shows": "radiographs of each finding"},
        ),
    log:
        "results/logs/{cohort}/cohort_contact_sheet.log",
    benchmark:
        "results/benchmarks/{cohort}/cohort_contact_sheet.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        root=image_root,
        window=shown_window,
        simulated=is_simulated,
    message:
        "Drawing radiographs of each finding of {wildcards.cohort}"
    script:
        "../scripts/cohort_contact_sheet.py"
