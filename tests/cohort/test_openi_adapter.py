import io
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.adapters.openi import read_xml
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.openi import installed_archive
from cxrflow.cohort.openi_index import index_labels
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import write_manifest, write_reports
from cxrflow.errors import UserError

FINDINGS = "The heart is enlarged. There is a small XXXX effusion."
# uid -> (index, images)
STUDIES = {
    "1": (("Cardiomegaly/mild", "Pleural Effusion/right/small"), ("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001")),
    "2": (("normal",), ("CXR2_IM-0652-1001",)),
    "3": (("No Indexing",), ("CXR3_IM-1384-1001",)),
    "10": (("Hernia, Hiatal/large",), ()),
}


def xml(uid: str, findings: str = FINDINGS, impression: str = "Mild cardiomegaly.") -> str:
    index, images = STUDIES[uid]
    majors = "".join(f"<major>{path}</major>" for path in index)
    figures = "".join(
        f'<parentImage id="{image}"><figureId>F1</figureId><panel><url>/x/{image}.jpg</url></panel></parentImage>'
        for image in images
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>'
        '<AbstractText Label="COMPARISON"/><AbstractText Label="INDICATION">XXXX-year-old, cough</AbstractText>'
        f'<AbstractText Label="FINDINGS">{findings}</AbstractText>'
        f'<AbstractText Label="IMPRESSION">{impression}</AbstractText>'
        f"</Abstract></Article></MedlineCitation><MeSH>{majors}</MeSH>{figures}</eCitation>"
    )


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 6)).save(path)


def read(layout: str, root: Path, **settings: object) -> tuple[Cohort, list[tuple[str, str, str]]]:
    refused = Quarantine("test")
    cohort = read_cohort(layout, Source(root, root), ReadingSettings.model_validate(settings), refused)
    return cohort, [(file, row, reason) for file, row, _, reason in refused.rows]


def unpack(root: Path) -> Path:
    """Write the folders that the two published archives unpack into."""
    for uid, (_, images) in STUDIES.items():
        (root / "ecgen-radiology").mkdir(exist_ok=True)
        (root / f"ecgen-radiology/{uid}.xml").write_text(xml(uid))
        for name in images:
            image(root / f"NLMCXR_png/{name}.png")
    return root


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    return unpack(tmp_path)


def pack(root: Path) -> None:
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as archive:
        for file in sorted((root / "ecgen-radiology").glob("*.xml")):
            member = tarfile.TarInfo(f"ecgen-radiology/{file.name}")
            member.size = file.stat().st_size
            archive.addfile(member, io.BytesIO(file.read_bytes()))
            file.unlink()
    (root / "ecgen-radiology").rmdir()


def test_the_reports_images_become_rows_of_one_study_a_patient(unpacked: Path) -> None:
    cohort, refused = read("openi-xml", unpacked, views=["UNKNOWN"])
    assert cohort.manifest[["image_id", "patient_id", "study_id"]].values.tolist() == [
        ["CXR1_1_IM-0001-3001", "1", "1"], ["CXR1_1_IM-0001-4001", "1", "1"],
        ["CXR2_IM-0652-1001", "2", "2"], ["CXR3_IM-1384-1001", "3", "3"],
    ]  # fmt: skip
    assert cohort.manifest["path"].iloc[0] == "NLMCXR_png/CXR1_1_IM-0001-3001.png"
    assert cohort.manifest["official_split"].isna().all()
    assert (cohort.manifest["height"].iloc[0], cohort.manifest["width"].iloc[0], refused) == (6, 4, [])


def test_an_archive_and_its_unpacked_folder_are_read_alike(unpacked: Path) -> None:
    expected, _ = read("openi-xml", unpacked, views=["UNKNOWN"])
    pack(unpacked)
    cohort, refused = read("openi-xml", unpacked, views=["UNKNOWN"])
    pd.testing.assert_frame_equal(cohort.manifest, expected.manifest)
    pd.testing.assert_frame_equal(cohort.reports, expected.reports)
    assert refused == []


