"""A small run from raw files to figures, and what re-runs after a change."""

import hashlib
import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from tests.workflow.conftest import offline

from cxrflow.verification import verify

pytestmark = pytest.mark.workflow

COLUMNS = {
    "cohort/table1.csv": ["cohort", "simulated", "attribute", "level", "split", "count"],
    "reports/extraction_scores.csv": ["cohort", "finding", "precision", "recall", "f1", "n"],
    "neural/metrics.csv": [
        *("cohort", "simulated", "n_patients", "n_seeds", "metric", "value", "low", "high"),
        *("target", "input", "text", "selector", "kept_percent"),
    ],
    "neural/classifier.csv": ["cohort", "simulated", "n_patients", "target", "metric", "value", "low", "high"],
    "neural/compression.csv": ["cohort", "simulated", "kept_percent", "quantity", "value"],
    "neural/pointing.csv": ["cohort", "simulated", "finding", "selector", "chance", "metric", "value", "low", "high"],
    "patchib/metrics.csv": [
        *("cohort", "simulated", "n_patients", "n_seeds", "metric", "value", "low", "high", "chance"),
        *("model", "task", "embedding", "label"),
    ],
    "patchib/efficiency.csv": [
        *("cohort", "simulated", "model", "keep_ratio", "images_per_s", "macs", "parameters", "peak_bytes"),
    ],
    "patchib/grounding.csv": ["cohort", "simulated", "model", "kind", "finding", "metric", "value", "low", "chance"],
    "igcl/metrics.csv": [
        *("cohort", "simulated", "n_patients", "n_seeds", "metric", "value", "low", "high"),
        *("initialisation", "mode", "fraction", "label"),
    ],
    "igcl/retrieval.csv": ["cohort", "simulated", "direction", "metric", "value", "low", "high", "chance"],
}
CLEAR = {
    "metrics.csv": [
        *("n_patients", "n_folds", "n_seeds", "metric", "value", "low", "high", "chance"),
        *("encoder", "aggregator", "task", "fraction", "label"),
    ],
    "differences.csv": ["encoder", "against", "metric", "value", "low", "high", "p", "p_holm"],
    "compute.csv": ["encoder", "macs", "parameters", "images_per_s"],
    "lesion_rows.csv": ["attribute", "level", "split", "count"],
}
LEADERBOARD = [
    *("n_patients", "n_seeds", "system", "trained_on", "encoder", "task", "label"),
    *("metric", "value", "low", "high", "chance"),
]
CLAIMS = ["system", "claim", "published", "metric", "value", "low", "high", "verdict"]


PRUNECXR = {
    "metrics.csv": ["class", "sparsity", "method", "n_patients", "n_seeds", "metric", "value", "low", "high"],
    "forgettability.csv": ["class", "first_drop", "final_change", "log_frequency", "n_seeds"],
    "pie.csv": ["image_id", "agreement", "is_pie"],
    "pie_ratios.csv": ["group", "level", "ratio", "low", "high"],
    "storage.csv": ["method", "sparsity", "quantity", "value"],
}


def results(copy):
    return copy.root / "results/tiny"


TABLES = {f"tiny/{table}": columns for table, columns in COLUMNS.items()}
TABLES |= {f"tiny-nih/prunecxr/{table}": columns for table, columns in PRUNECXR.items()}
TABLES |= {f"tiny-slices/clear/{table}": columns for table, columns in CLEAR.items()}
TABLES |= {f"{cohort}/summary/leaderboard.csv": LEADERBOARD for cohort in ("tiny", "tiny-nih", "tiny-slices")}
TABLES |= {f"{place}summary/claims.csv": CLAIMS for place in ("", "tiny/", "tiny-nih/", "tiny-slices/")}


@pytest.mark.parametrize("table", TABLES)
def test_results_tables_have_their_stable_columns_and_a_parquet_twin(finished, table):
    file = finished.root / "results" / table
    csv = pd.read_csv(file)
    assert {*TABLES[table], "cohort", "simulated"} <= set(csv.columns)
    assert len(csv) > 0
    twin = pd.read_parquet(file.with_suffix(".parquet"))
    assert list(twin.columns) == list(csv.columns)
    assert len(twin) == len(csv)


def test_values_lie_inside_their_intervals_and_simulated_images_are_named(finished):
    for table in ("neural/metrics.csv", "neural/pointing.csv"):
        csv = pd.read_csv(results(finished) / table)
        assert csv["simulated"].all()
        known = csv.dropna(subset=["value", "low", "high"])
        assert (known["low"] <= known["high"]).all()


def test_every_result_is_in_the_record_of_a_job(finished):
    found = verify(finished.root / "results")
    assert (found.altered, found.missing, found.unrecorded) == ([], [], [])
    assert found.checked > 500


