import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.reports.radgraph_samples import EFFUSION, annotation

from cxrflow.cohort.openi import installed_archive, read_openi
from cxrflow.cohort.sections import clean_text, join_sentences
from cxrflow.errors import UserError
from cxrflow.reports.annotated_findings import annotated_mentions
from cxrflow.reports.extract import extract_reports
from cxrflow.reports.lexicon import load_lexicon
from cxrflow.reports.radgraph_files import locate_annotations, study_key
from cxrflow.reports.radgraph_schema import graph_of, joined, read_annotation, short_label
from cxrflow.reports.settings import ExtractSettings


def reports(*studies: str, **columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"study_id": list(studies), "text": [""] * len(studies), **columns})


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def found(annotated: dict[str, Any]) -> set[tuple[str, str, str | None, str | None]]:
    rows = annotated_mentions(read_annotation(annotated), load_lexicon())
    return {(row.finding, row.status, row.side, row.site) for row in rows}


@pytest.mark.parametrize(
    ("key", "study"),
    [
        ("p10/p10659857/s59206984.txt", "59206984"),
        ("files/p10/p10659857/s59206984.txt", "59206984"),
        ("mimic-cxr-reports/files/p10/p10659857/s59206984.txt", "59206984"),
        ("59206984", "59206984"),
        ("s59206984", "59206984"),
        ("train/patient00001/study1/view1_frontal.jpg", "patient00001/study1"),
        ("patient00001/study12", "patient00001/study12"),
        ("patient00001_study12", "patient00001/study12"),
        ("0", None),
        ("report one", None),
    ],
)
def test_what_names_a_study(key: str, study: str | None) -> None:
    assert study_key(key) == study


@pytest.mark.parametrize("prefix", ["", "files/", "mimic-cxr-reports/files/"])
def test_keys_lead_to_studies_whatever_their_prefix(prefix: str, tmp_path: Path) -> None:
    content = {f"{prefix}p10/p10000000/s5000000{n}.txt": EFFUSION for n in range(4)}
    file = written(tmp_path / "train.json", content)
    located = locate_annotations([file], reports("50000001", "50000003", "59999999"))
    assert sorted(located) == ["50000001", "50000003"]
    raw = file.read_bytes()
    for (place,) in located.values():
        assert json.loads(raw[place.start : place.start + place.length]) == EFFUSION


def test_of_two_files_the_first_one_counts(tmp_path: Path) -> None:
    files = [written(tmp_path / name, {"p10/p10000000/s50000001.txt": EFFUSION}) for name in ("a.json", "b.json")]
    assert [place.file for place in locate_annotations(files, reports("50000001"))["50000001"]] == files[:1]


def test_lists_are_found_by_the_letters_of_their_sections(tmp_path: Path) -> None:
    findings = [{"0": annotation("The heart is large . No effusion .")}, {"0": annotation("Clear lungs .")}]
    impression = [{"0": annotation("1 . Stable")}]
    files = [written(tmp_path / "section_findings.json", findings), written(tmp_path / "impression.json", impression)]
    table = reports(
        "patient00001/study1", "patient00002/study1", "patient00003/study1",
        findings=["The heart is large.  No effusion.", "Clear lungs.", "Something else."],
        impression=["Stable", "", ""],
    )  # fmt: skip
    located = locate_annotations(files, table)
    assert [place.file for place in located["patient00001/study1"]] == files
    assert [place.file for place in located["patient00002/study1"]] == files[:1]
    assert "patient00003/study1" not in located


