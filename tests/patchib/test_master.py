import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.sections import parse_sections
from cxrflow.cohort.tables import SPLITS, write_manifest, write_reports, write_split
from cxrflow.errors import UserError
from cxrflow.files import write_table
from cxrflow.patchib.data_settings import MasterSettings
from cxrflow.patchib.master import PUBLISHED, MasterFiles, build_master, label_order
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.queries import SOURCES, report_query, report_sections, whole_report

LABELS = ["Edema", "Cardiomegaly"]  # the manifest's order is not the alphabet's
# image, patient, study, view, split, Edema, Cardiomegaly
ROWS = [
    ("e", "p1", "s1", "PA", "train", 1.0, None),
    ("b", "p1", "s1", "LATERAL", "train", 1.0, None),
    ("a", "p1", "s2", "AP", "train", -1.0, 1.0),
    ("c", "p2", "s3", "PA", "validate", 0.0, -1.0),
    ("d", "p3", "s4", "PA", "test", None, None),
    ("f", "p3", "s5", "AP", "test", 1.0, 1.0),  # not in the image store
    ("g", "p4", "s6", "PA", "train", 1.0, 1.0),  # has no report
    ("h", "p5", "s7", "PA", "test", 1.0, 1.0),  # its report has six characters
    ("i", "p5", "s8", "PA", "test", 1.0, 1.0),  # its report says nothing of the image
]
NAMES = ["image_id", "patient_id", "study_id", "view", "split", *LABELS]
INDICATION = "preamble: FINAL REPORT\nindication: Cough for several weeks."
# study, findings, impression, other
REPORTS = [
    ("s1", "The heart is normal", "Mild edema.", INDICATION),
    ("s2", "Enlarged heart, perhaps|with edema.", "", INDICATION),
    ("s3", "", "No acute disease.", f"{INDICATION}\nnotification: Told by telephone."),
    ("s4", "", "", f"{INDICATION}\nlast_paragraph: The lungs are clear."),
    ("s5", "Large heart.", "Edema.", INDICATION),
    ("s7", "Clear.", "", ""),
    ("s8", "", "", INDICATION),
]


def write_cohort(
    folder: Path, rows: pd.DataFrame, reports: pd.DataFrame, labels: list[str], missing: tuple[str, ...] = ("f",)
) -> CohortFiles:
    """Write canonical tables, and the index of a store that lacks the images `missing`."""
    names = ("manifest.parquet", "split.parquet", "images.npy", "images.parquet", "reports.parquet")
    cohort = CohortFiles(*(folder / name for name in names))
    fixed = dict.fromkeys(["height", "width", "sex", "age", "official_split", "boxes"])
    write_manifest(cohort.manifest, rows.assign(path="files/" + rows["image_id"] + ".jpg", **fixed), labels)
    write_split(cohort.split, rows)
    write_reports(folder / "reports.parquet", reports.assign(patient_id="p", text="not read"))
    write_table(cohort.index, rows.loc[~rows["image_id"].isin(missing), ["image_id"]].assign(row=0))
    return cohort


def made(folder: Path, shuffled: bool = False) -> CohortFiles:
    rows = pd.DataFrame(ROWS, columns=NAMES)
    reports = pd.DataFrame(REPORTS, columns=["study_id", "findings", "impression", "other"])
    if shuffled:
        rows, reports = rows.sample(frac=1, random_state=0), reports.iloc[::-1]
    return write_cohort(folder, rows, reports, LABELS)


def build(cohort: CohortFiles, folder: Path, **settings: object) -> MasterFiles:
    outputs = MasterFiles(folder / "master.jsonl", folder / "distribution.csv", folder / "dropped.csv")
    build_master(cohort, outputs, MasterSettings(**settings), "made-up", True)
    return outputs


