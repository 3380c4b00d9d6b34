import json
import re

import pytest
import yaml

from cxrflow.config import parse_config, plain_config, schema_text
from cxrflow.errors import UserError

REAL = {"root": "/data/jpg", "reports": "/data/reports"}


NIH = {"format": "nih", "root": "/data/nih"}


def complaint(raw) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(raw)
    return str(caught.value)


def config(**changes):
    return {"cohorts": {"demo-mimic": {"simulate": {}}}, **changes}


def test_the_committed_schema_is_the_models(root):
    assert (root / "workflow/schemas/config.schema.json").read_text() == schema_text(), "run `make schema`"


def test_the_demo_configuration_is_valid_and_its_defaults_are_stable_under_a_round_trip(root):
    plain = plain_config(parse_config(yaml.safe_load((root / "config.yaml").read_text())))
    assert plain_config(parse_config(json.loads(json.dumps(plain)))) == plain


def test_every_key_of_the_schema_has_a_description():
    def undescribed(node, path):
        for key, value in node.get("properties", {}).items():
            inherited = schema["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            if "description" not in value and "description" not in inherited:
                yield f"{path}.{key}"

    schema = json.loads(schema_text())
    models = {"": schema, **schema["$defs"]}
    assert [name for title, node in models.items() for name in undescribed(node, title)] == []


def test_an_unknown_key_is_named_with_what_is_allowed_and_what_was_probably_meant():
    message = complaint(config(neural={"gnn": {"epoch": 3}}))
    assert "neural.gnn.epoch: unknown key. Did you mean 'epochs'?" in message
    assert "learning_rate" in message
    assert re.search(r"\nHint: .+", message)


def test_an_unknown_key_of_a_cohort_names_the_cohort():
    assert "cohorts.mimic.rooot: unknown key. Did you mean 'root'?" in complaint(
        {"run": {"cohorts": ["mimic"]}, "cohorts": {"mimic": {**REAL, "rooot": "x"}}}
    )


def test_a_wrong_value_is_named_with_what_was_found():
    message = complaint(config(neural={"gnn": {"epochs": "many"}}))
    assert "neural.gnn.epochs: found 'many'" in message


def test_all_mistakes_are_told_at_once():
    message = complaint(config(neural={"gnn": {"epochs": 0}, "nonsense": 1}))
    assert "neural.gnn.epochs" in message
    assert "neural.nonsense" in message


@pytest.mark.parametrize(
    "cohort", [{}, {"simulate": {}, **REAL}, {"root": "/data/jpg"}, {**REAL, "split_shares": [0.5, 0.1, 0.1]}]
)
def test_cross_field_rules_of_a_cohort_hold(cohort):
    assert "cohorts.demo-mimic" in complaint({"cohorts": {"demo-mimic": cohort}})


@pytest.mark.parametrize(
    ("cohort", "reason"),
    [
        ({**NIH, "reports": "/data/reports"}, "not of nih"),
        ({"format": "openi-csv", "simulate": {}}, "a simulated cohort is written as"),
        ({"format": "chexpert", "root": "/data", "long_tail": "/labels"}, "nih, not of chexpert"),
        ({"format": "nih", "simulate": {}, "long_tail": "/labels"}, "brings its own label files"),
        ({"format": "mimic-cxr-dicom", "root": "/data/dicom"}, "name the folder or zip of its `reports`"),
        ({"format": "padchest", "root": "/data"}, "found 'padchest'"),
    ],
)
def test_a_format_has_the_keys_that_it_needs_and_no_others(cohort, reason):
    assert reason in complaint({"run": {"cohorts": ["x"]}, "cohorts": {"x": cohort}})


@pytest.mark.parametrize(
    "cohort",
    [
        {**NIH, "long_tail": "/labels"},
        {**REAL, "long_tail": "/labels"},
        {**REAL, "format": "mimic-cxr-dicom", "tables": "/data/jpg", "long_tail": "/labels"},
        {"format": "nih", "simulate": {}},
    ],
)
def test_nih_and_mimic_cxr_take_long_tailed_labels_and_can_be_simulated(cohort):
    settings = {**cohort, "image_sizes": [64]}
    parsed = parse_config({"run": {"cohorts": ["x"], "systems": []}, "cohorts": {"x": settings}}).cohorts["x"]
    assert parsed.long_tail == cohort.get("long_tail")


def test_a_system_that_reads_reports_is_refused_for_a_data_set_without():
    message = complaint({"run": {"cohorts": ["nih"]}, "cohorts": {"nih": NIH}})
    assert "['igcl', 'neural', 'patchib'] read reports, and nih (nih) has none" in message


def test_a_cohort_alone_needs_a_size_for_its_images():
    run = {"cohorts": ["nih"], "systems": []}
    assert "image_sizes" in complaint({"run": run, "cohorts": {"nih": NIH}})
    assert parse_config({"run": run, "cohorts": {"nih": {**NIH, "image_sizes": [64]}}}).run.systems == []


@pytest.mark.parametrize("name", ["logs", "quarantine", "../up", "a/b", ".hidden", ""])
def test_a_cohort_can_only_take_a_name_that_is_a_folder_of_its_own(name):
    assert "can't name a cohort" in complaint({"run": {"cohorts": [name]}, "cohorts": {name: {"simulate": {}}}})


def test_published_annotations_are_named_where_they_are_read():
    message = complaint(config(reports={"extract": {"extractor": "radgraph-json"}}))
    assert "give demo-mimic its files as `radgraph`" in message


def test_a_cohort_to_run_must_be_described():
    assert "run.cohorts names ['nih']" in complaint(config(run={"cohorts": ["nih"]}))


def leaves(node, path):
    """Yield the path of every value below `node`."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path


def test_every_key_is_read_by_some_rule(root):
    text = "".join(path.read_text() for path in (root / "rules").glob("*.smk"))
    looked_up = set(re.findall(r'lookup\(\s*(?:dpath=)?"([^"]+)"', text))
    looked_up |= {"/".join(keys) for keys in re.findall(r'config\["(\w+)"\]\["(\w+)"\]', text)}
    shared = re.findall(r'forgetting_of\("(\w+)"\)', text)
    looked_up |= {f"{system}/{key}" for system in ("neural", "prunecxr", "patchib") for key in shared}
    looked_up.add("patchib/forgetting_model")  # common.smk asks the function of that name
    plain = plain_config(parse_config(config()))
    for block in ("reports", "backbone", "neural", "prunecxr", "patchib", "igcl", "clear", "summary"):
        unread = [
            leaf
            for leaf in leaves(plain[block], block)
            if not any(f"{leaf}/".startswith(f"{path}/") for path in looked_up)
        ]
        assert not unread, f"no rule looks up {unread}"
    assert [key for key in plain["cohorts"]["demo-mimic"] if not re.search(rf'["/]{key}["/]|\b{key}_of\(', text)] == []