def test_a_file_of_another_cohort_is_told_without_naming_patients(tmp_path: Path) -> None:
    file = written(tmp_path / "train.json", {"p10/p10000000/s50000001.txt": EFFUSION})
    with pytest.raises(UserError, match=r"None of the 1 annotations") as error:
        locate_annotations([file], reports("50000002"))
    assert "5000000" not in str(error.value)


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"p10/p10000000/s50000001.txt": {"text": "x"')
    with pytest.raises(UserError, match="downloaded whole"):
        locate_annotations([tmp_path / "train.json"], reports("50000001"))


def test_labelers() -> None:
    other = annotation(EFFUSION["text"], ("effusion", "OBS-U", []))
    marked = {"text": EFFUSION["text"], "labeler_1": EFFUSION, "labeler_2": other}
    assert len(read_annotation(marked).entities) == 5
    assert [entity.label for entity in read_annotation(marked, "labeler_2").entities] == ["OBS-U"]


def test_a_sound_annotation_comes_back_as_it_was() -> None:
    read = read_annotation(EFFUSION)
    assert read.problems == ()
    assert graph_of("1", read) == {"study_id": "1", "text": EFFUSION["text"], "entities": EFFUSION["entities"]}


@pytest.mark.parametrize(
    ("change", "reason", "entities", "relations"),
    [
        ({"4": {"relations": [["located_at", "9"]]}}, "lacks", 5, 2),
        ({"4": {"relations": [["shows", "3"]]}}, "unknown type", 5, 2),
        ({"4": {"relations": [["modify", "4"]]}}, "itself", 5, 2),
        ({"4": {"relations": ["located_at", "3"]}}, "pair", 5, 2),
        ({"4": {"relations": {"located_at": "3"}}}, "no list", 5, 2),
        ({"3": {"label": "ANATOMY"}}, "unknown label", 4, 1),
        ({"3": {"label": "ANATOMY"}}, "refused entity", 4, 1),
        ({"5": {"start_ix": 8, "end_ix": 8}}, "out of the text", 4, 3),
        ({"5": {"start_ix": -2, "end_ix": -2}}, "out of the text", 4, 3),
        ({"5": {"start_ix": "6"}}, "out of the text", 4, 3),
        ({"5": {"start_ix": 5, "end_ix": 5}}, "not those at its offsets", 4, 3),
    ],
)
def test_what_cannot_be_right_is_left_out_and_told(
    change: dict[str, dict[str, Any]], reason: str, entities: int, relations: int
) -> None:
    bent = copy.deepcopy(EFFUSION)
    for number, fields in change.items():
        bent["entities"][number].update(fields)
    read = read_annotation(bent)
    assert any(reason in problem for problem in read.problems)
    assert len(read.entities) == entities
    assert sum(len(entity.relations) for entity in read.entities) == relations


@pytest.mark.parametrize("record", [None, [], {"text": "x"}, {"entities": {}}, {"text": "x", "entities": []}])
def test_what_is_no_annotation_is_told(record: Any) -> None:
    assert read_annotation(record).problems == ("the annotation has no text or no entities",)


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("Anatomy::definitely present", "ANAT-DP"), ("Anatomy::measurement::uncertain", "ANAT-DP"),
        ("Observation::definitely absent", "OBS-DA"), ("Observation::uncertain", "OBS-U"),
        ("Observation::measurement::definitely present", "OBS-DP"), ("OBS-U", "OBS-U"),
        ("Observation::likely", None), ("Device::uncertain", None), (None, None),
    ],
)  # fmt: skip
def test_labels_of_radgraph_xl(long: str, short: str | None) -> None:
    assert short_label(long) == short


def test_sections_are_joined_with_their_relations() -> None:
    first = read_annotation(
        annotation("clear lungs", ("clear", "OBS-DP", [("located_at", 2)]), ("lungs", "ANAT-DP", []))
    )
    whole = graph_of("1", joined([first, read_annotation(EFFUSION)]))
    assert whole["text"] == "clear lungs . small left pleural effusion . no pneumothorax ."
    tokens = whole["text"].split()
    for entity in whole["entities"].values():
        assert " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1]) == entity["tokens"]
    (kind, target) = next(at for at in whole["entities"].values() if at["tokens"] == "effusion")["relations"][0]
    assert (kind, whole["entities"][target]["tokens"]) == ("located_at", "pleural")