def test_labels_are_present_where_indexed_and_otherwise_not_mentioned(unpacked: Path) -> None:
    manifest = read("openi-xml", unpacked, views=["UNKNOWN"])[0].manifest
    positive = [{label for label in CHEXPERT_LABELS if row[label] == 1.0} for _, row in manifest.iterrows()]
    assert positive == [
        {"Cardiomegaly", "Pleural Effusion"},
        {"Cardiomegaly", "Pleural Effusion"},
        {"No Finding"},
        set(),
    ]
    assert not manifest[list(CHEXPERT_LABELS)].isin([0.0, -1.0]).any(axis=None)


def test_de_identified_words_are_blanks_in_the_text(unpacked: Path) -> None:
    reports = read("openi-xml", unpacked, views=["UNKNOWN"])[0].reports
    assert reports["text"].iloc[0] == "The heart is enlarged. There is a small ___ effusion. Mild cardiomegaly."
    assert reports["other"].iloc[0] == "indication: ___-year-old, cough"


@pytest.mark.parametrize("folder", ["NLMCXR_png", "images", "."])
def test_images_lie_in_their_archives_folder_in_images_or_beside_the_reports(unpacked: Path, folder: str) -> None:
    (unpacked / folder).mkdir(exist_ok=True)
    for file in sorted((unpacked / "NLMCXR_png").iterdir()):
        file.rename(unpacked / folder / file.name)
    if folder != "NLMCXR_png":
        (unpacked / "NLMCXR_png").rmdir()
    cohort, refused = read("openi-xml", unpacked, views=["UNKNOWN"])
    assert (len(cohort.manifest), refused) == (4, [])


def test_without_a_view_the_usual_views_leave_nothing_and_the_error_says_so(unpacked: Path) -> None:
    with pytest.raises(UserError, match=r"there are \{'UNKNOWN': 4\}"):
        read("openi-xml", unpacked)


def test_bad_files_of_the_unpacked_folder_are_quarantined_and_the_others_are_read(unpacked: Path) -> None:
    folder = unpacked / "ecgen-radiology"
    (folder / "2.xml").write_bytes(b"")
    (folder / "3.xml").write_text(xml("3").replace("<eCitation>", '<!DOCTYPE a [<!ENTITY b "c">]><eCitation>'))
    (folder / "4.xml").write_text(xml("10"))
    cohort, refused = read("openi-xml", unpacked, views=["UNKNOWN"])
    assert sorted((file, row) for file, row, _ in refused) == [
        ("10.xml", "10"),
        ("2.xml", ""),
        ("3.xml", ""),
        ("4.xml", "10"),
    ]
    assert {reason for file, _, reason in refused if file == "3.xml"} == {
        "3.xml declares a document type; reports have none."
    }
    assert set(cohort.manifest["patient_id"]) == {"1"}


def test_a_repeated_image_a_missing_and_an_empty_file_and_an_empty_report_are_quarantined(unpacked: Path) -> None:
    text = xml("2").replace("</eCitation>", '<parentImage id="CXR1_1_IM-0001-3001"/></eCitation>')
    (unpacked / "ecgen-radiology/2.xml").write_text(text)
    silent = xml("3", "", "").replace("XXXX-year-old, cough", "")
    (unpacked / "ecgen-radiology/3.xml").write_text(silent)
    (unpacked / "NLMCXR_png/CXR1_1_IM-0001-4001.png").unlink()
    (unpacked / "NLMCXR_png/CXR2_IM-0652-1001.png").write_bytes(b"")
    cohort, refused = read("openi-xml", unpacked, views=["UNKNOWN"])
    assert sorted((row, reason) for _, row, reason in refused) == [
        ("3", "the report is missing"),
        ("CXR1_1_IM-0001-3001", "the image's id is not unique"),
        ("CXR1_1_IM-0001-3001", "the image's id is not unique"),
        ("CXR1_1_IM-0001-4001", "the image file is missing"),
        ("CXR2_IM-0652-1001", "the image file is empty"),
    ]
    assert (cohort.manifest["patient_id"].tolist(), len(cohort.reports)) == (["3"], 0)


