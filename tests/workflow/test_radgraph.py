"""Published annotations, run as a user would: graphs read from them, and ours scored against two annotators."""

import json

import pandas as pd
import pytest
import yaml
from tests.reports.radgraph_samples import EFFUSION
from tests.workflow.test_bad_input import STUDIES, study, tables, write_tree

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def done(fresh):
    """Run both on a cohort whose studies are all annotated but one; one annotation points at nothing."""
    root = fresh.root / "data/annotated"
    write_tree(root, tables())
    keys = [f"files/p10/p{10000000 + number}/s{study(number)}.txt" for number in range(STUDIES - 1)]
    annotations = {key: json.loads(json.dumps(EFFUSION)) for key in keys}
    annotations[keys[0]]["entities"]["1"]["relations"] = [["modify", "99"]]
    (root / "MIMIC-CXR_graphs.json").write_text(json.dumps(annotations))
    labelers = {name: {"entities": EFFUSION["entities"]} for name in ("labeler_1", "labeler_2")}
    twice = {**{key: EFFUSION[key] for key in ("text", "data_source")}, **labelers}
    (root / "test.json").write_text(json.dumps({keys[1]: twice}))
    cohort = {
        "root": "data/annotated",
        "reports": "data/annotated/reports",
        "radgraph": ["data/annotated/MIMIC-CXR_graphs.json"],
        "image_sizes": [24],
    }
    config = {
        "run": {"cohorts": ["annotated"], "systems": []},
        "cohorts": {"annotated": cohort},
        "acknowledge_dua": ["annotated"],
        "reports": {"extract": {"extractor": "radgraph-json"}, "radgraph_test": "data/annotated/test.json"},
    }
    (fresh.root / "annotated.yaml").write_text(yaml.safe_dump(config))
    targets = ["results/annotated/reports/graphs.jsonl", "results/extraction/radgraph_agreement.csv"]
    run = fresh.snakemake(*targets, "--quiet", "rules", "--configfile", "annotated.yaml")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    return fresh.root / "results"


def test_graphs_and_findings_are_those_of_the_annotators(done):
    graphs = [json.loads(line) for line in (done / "annotated/reports/graphs.jsonl").open()]
    assert len(graphs) == STUDIES
    assert {len(graph["entities"]) for graph in graphs[1:-1]} == {5}
    assert not graphs[-1]["entities"]
    findings = pd.read_parquet(done / "annotated/reports/findings.parquet")
    stated = set(findings[["finding", "status", "side"]].itertuples(index=False, name=None))
    assert {("effusion", "present", "left"), ("pneumothorax", "absent", None)} == {
        (finding, status, side if isinstance(side, str) else None) for finding, status, side in stated
    }


def test_what_points_at_nothing_and_who_was_not_annotated_is_in_the_quarantine(done):
    refused = pd.read_csv(done / "annotated/reports/quarantine_extract.csv", dtype=str)
    assert refused["row"].tolist() == [study(0), study(STUDIES - 1)]
    assert refused["reason"].iloc[1] == "no RadGraph annotation"


def test_our_graphs_are_scored_against_both_annotators(done):
    table = pd.read_csv(done / "extraction/radgraph_agreement.csv")
    assert {"labeler_1", "labeler_2"} <= set(table["annotator"]) | set(table["reference"])
    assert table["f1"].dropna().between(0, 1).all()
    assert set(table["kind"]) == {"entity", "relation"}