def test_no_rule_opens_a_connection(finished):
    guarded = (finished.root / "offline.processes").read_text().split()
    benchmarks = {file.name.split(".")[0] for file in (finished.root / "results/benchmarks").rglob("*.tsv")}
    assert len(guarded) > len(benchmarks) > 30, "the guard was not there"
    tried = finished.root / "offline.tried"
    assert not tried.exists() or tried.read_text() == ""


@pytest.mark.parametrize(
    "attempt", ["socket.create_connection(('192.0.2.1', 9), 1)", "socket.getaddrinfo('example.org', 80)"]
)
def test_a_process_that_opens_a_connection_is_stopped_and_noted(tmp_path, attempt):
    environment = {**os.environ, **offline(tmp_path)}
    code = f"import socket; {attempt}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "no network at run time" in done.stderr
    assert (tmp_path / "offline.tried").read_text()


def test_no_patient_is_in_two_splits(finished):
    split = pd.read_parquet(results(finished) / "cohort/split.parquet")
    assert split.groupby("patient_id")["split"].nunique().max() == 1
    assert json.loads((results(finished) / "cohort/disjoint.json").read_text())["disjoint"] is True


def test_the_merged_configuration_is_kept_and_is_itself_valid(finished):
    merged = yaml.safe_load((finished.root / "results/config.yaml").read_text())
    assert merged["neural"]["gnn"]["hidden"] == 16
    assert merged["neural"]["gnn"]["batch_size"] > 0  # a default, written out
    done = finished.snakemake("--dry-run", "--configfile", "results/config.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_second_run_does_nothing(finished):
    assert finished.planned() == {}


def test_deleting_an_intermediate_remakes_only_what_hangs_on_it(finished):
    ranking = results(finished) / "cohort/disjoint.json"
    kept = ranking.read_bytes()
    ranking.unlink()
    try:
        planned = set(finished.planned())
    finally:
        ranking.write_bytes(kept)
    assert "cohort_assert_disjoint" in planned
    assert not planned & {"cohort_simulate", "cohort_manifest", "cohort_split", "cohort_image_store", "reports_extract"}


def edited(copy, module):
    """Return the rules that are planned after the content of a library module changed."""
    file = copy.root / "scripts/cxrflow" / module
    content = file.read_text()
    file.write_text(content + "\n# edited\n")
    try:
        return set(copy.planned()) - {"all"}
    finally:
        file.write_text(content)


def test_editing_a_module_reruns_exactly_the_rules_that_import_it(finished):
    assert edited(finished, "cohort/table1.py") == {"cohort_table1"}
    assert edited(finished, "neural/gallery.py") == {"neural_plot_gallery"}
    assert edited(finished, "patchib/mask_tables.py") == {
        *("patchib_measure", "patchib_plot_ablation", "patchib_plot_shares", "patchib_plot_removal"),
        *("summary_leaderboard", "summary_claims", "summary_pointing"),
    }
    assert edited(finished, "last_words.py") == set()
    assert edited(finished, "prunecxr/storage.py") == {
        "prunecxr_storage",
        "forgetting_plot",  # it draws weights
        "summary_compression",
    }
    assert edited(finished, "forgetting/side_by_side.py") == {"forgetting_compare"}


def test_a_configuration_key_reruns_only_the_rules_that_use_it(finished):
    (finished.root / "more.yaml").write_text("neural: {gallery: {percentiles: [2.3, 25]}}")
    changed = set(finished.planned("more.yaml")) - {"all", "write_config"}
    assert changed == {"neural_plot_gallery"}


def test_the_same_configuration_gives_the_same_bytes(finished, finished_again):
    def digests(copy):
        made = copy.root / "results"
        folders = [made / name for name in ("tiny", "tiny-nih", "tiny-slices", "forgetting", "summary")]
        kinds = {".csv", ".parquet", ".npy", ".jsonl", ".safetensors"}
        tables = sorted(file for folder in folders for file in folder.rglob("*") if file.suffix in kinds)
        seconds = ("efficiency", "compute", "leaderboard", "neural_cost", "prunecxr_cost", "igcl_cost")
        tables = [file for file in tables if file.stem not in seconds]
        return {str(file.relative_to(made)): hashlib.sha256(file.read_bytes()).hexdigest() for file in tables}

    first, second = digests(finished), digests(finished_again)  # other tests may have asked the first for more
    assert len(second) > 60
    assert {name: first.get(name) for name in second} == second


def test_simulated_radiographs_are_read_by_the_adapter_of_the_real_data(finished):
    raw = results(finished) / "raw/mimic-cxr-jpg"
    manifest = pd.read_parquet(results(finished) / "cohort/manifest.parquet")
    assert len(manifest) >= 90
    assert all((raw / path).is_file() for path in manifest["path"])
    boxes = manifest["boxes"].map(lambda found: found is not None and len(found) > 0)
    assert boxes.any()