def test_findings_of_an_annotation() -> None:
    assert found(EFFUSION) == {("effusion", "present", "left", None), ("pneumothorax", "absent", None, None)}


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        # A state gets its name from the anatomy it is located at, over however many words.
        (annotation("heart size is now mildly enlarged", ("heart size", "ANAT-DP", []), ("mildly", "OBS-DP",
         [("modify", 3)]), ("enlarged", "OBS-DP", [("located_at", 1)])), {("cardiomegaly", "present", None)}),
        (annotation("heart is not enlarged", ("heart", "ANAT-DP", []), ("enlarged", "OBS-DA", [("located_at", 1)])),
         {("cardiomegaly", "absent", None)}),
        (annotation("low lung volumes", ("low", "OBS-DP", [("located_at", 3)]), ("lung", "ANAT-DP", [("modify", 3)]),
         ("volumes", "ANAT-DP", [])), {("hypoinflation", "present", None)}),
        # A state that is related to nothing names nothing.
        (annotation("enlarged , the heart is not seen", ("enlarged", "OBS-DP", []), ("heart", "ANAT-DP", [])), set()),
        # The words of an observation and of its anatomy name the finding together.
        (annotation("pericardial effusion", ("pericardial", "ANAT-DP", []), ("effusion", "OBS-U", [("located_at", 1)])),
         {("pericardial_effusion", "uncertain", None)}),
        (annotation("free air", ("free", "OBS-DA", [("modify", 2)]), ("air", "OBS-DA", [])),
         {("pneumoperitoneum", "absent", None)}),
        (annotation("emphysema , subcutaneous", ("emphysema", "OBS-DP", [("located_at", 2)]),
         ("subcutaneous", "ANAT-DP", [])), {("subcutaneous_emphysema", "present", None)}),
        # One word may be two findings; a side may hang on the observation or on its anatomy.
        (annotation("right hydropneumothorax", ("right", "ANAT-DP", []), ("hydropneumothorax", "OBS-DP",
         [("located_at", 1)])), {("effusion", "present", "right"), ("pneumothorax", "present", "right")}),
        (annotation("bilateral effusions", ("bilateral", "ANAT-DP", []), ("effusions", "OBS-DP", [("located_at", 1)])),
         {("effusion", "present", "bilateral")}),
        (annotation("left and right lobe atelectasis", ("left", "ANAT-DP", [("modify", 3)]), ("right", "ANAT-DP",
         [("modify", 3)]), ("lobe", "ANAT-DP", []), ("atelectasis", "OBS-DP", [("located_at", 3)])),
         {("atelectasis", "present", "bilateral")}),
        # Anatomy and qualities are no findings, nor is what the lexicon knows for graphs only.
        (annotation("mild scoliosis , clear lungs", ("mild", "OBS-DP", [("modify", 2)]), ("scoliosis", "OBS-DP", []),
         ("clear", "OBS-DP", [("located_at", 4)]), ("lungs", "ANAT-DP", [])), {("scoliosis", "present", None)}),
    ],
)  # fmt: skip
def test_names_status_and_side(marked: dict[str, Any], expected: set[tuple[str, str, str | None]]) -> None:
    assert {row[:3] for row in found(marked)} == expected


def test_the_site_is_that_of_the_anatomy() -> None:
    marked = annotation(
        "opacity in the right lower lobe",
        ("opacity", "OBS-DP", [("located_at", 4)]),
        ("right", "ANAT-DP", [("modify", 4)]),
        ("lower", "ANAT-DP", [("modify", 4)]),
        ("lobe", "ANAT-DP", []),
    )
    assert found(marked) == {("opacity", "present", "right", "lower")}


def test_sentences_and_offsets_of_mentions() -> None:
    rows = annotated_mentions(read_annotation(EFFUSION), load_lexicon())
    assert [(row.finding, row.sentence, row.start, row.end) for row in rows] == [
        ("effusion", 0, 3, 3), ("pneumothorax", 1, 6, 6),
    ]  # fmt: skip


def test_graphs_of_real_reports_state_what_the_rules_state() -> None:
    # Graphs mark what is likely as uncertain, whatever the settings say of findings.
    settings = ExtractSettings(probable="uncertain", differential="uncertain")
    read = [report for report in read_openi(installed_archive()) if int(report.uid) % 8 == 1]
    texts = [join_sentences([clean_text(report.findings), clean_text(report.impression)]) for report in read]
    table, graphs = extract_reports(pd.DataFrame({"study_id": [at.uid for at in read], "text": texts}), settings)
    rules = set(table[["study_id", "finding", "status"]].itertuples(index=False, name=None))
    annotations = {graph["study_id"]: read_annotation(graph) for graph in graphs}
    assert not any(annotation.problems for annotation in annotations.values())
    stated = {
        (study, row.finding, row.status)
        for study, annotation in annotations.items()
        for row in annotated_mentions(annotation, load_lexicon())
    }
    assert len(read) > 400
    assert 2 * len(rules & stated) / (len(rules) + len(stated)) > 0.97