def lines(outputs: MasterFiles) -> dict[str, dict]:
    records = [json.loads(line) for line in outputs.master.read_text(encoding="utf-8").splitlines()]
    return {record["dicom_id"]: record for record in records}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    return made(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def outputs(cohort: CohortFiles, tmp_path_factory: pytest.TempPathFactory) -> MasterFiles:
    return build(cohort, tmp_path_factory.mktemp("outputs"))


def test_a_line_is_a_frontal_radiograph_with_its_own_report_labels_and_split(
    cohort: CohortFiles, outputs: MasterFiles
) -> None:
    records = lines(outputs)
    assert list(records) == ["a", "c", "d", "e"]
    assert records["e"] == {
        "split": "train",
        "query": "The heart is normal. Mild edema.",
        "image_path": "files/e.jpg",
        "labels": [0, 1],
        "subject_id": "p1",
        "study_id": "s1",
        "dicom_id": "e",
    }
    assert label_order(cohort.manifest) == ["Cardiomegaly", "Edema"]
    assert [record["split"] for record in records.values()] == ["train", "validate", "test", "train"]


@pytest.mark.parametrize(
    ("uncertain", "expected"),
    [
        ("zero", {"a": [1, 0], "c": [0, 0], "d": [0, 0]}),
        ("one", {"a": [1, 1], "c": [1, 0], "d": [0, 0]}),
        ("ignore", {"a": [1, None], "c": [None, 0], "d": [0, 0]}),
        ({"Edema": "one", "other": "ignore"}, {"a": [1, 1], "c": [None, 0], "d": [0, 0]}),
        ({"Edema": "one"}, {"a": [1, 1], "c": [0, 0], "d": [0, 0]}),
    ],
)
def test_uncertain_labels_count_by_policy_and_unmentioned_ones_never(
    cohort: CohortFiles, tmp_path: Path, uncertain: object, expected: dict
) -> None:
    made_now = build(cohort, tmp_path, uncertain=uncertain)
    records = lines(made_now)
    assert {name: records[name]["labels"] for name in expected} == expected
    positives = pd.read_csv(made_now.distribution).groupby("label")["count"].sum()
    written = [record["labels"] for record in records.values()]
    assert positives[["Cardiomegaly", "Edema"]].tolist() == [sum(row[n] == 1 for row in written) for n in (0, 1)]


def test_what_each_rule_drops_is_counted(outputs: MasterFiles) -> None:
    table = pd.read_csv(outputs.dropped)
    assert (table["cohort"] == "made-up").all()
    assert table["simulated"].all()
    dropped = table.pivot_table(index="step", columns="split", values="dropped", sort=False)[list(SPLITS)]
    assert dropped.index.tolist() == [
        "in the manifest",
        "another view",
        "no report",
        "short report",
        "no such section",
        "missing or unreadable image",
    ]
    assert dropped.to_numpy().tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    left = table.pivot_table(index="step", columns="split", values="left", sort=False)[list(SPLITS)]
    assert left.iloc[0].tolist() == [4, 1, 4]
    assert left.iloc[-1].tolist() == [2, 1, 1]
    assert (left.shift().iloc[1:] - left.iloc[1:] == dropped.iloc[1:]).all(axis=None)
    assert pd.read_parquet(outputs.dropped.with_suffix(".parquet"))["left"].tolist() == table["left"].tolist()


def test_the_distribution_counts_images_studies_patients_labels_and_where_texts_come_from(outputs: MasterFiles) -> None:
    table = pd.read_csv(outputs.distribution)
    counts = {name: group.set_index("split")["count"] for name, group in table.groupby("label")}
    by_hand = {
        "images": [2, 1, 1],
        "studies": [2, 1, 1],
        "patients": [1, 1, 1],
        "Cardiomegaly": [1, 0, 0],
        "Edema": [1, 0, 0],
        "text from findings and impression": [1, 0, 0],
        "text from findings": [1, 0, 0],
        "text from impression": [0, 1, 0],
        "text from last paragraph": [0, 0, 1],
    }
    assert {name: count[list(SPLITS)].tolist() for name, count in counts.items()} == by_hand
    assert table["published"].isna().all()


def test_published_counts_stand_beside_the_labels_of_chexpert(tmp_path: Path) -> None:
    rows = pd.DataFrame(ROWS, columns=NAMES).drop(columns=LABELS).assign(**dict.fromkeys(CHEXPERT_LABELS, 1.0))
    reports = pd.DataFrame(REPORTS, columns=["study_id", "findings", "impression", "other"])
    cohort = write_cohort(tmp_path, rows, reports, list(CHEXPERT_LABELS[::-1]))
    table = pd.read_csv(build(cohort, tmp_path).distribution)
    published = table.set_index(["label", "split"])["published"]
    assert published["images"].sum() == 218_138
    assert published["No Finding"].tolist() == [71_202, 561, 539]
    assert set(published.dropna().index.get_level_values("label")) == {"images", *CHEXPERT_LABELS}
    assert (pd.DataFrame(PUBLISHED).drop(columns="images").max(axis=1) < PUBLISHED["images"]).all()


def test_the_bytes_depend_on_the_content_alone(outputs: MasterFiles, tmp_path: Path) -> None:
    again = build(made(tmp_path, shuffled=True), tmp_path)
    for file in ("master", "distribution", "dropped"):
        assert getattr(again, file).read_bytes() == getattr(outputs, file).read_bytes()


def test_views_and_the_shortest_report_are_settings(cohort: CohortFiles, tmp_path: Path) -> None:
    assert set(lines(build(cohort, tmp_path, views=("LATERAL",)))) == {"b"}
    assert set(lines(build(cohort, tmp_path, shortest_report=0))) == {"a", "c", "d", "e", "h"}
    with pytest.raises(UserError, match=r"No image .*'another view': 0"):
        build(cohort, tmp_path, views=("LL",))


def test_a_short_text_of_a_long_report_stays(cohort: CohortFiles, tmp_path: Path) -> None:
    """A normal study's impression is short: to drop it would take normal studies away."""
    assert lines(build(cohort, tmp_path, text_sections="impression"))["c"]["query"] == "No acute disease."


HEADED = "FINAL REPORT. INDICATION: Cough for several weeks."


@pytest.mark.parametrize(
    ("wanted", "study", "text", "source"),
    [
        ("all", "s1", f"{HEADED} FINDINGS: The heart is normal. IMPRESSION: Mild edema.", "whole report"),
        ("all", "s3", f"{HEADED} IMPRESSION: No acute disease. NOTIFICATION: Told by telephone.", "whole report"),
        ("all", "s4", f"{HEADED} The lungs are clear.", "whole report"),
        ("findings_impression", "s1", "The heart is normal. Mild edema.", "findings and impression"),
        ("findings_impression", "s2", "Enlarged heart, perhaps with edema.", "findings"),
        ("findings_impression", "s3", "No acute disease.", "impression"),
        ("findings_impression", "s4", "The lungs are clear.", "last paragraph"),
        ("findings_impression", "s8", "", ""),
        ("impression", "s1", "Mild edema.", "impression"),
        ("impression", "s2", "Enlarged heart, perhaps with edema.", "findings"),
        ("impression", "s4", "The lungs are clear.", "last paragraph"),
    ],
)
def test_texts_of_the_sections_that_are_wanted(wanted: str, study: str, text: str, source: str) -> None:
    report = next(row[1:] for row in REPORTS if row[0] == study)
    assert report_query(report_sections(*report), wanted) == (text, source)
    assert source in (*SOURCES[wanted], "")


def test_what_leads_to_the_study_comes_before_what_is_seen_and_what_follows_after() -> None:
    other = "recommendation: A scan.\ncomparison: None.\nwet read: Clear."
    assert whole_report(report_sections("Clear lungs.", "Normal.", other)) == (
        "COMPARISON: None. FINDINGS: Clear lungs. IMPRESSION: Normal. RECOMMENDATION: A scan. WET READ: Clear."
    )


def test_sections_of_several_lines_keep_every_word() -> None:
    """The legacy cut leaves line breaks, and a line may look like a header."""
    other = "indication: Cough,\nfindings: of last week\nknown: yes\ncomparison: "
    sections = report_sections("The lungs\nare clear.", "", other)
    assert sections == {
        "indication": "Cough, findings: of last week",
        "findings": "The lungs are clear.",
        "known": "yes",
    }


WORDS = st.lists(st.sampled_from(["Heart", "normal.", "|", "edema,", "no", "effusion:", "3", "___"]), max_size=8)
HEADERS = st.sampled_from(["FINDINGS", "IMPRESSION", "INDICATION", "WET READ", "COMPARISON", "TECHNIQUE", "PA/LAT (2)"])


@given(st.lists(st.tuples(HEADERS, WORDS.map(" ".join)), max_size=6))
def test_the_sections_that_the_parser_cut_come_back_from_the_canonical_report(parts: list[tuple[str, str]]) -> None:
    cut = parse_sections("FINAL REPORT\n" + "\n".join(f" {header}: {text}\n" for header, text in parts))
    other = "\n".join(f"{name}: {text}" for name, text in cut.items() if name not in ("findings", "impression"))
    sections = report_sections(cut.get("findings", ""), cut.get("impression", ""), other)
    tidy = {name: " ".join(text.replace("|", " ").split()) for name, text in cut.items()}
    assert sections == {name: text for name, text in tidy.items() if text}
    whole = whole_report(sections)
    assert "|" not in whole
    assert all(text in whole for text in sections.values())


def test_no_patient_is_in_two_splits(tmp_path: Path) -> None:
    cohort = made(tmp_path)
    split = pd.read_parquet(cohort.split)
    write_split(cohort.split, split.assign(split=split["split"].where(split["image_id"] != "b", "test")))
    with pytest.raises(UserError, match=r"patient_id|study_id") as caught:
        build(cohort, tmp_path)
    assert "p1" not in str(caught.value)
    assert not (tmp_path / "master.jsonl").exists()
    write_split(cohort.split, split.iloc[1:])
    with pytest.raises(UserError, match="1 of 9 images have no split"):
        build(cohort, tmp_path)


def test_what_the_cohort_lacks_is_told(cohort: CohortFiles, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no reports"):
        build(replace(cohort, reports=None), tmp_path)
    with pytest.raises(UserError, match=r"names \['Oedema'\]"):
        build(cohort, tmp_path, uncertain={"Oedema": "one"})


def test_what_was_written_is_read(cohort: CohortFiles, tmp_path: Path) -> None:
    table = read_master(build(cohort, tmp_path, uncertain="ignore").master)
    assert list(table.columns) == ["dicom_id", "subject_id", "study_id", "split", "query", "image_path", "labels"]
    assert table["dicom_id"].tolist() == ["a", "c", "d", "e"]
    assert all(row.dtype == np.float32 for row in table["labels"])
    expected = [[1, np.nan], [np.nan, 0], [0, 0], [0, 1]]
    np.testing.assert_array_equal(np.stack(table["labels"]), np.array(expected, dtype=np.float32))


@given(st.text(min_size=1))
def test_any_text_comes_back_from_its_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("line") / "master.jsonl"
    record = {**SOUND, "query": text}
    path.write_bytes((json.dumps(record) + "\n").encode())
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        with pytest.raises(UserError, match="line 1"):
            read_master(path)
    else:
        assert read_master(path)["query"].tolist() == [text]


SOUND = {
    "split": "train",
    "query": "Clear lungs of Mr Secret.",
    "image_path": "files/a.jpg",
    "labels": [0, 1],
    "subject_id": "secret",
    "study_id": "secret",
    "dicom_id": "x",
}


def line(**changes: object) -> bytes:
    return json.dumps({**SOUND, "dicom_id": "y", **changes}).encode()


NO_OBJECT = "it is not a whole JSON object"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (line()[:60], NO_OBJECT),
        (b"", NO_OBJECT),
        (b"\xff\xfe", NO_OBJECT),
        (b"[" * 100_000, NO_OBJECT),
        (b'["secret"]', NO_OBJECT),
        (line(query="\N{LATIN SMALL LETTER E WITH ACUTE}").replace(b"\\u00e9", b"\xe9"), NO_OBJECT),
        (json.dumps({name: SOUND[name] for name in SOUND if name != "study_id"}).encode(), "study_id: Field required"),
        (line(split="valid"), "split: "),
        (line(query=""), "query: "),
        (line(query=None), "query: "),
        (line(subject_id=10000032), "subject_id: "),
        (line(labels=[0, 0.5]), "labels.1"),
        (line(labels=[-1, 0]), "labels.0"),
        (line(labels="secret"), "labels: "),
        (line(labels=[0, float("nan")]), "labels"),
        (line(labels=[0]), "there are not 2 labels, as in line 1"),
        (line(dicom_id="x"), "the image has a line already"),
    ],
)
def test_a_broken_line_is_named_and_not_shown(tmp_path: Path, bad: bytes, told: str) -> None:
    path = tmp_path / "master.jsonl"
    path.write_bytes(b"\n".join([json.dumps(SOUND).encode(), bad, line(dicom_id="z"), b""]))
    with pytest.raises(UserError) as caught:
        read_master(path)
    assert str(caught.value).startswith(f"{path}, line 2: {told}")
    assert "secret" not in str(caught.value).lower()


def test_a_missing_and_an_empty_file_are_told(tmp_path: Path) -> None:
    path = tmp_path / "master.jsonl"
    with pytest.raises(UserError, match="no file"):
        read_master(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="no line"):
        read_master(path)
