import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import read_labels, write_manifest, write_reports
from cxrflow.errors import UserError


def read(tree, layout="mimic-cxr-jpg", reports=None, **settings) -> tuple[Cohort, list[str]]:
    refused = Quarantine("test")
    boxes = tree.root / "boxes.csv"
    root = tree.dicom if layout == "mimic-cxr-dicom" else tree.root
    source = Source(root, tree.root, reports or tree.reports, boxes if boxes.exists() else None)
    cohort = read_cohort(layout, source, ReadingSettings(**settings), refused)
    return cohort, [reason for _, _, _, reason in refused.rows]


def test_frontal_views_are_kept_with_their_path_and_official_split(tree):
    cohort, refused = read(tree)
    assert cohort.manifest["image_id"].tolist() == ["a-1", "b-1", "c-1"]
    assert cohort.manifest["path"].iloc[2] == "files/p11/p11000003/s50000003/c-1.jpg"
    assert cohort.manifest["official_split"].tolist() == ["train", "validate", "test"]
    assert (cohort.manifest["height"].iloc[0], cohort.manifest["width"].iloc[0]) == (30, 20)
    assert refused == []


def test_a_lateral_view_is_read_where_it_is_wanted(tree):
    assert read(tree, views=["LATERAL"])[0].manifest["image_id"].tolist() == ["a-2"]


def test_label_values_keep_present_uncertain_absent_and_not_mentioned_apart(tree):
    manifest = read(tree)[0].manifest
    assert manifest["Cardiomegaly"].tolist() == [1.0, -1.0, 0.0]
    assert manifest["Edema"].isna().all()


def test_report_sections_become_the_text(tree):
    reports = read(tree)[0].reports
    assert reports["findings"].iloc[0] == "The heart is enlarged. No effusion."
    assert reports["text"].iloc[0] == "The heart is enlarged. No effusion. Cardiomegaly."
    assert "Cough" in reports["other"].iloc[0]


def test_the_text_may_be_the_first_section_of_an_order(tree):
    cohort, _ = read(tree, text_sections=["impression", "findings"], text_rule="first", minimum_report_characters=5)
    assert cohort.reports["text"].iloc[0] == "Cardiomegaly."


@pytest.mark.parametrize(
    ("legacy", "reasons"), [(True, ["the public section parser leaves this study out"]), (False, [])]
)
def test_a_study_ruled_by_hand_is_left_out_only_where_the_public_parser_is_asked_for(tree, legacy, reasons):
    ruled = {"study_id": {"50000002": "50913680"}}  # its text is the section named RECOMMENDATIONS
    tree.write("metadata", tree.metadata().replace(ruled))
    tree.write("split", tree.split().replace(ruled))
    tree.write("chexpert", tree.labels().replace(ruled))
    tree.image("b-1", "10000002", "50000002").parent.rename(tree.image("b-1", "10000002", "50913680").parent)
    tree.report("10000002", "50913680").write_text(
        "\n FINDINGS: None.\n \n RECOMMENDATIONS: The lungs are clear, and no change is seen.\n"
    )
    cohort, refused = read(tree, legacy_sections=legacy)
    assert refused == reasons
    assert ("The lungs are clear, and no change is seen." in set(cohort.reports["text"])) == (not legacy)


def test_a_missing_report_an_empty_image_and_an_unknown_split_are_quarantined(tree):
    tree.report("10000002", "50000002").unlink()
    tree.image("c-1", "11000003", "50000003").write_bytes(b"")
    split = tree.split()
    split.loc[0, "split"] = "holdout"
    tree.write("split", split)
    cohort, refused = read(tree)
    assert cohort.manifest["image_id"].tolist() == ["b-1"]
    assert sorted(refused) == ["no known split", "the image file is empty", "the report is missing"]


def test_a_short_report_is_quarantined_with_that_reason(tree):
    tree.report("10000002", "50000002").write_text(" IMPRESSION: Normal.\n")
    cohort, refused = read(tree)
    assert refused == ["the report has under 30 characters"]
    assert len(cohort.reports) == 2


def test_an_unknown_label_value_is_quarantined_and_its_study_has_no_labels(tree):
    labels = tree.labels()
    labels.loc[0, "Edema"] = 7
    tree.write("chexpert", labels)
    cohort, refused = read(tree)
    assert refused == ["a label is not 1, 0, -1 or empty"]
    assert cohort.manifest[list(CHEXPERT_LABELS)].iloc[0].isna().all()


def test_a_repeated_dicom_id_is_quarantined_not_guessed(tree):
    tree.write("metadata", pd.concat([tree.metadata(), tree.metadata().iloc[[0]]]))
    cohort, refused = read(tree)
    assert "a-1" not in set(cohort.manifest["image_id"])
    assert set(refused) == {"the image's id is not unique"}


def test_a_patient_id_that_climbs_out_of_the_root_is_an_error(tree):
    for name in ("metadata", "split"):
        table = getattr(tree, name)()
        table["study_id"] = "1/../../../../../outside"
        tree.write(name, table)
    with pytest.raises(UserError, match="leads out of"):
        read(tree)


def test_a_table_without_its_columns_names_the_header_it_has(tree):
    tree.write("split", tree.split().rename(columns={"split": "fold"}))
    with pytest.raises(UserError, match=r"lacks \['split'\]; its header is .*fold"):
        read(tree)