def test_an_image_that_leads_out_of_the_root_and_a_folder_without_reports_are_errors(unpacked: Path) -> None:
    file = unpacked / "ecgen-radiology/2.xml"
    file.write_text(xml("2").replace("CXR2_IM-0652-1001", "../../outside"))
    with pytest.raises(UserError, match="leads out of"):
        read("openi-xml", unpacked, views=["UNKNOWN"])
    for file in (unpacked / "ecgen-radiology").glob("*.xml"):
        file.unlink()
    with pytest.raises(UserError, match="holds no report"):
        read("openi-xml", unpacked, views=["UNKNOWN"])


def test_the_real_reports_name_every_published_image(tmp_path: Path) -> None:
    (tmp_path / "NLMCXR_reports.tgz").symlink_to(installed_archive())
    raw = read_xml(Source(tmp_path, tmp_path), ReadingSettings(), Quarantine("test"))
    assert (len(raw.images), raw.images["image_id"].nunique()) == (7_470, 7_470)
    named = raw.images["image_id"].str.extract(r"^CXR(\d+)_", expand=False)
    assert (named == raw.images["patient_id"]).all()
    assert raw.images["patient_id"].nunique() == 3_955 - 104  # 104 reports have no image


PROJECTIONS = [
    ("1", "1_IM-0001-4001.dcm.png", "Frontal"),
    ("1", "1_IM-0001-3001.dcm.png", "Lateral"),
    ("2", "2_IM-0652-1001.dcm.png", "Frontal"),
    ("3", "3_IM-1384-1001.dcm.png", "Frontal"),
]


