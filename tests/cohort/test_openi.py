import io
import tarfile
from pathlib import Path

import pytest

from cxrflow.cohort.openi import installed_archive, parse_report, read_openi
from cxrflow.errors import UserError

XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="INDICATION">Cough</AbstractText>
<AbstractText Label="FINDINGS">The heart is enlarged.</AbstractText><AbstractText Label="IMPRESSION"/>
</Abstract></Article></MedlineCitation>
<MeSH><major>Cardiomegaly/mild</major><major> Opacity/lung/base/left </major><automatic>Heart</automatic></MeSH>
</eCitation>"""


def archive(folder: Path, members: dict[str, str]) -> Path:
    path = folder / "reports.tgz"
    with tarfile.open(path, "w:gz") as opened:
        for name, text in members.items():
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return path


def test_sections_and_index_are_read() -> None:
    report = parse_report(XML.encode(), "7.xml")
    assert (report.uid, report.comparison, report.indication) == ("7", "None.", "Cough")
    assert (report.findings, report.impression) == ("The heart is enlarged.", "")
    assert report.index == ("Cardiomegaly/mild", "Opacity/lung/base/left")


def test_reports_are_sorted_by_number_not_by_name(tmp_path: Path) -> None:
    members = {f"ecgen-radiology/{number}.xml": XML.replace("CXR7", f"CXR{number}") for number in (10, 9, 100)}
    assert [report.uid for report in read_openi(archive(tmp_path, members))] == ["9", "10", "100"]


@pytest.mark.parametrize(
    "declaration", ['<!DOCTYPE eCitation [<!ENTITY a "aaaa">]>', '<!DOCTYPE a SYSTEM "file:///etc/passwd">']
)
def test_document_types_are_refused(declaration: str) -> None:
    forged = XML.replace('encoding="utf-8"?>', f'encoding="utf-8"?>{declaration}')
    with pytest.raises(UserError, match="document type"):
        parse_report(forged.encode(), "7.xml")
    with pytest.raises(UserError, match="document type"):
        parse_report(forged.replace("utf-8", "utf-16").encode("utf-16"), "7.xml")


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/evil.xml"])
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="leads out of"):
        read_openi(archive(tmp_path, {name: XML}))


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "reports.tgz"
    with tarfile.open(path, "w:gz") as opened:
        member = tarfile.TarInfo("ecgen-radiology/1.xml")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(member)
    with pytest.raises(UserError, match="plain file"):
        read_openi(path)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_unreadable_archives_say_so_with_a_hint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reports.tgz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="Hint"):
        read_openi(path)


def test_broken_xml_and_double_numbers_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not well-formed"):
        read_openi(archive(tmp_path, {"a/1.xml": XML[:-20]}))
    with pytest.raises(UserError, match="same report number"):
        read_openi(archive(tmp_path, {"a/1.xml": XML, "a/2.xml": XML}))


def test_the_installed_archive_holds_the_published_number_of_reports() -> None:
    reports = read_openi(installed_archive())
    assert len(reports) == 3955
    assert sum(bool(report.findings and report.impression) for report in reports) == pytest.approx(3419, abs=5)