def test_a_missing_table_and_a_broken_gzip_are_told_with_a_hint(tree):
    target = tree.root / "mimic-cxr-2.0.0-chexpert.csv.gz"
    target.write_bytes(gzip.compress(b"subject_id,study_id\n" * 1000)[:40])
    with pytest.raises(UserError, match="can't be read"):
        read(tree)
    target.unlink()
    with pytest.raises(UserError, match=r"is missing.\nHint"):
        read(tree)


def test_a_report_that_is_not_utf8_is_quarantined_not_guessed(tree):
    tree.report("10000002", "50000002").write_bytes(b" FINDINGS: Caf\xe9 au lait spots do not show on radiographs.\n")
    cohort, refused = read(tree)
    assert refused == ["the report is not UTF-8"]
    assert len(cohort.reports) == 2


def zipped(tree, prefix: str) -> Path:
    archive = tree.root / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for report in sorted(tree.reports.rglob("*.txt")):
            opened.write(report, prefix + str(report.relative_to(tree.reports)))
    return archive


@pytest.mark.parametrize("prefix", ["", "mimic-cxr-reports/"])
def test_reports_are_read_in_place_from_the_zip(tree, prefix):
    archive = zipped(tree, prefix)
    before = sorted(tree.root.rglob("*"))
    cohort, refused = read(tree, reports=archive)
    pd.testing.assert_frame_equal(cohort.reports, read(tree)[0].reports)
    assert refused == []
    assert sorted(tree.root.rglob("*")) == before


def test_a_report_that_the_zip_lacks_is_quarantined(tree):
    tree.report("10000002", "50000002").unlink()
    assert read(tree, reports=zipped(tree, ""))[1] == ["the report is missing"]


def test_a_zip_member_that_climbs_out_and_a_broken_zip_are_errors(tree):
    archive = zipped(tree, "")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("../../p10/p10000009/s50000009.txt", "text")
    with pytest.raises(UserError, match=r"leads out of .*\nHint"):
        read(tree, reports=archive)
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(UserError, match=r"can't be read.*\nHint"):
        read(tree, reports=archive)


def test_a_damaged_zip_member_is_quarantined_and_the_others_are_read(tree):
    archive = zipped(tree, "")
    content = bytearray(archive.read_bytes())
    content[content.index(b"FINAL REPORT")] ^= 1
    archive.write_bytes(content)
    cohort, refused = read(tree, reports=archive)
    assert refused == ["the report can't be read from its archive"]
    assert len(cohort.reports) == 2


def test_dicom_files_are_found_by_the_list_of_records_with_the_tables_of_the_jpg_release(tree):
    cohort, refused = read(tree, layout="mimic-cxr-dicom")
    assert refused == []
    assert cohort.manifest["path"].iloc[2] == "files/p11/p11000003/s50000003/c-1.dcm"
    pd.testing.assert_frame_equal(cohort.manifest.drop(columns="path"), read(tree)[0].manifest.drop(columns="path"))


def test_a_dicom_file_that_the_list_of_records_lacks_is_quarantined(tree):
    records = pd.read_csv(tree.dicom / "cxr-record-list.csv.gz", dtype=str)
    records.iloc[1:].to_csv(tree.dicom / "cxr-record-list.csv.gz", index=False)
    assert read(tree, layout="mimic-cxr-dicom")[1] == ["the list of records lacks the image"]


def test_no_image_of_the_wanted_views_tells_which_views_there_are(tree):
    with pytest.raises(UserError, match=r"'LATERAL': 1.*\nHint: .*reading.views"):
        read(tree, views=["LL"])


def test_a_view_without_a_name_is_unknown_and_read_where_that_is_wanted(tree):
    metadata = tree.metadata()
    metadata["ViewPosition"] = [None, "SWIMMERS", "PA", "AP"]
    tree.write("metadata", metadata)
    assert read(tree, views=["UNKNOWN"])[0].manifest["image_id"].tolist() == ["a-1", "a-2"]


def test_boxes_come_in_pixels_of_the_original_once_each(tree):
    rows = [("a-1", "Cardiomegaly", text, 1, 2, 3, 4) for text in ("large heart", "cardiomegaly")]
    table = pd.DataFrame(rows, columns=["dicom_id", "category_name", "label_text", "x", "y", "w", "h"])
    table.to_csv(tree.root / "boxes.csv", index=False)
    boxes = read(tree)[0].manifest["boxes"]
    assert boxes.iloc[0] == [{"label": "Cardiomegaly", "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}]
    assert boxes.isna().tolist() == [False, True, True]


def test_canonical_tables_survive_writing_and_reading(tree, tmp_path):
    cohort, _ = read(tree)
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    write_reports(tmp_path / "reports.parquet", cohort.reports)
    back = pd.read_parquet(tmp_path / "manifest.parquet")
    assert read_labels(tmp_path / "manifest.parquet") == list(CHEXPERT_LABELS)
    assert back["Cardiomegaly"].dtype == np.float32
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "reports.parquet"), cohort.reports, check_dtype=False)


def test_a_manifest_with_a_wrong_value_is_not_written(tree, tmp_path):
    cohort, _ = read(tree)
    with pytest.raises(UserError, match="not canonical"):
        write_manifest(tmp_path / "manifest.parquet", cohort.manifest.assign(Edema=0.5), cohort.labels)
    assert not (tmp_path / "manifest.parquet").exists()