class CsvTree:
    """The folder of the csv form, as it is offered for download."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reports({})
        self.projections(PROJECTIONS)
        for _, name, _ in PROJECTIONS:
            image(root / "images/images_normalized" / name)

    def reports(self, changes: dict[str, dict[str, object]], **rename: str) -> None:
        rows = [
            {
                "uid": uid, "MeSH": ";".join(index), "Problems": "", "image": "Xray Chest PA and Lateral",
                "indication": "XXXX", "comparison": "None.", "findings": FINDINGS, "impression": "Mild cardiomegaly.",
                **changes.get(uid, {}),
            }
            for uid, (index, _) in STUDIES.items()
        ]  # fmt: skip
        pd.DataFrame(rows).rename(columns=rename).to_csv(self.root / "indiana_reports.csv", index=False)

    def projections(self, rows: list[tuple[str, str, str]], header: str = "projection") -> None:
        table = pd.DataFrame(rows, columns=["uid", "filename", header])
        table.to_csv(self.root / "indiana_projections.csv", index=False)


@pytest.fixture
def table_form(tmp_path: Path) -> CsvTree:
    return CsvTree(tmp_path)


def test_the_csv_form_tells_frontal_from_lateral(table_form: CsvTree) -> None:
    cohort, refused = read("openi-csv", table_form.root, views=["FRONTAL", "LATERAL"])
    assert cohort.manifest["image_id"].tolist() == [
        "1_IM-0001-3001", "1_IM-0001-4001", "2_IM-0652-1001", "3_IM-1384-1001",
    ]  # fmt: skip
    assert cohort.manifest["view"].tolist() == ["LATERAL", "FRONTAL", "FRONTAL", "FRONTAL"]
    assert cohort.manifest["path"].iloc[1] == "images/images_normalized/1_IM-0001-4001.dcm.png"
    assert cohort.manifest["official_split"].isna().all()
    assert (len(read("openi-csv", table_form.root)[0].manifest), refused) == (3, [])


def test_both_forms_give_the_same_labels_and_texts(table_form: CsvTree, unpacked: Path) -> None:
    from_xml, _ = read("openi-xml", unpacked, views=["UNKNOWN"])
    from_csv, _ = read("openi-csv", table_form.root, views=["FRONTAL", "LATERAL"])
    names = ["patient_id", "study_id", *CHEXPERT_LABELS]
    pd.testing.assert_frame_equal(from_csv.manifest[names], from_xml.manifest[names])
    assert from_csv.reports["text"].tolist() == from_xml.reports["text"].tolist()
    assert from_csv.reports["other"].iloc[0] == "indication: ___\ncomparison: None."


def test_an_empty_index_and_empty_sections_stay_empty(table_form: CsvTree) -> None:
    table_form.reports({"2": {"MeSH": None, "findings": None, "impression": "No acute cardiopulmonary disease seen."}})
    cohort, refused = read("openi-csv", table_form.root)
    assert cohort.manifest[list(CHEXPERT_LABELS)].iloc[1].isna().all()
    assert cohort.reports["findings"].iloc[1] == ""
    assert cohort.reports["text"].iloc[1] == "No acute cardiopulmonary disease seen."
    assert refused == []


def test_bad_rows_of_the_csv_form_are_quarantined_and_the_others_are_read(table_form: CsvTree) -> None:
    rows = [
        *PROJECTIONS[:3],
        PROJECTIONS[2],
        ("1", "1_IM-0001-5001.dcm.png", "Oblique"),
        ("", "1_IM-0001-6001.dcm.png", "Frontal"),
        ("1", "", "Frontal"),
        ("1", "1_IM-0001-7001.dcm.png", "Frontal"),
        ("99", "3_IM-1384-1001.dcm.png", "Frontal"),
    ]
    table_form.projections(rows)
    cohort, refused = read("openi-csv", table_form.root)
    reason = "the row has no uid, or a projection that is not Frontal or Lateral"
    assert sorted((row, why) for _, row, why in refused) == [
        ("1", "the row has no file name"),
        ("1_IM-0001-5001.dcm.png", reason),
        ("1_IM-0001-6001.dcm.png", reason),
        ("1_IM-0001-7001", "the image file is missing"),
        ("2_IM-0652-1001", "the image's id is not unique"),
        ("2_IM-0652-1001", "the image's id is not unique"),
        ("99", "the report is missing"),
    ]
    assert cohort.manifest["image_id"].tolist() == ["1_IM-0001-4001", "3_IM-1384-1001"]
    assert cohort.manifest[list(CHEXPERT_LABELS)].iloc[1].isna().all()


def test_a_repeated_uid_of_the_reports_is_quarantined_not_guessed(table_form: CsvTree) -> None:
    table_form.reports({"2": {"uid": "1"}})
    cohort, refused = read("openi-csv", table_form.root)
    assert {(row, reason) for _, row, reason in refused} == {
        ("1", "the uid is not unique"), ("1", "the report is missing"), ("2", "the report is missing"),
    }  # fmt: skip
    assert cohort.reports["study_id"].tolist() == ["3"]


def test_a_file_name_that_leads_out_of_the_root_is_an_error(table_form: CsvTree) -> None:
    table_form.projections([("1", "../../../1_IM-0001-4001.dcm.png", "Frontal")])
    with pytest.raises(UserError, match="leads out of"):
        read("openi-csv", table_form.root)


def test_a_missing_column_shows_the_real_header(table_form: CsvTree) -> None:
    table_form.projections(PROJECTIONS, header="view")
    with pytest.raises(UserError, match=r"lacks \['projection'\]; its header is \['uid', 'filename', 'view'\]"):
        read("openi-csv", table_form.root)
    table_form.reports({}, MeSH="Mesh")
    with pytest.raises(UserError, match=r"lacks \['MeSH'\]; its header is \['uid', 'Mesh'"):
        read("openi-csv", table_form.root)


def test_the_tables_are_canonical(table_form: CsvTree, tmp_path: Path) -> None:
    cohort, _ = read("openi-csv", table_form.root)
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    write_reports(tmp_path / "reports.parquet", cohort.reports)
    assert len(pd.read_parquet(tmp_path / "manifest.parquet")) == 3


def test_no_finding_is_positive_only_where_the_index_is_normal_and_names_nothing_labelled() -> None:
    assert index_labels(("normal",)) == {"No Finding"}
    assert index_labels(("normal", "Cardiomegaly")) == {"Cardiomegaly"}
    assert index_labels(("Hernia, Hiatal",)) == index_labels(("No Indexing",)) == index_labels(()) == set()
