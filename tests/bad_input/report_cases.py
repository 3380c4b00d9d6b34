"""Bad inputs of Open-I (XML and csv), RadGraph's files, and published predictions."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from tests.bad_input.case import Area, Case, error, row, whole_way, with_grey
from tests.cohort.test_openi_adapter import PROJECTIONS, CsvTree, pack, unpack, xml
from tests.prunecxr.test_restricted_pickle import LIMIT, Asks
from tests.reports.radgraph_samples import EFFUSION

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.prunecxr.pickled_tables import read_pickled_table
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

XML, ARCHIVE = "ecgen-radiology/*.xml", "NLMCXR_reports.tgz"
DOCTYPE = "declares a document type; reports have none."
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


def openi(folder: Path) -> Path:
    unpack(folder)
    with_grey(folder)
    return folder


def read_openi(root: Path) -> list[str]:
    return whole_way("openi-xml", Source(root, root), root.parent, views=["UNKNOWN"])


def report(content: str | bytes, uid: str = "2") -> Callable[[Path], int]:
    """Write one of the XML files anew."""
    written = content if isinstance(content, bytes) else content.encode()
    return lambda root: (root / f"ecgen-radiology/{uid}.xml").write_bytes(written)


def declared(declaration: str, text: str) -> str:
    return xml("2", findings=text).replace("<eCitation>", f"{declaration}<eCitation>")


def archived(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[Path], None]:
    """Pack the reports with further members."""

    def damage(root: Path) -> None:
        contents = {file.name: file.read_bytes() for file in (root / "ecgen-radiology").glob("*.xml")}
        pack(root)
        with tarfile.open(root / ARCHIVE, "w:gz") as archive:
            sound = [(tarfile.TarInfo(f"ecgen-radiology/{name}"), content) for name, content in contents.items()]
            for member, content in [*sound, *members]:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return damage


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def cut_archive(root: Path) -> None:
    pack(root)
    content = (root / ARCHIVE).read_bytes()
    (root / ARCHIVE).write_bytes(content[: len(content) // 2])


OPENI_XML: tuple[Case, ...] = (
    row("entities that expand a billionfold", XML, f"2.xml {DOCTYPE}",
        report(declared(f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]>', "&a9;"))),
    row("an entity that reads a file", XML, f"2.xml {DOCTYPE}",
        report(declared('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>', "&b;"))),
    row("a document type from elsewhere", XML, f"2.xml {DOCTYPE}",
        report(declared('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">', "Clear."))),
    row("an entity that nobody declared", XML, "2.xml is not well-formed XML", report(xml("2", findings="&b;"))),
    row("a file that is cut off", XML, "2.xml is not well-formed XML", report(xml("2")[:200])),
    row("an empty file", XML, "2.xml is not well-formed XML", report(b"")),
    row("an unknown encoding", XML, "2.xml is not well-formed XML", report(xml("2").replace("utf-8", "klingon"))),
    row("bytes that are not the named encoding", XML, "2.xml is not well-formed XML",
        report(xml("2", findings="caf_").encode().replace(b"caf_", b"caf\xe9"))),
    row("no report number", XML, "Expected <uId id='CXR...'> in 2.xml", report(xml("2").replace("CXR2\"/>", '"/>'))),
    row("a report number of 5,000 digits", XML, "Expected <uId id='CXR...'> in 2.xml",
        report(xml("2").replace('id="CXR2"', f'id="CXR{"9" * 5000}"'))),
    row("one report number in two files", XML, "another file has the same report number", report(xml("3"), "4")),
    row("one image in two reports", XML, "the image's id is not unique",
        report(xml("2").replace("</eCitation>", '<parentImage id="CXR3_IM-1384-1001"/></eCitation>'))),
    row("a folder that is named as a report", XML, "9.xml is no plain file",
        lambda root: (root / "ecgen-radiology/9.xml").mkdir()),
    row("a report of megabytes", XML, "2.xml is no plain file of at most", report(bytes(2_000_000))),
    error("an image that climbs out of the root", XML, "leads out of",
          report(xml("2").replace("CXR2_IM-0652-1001", "../../secret"))),
    error("a folder without reports", XML, "holds no report",
          lambda root: [file.unlink() for file in (root / "ecgen-radiology").iterdir()]),
    error("a member that climbs out", ARCHIVE, "leads out of",
          archived((tarfile.TarInfo("../../9.xml"), xml("2").encode()))),
    error("a link to a file of this machine", ARCHIVE, "to be a plain file",
          archived((link("ecgen-radiology/9.xml", "/etc/passwd"), b""))),
    error("a member that inflates to megabytes", ARCHIVE, "of at most 1000000 bytes",
          archived((tarfile.TarInfo("ecgen-radiology/9.xml"), bytes(2_000_000)))),
    error("a hostile member", ARCHIVE, "declares a document type",
          archived((tarfile.TarInfo("ecgen-radiology/9.xml"), declared("<!DOCTYPE a>", "Clear.").encode()))),
    error("one report number in two members", ARCHIVE, "carry the same report number",
          archived((tarfile.TarInfo("ecgen-radiology/9.xml"), xml("2").encode()))),
    error("an archive that is cut off", ARCHIVE, "Cannot read the Open-I archive", cut_archive),
    error("a text in place of an archive", ARCHIVE, "Cannot read the Open-I archive",
          lambda root: (pack(root), (root / ARCHIVE).write_text("no archive"))),
)  # fmt: skip


def csv_tree(folder: Path) -> CsvTree:
    made = CsvTree(folder)
    with_grey(folder)
    return made


def read_csv(made: CsvTree) -> list[str]:
    return whole_way("openi-csv", Source(made.root, made.root), made.root.parent)


def projections(*added: tuple[str | None, str | None, str]) -> Callable[[CsvTree], None]:
    return lambda made: made.projections([*PROJECTIONS, *added])  # type: ignore[list-item]


NO_UID = "the row has no uid, or a projection that is not Frontal or Lateral"
OPENI_CSV: tuple[Case, ...] = (
    row("an image without a name", "indiana_projections.csv", "the row has no file name",
        projections(("2", None, "Frontal"))),
    row("a projection that is none of the two", "indiana_projections.csv", NO_UID,
        projections(("2", "2_IM-9.dcm.png", "Oblique"))),
    row("an image without a uid", "indiana_projections.csv", NO_UID, projections((None, "9.dcm.png", "Frontal"))),
    row("one uid with two reports", "indiana_reports.csv", "the uid is not unique",
        lambda made: made.reports({"2": {"uid": "1"}})),
    row("a report without a uid", "indiana_reports.csv", "the row has no uid",
        lambda made: made.reports({"10": {"uid": ""}})),
    row("an empty report", "indiana_reports.csv", "the report is missing",
        lambda made: made.reports({"2": dict.fromkeys(("indication", "comparison", "findings", "impression"), "")})),
    error("a file name that climbs out of the root", "indiana_projections.csv", "leads out of",
          projections(("2", "../../../secret.png", "Frontal"))),
    error("a table of reports without its texts", "indiana_reports.csv", "lacks ['findings']",
          lambda made: made.reports({}, findings="FINDINGS")),
)  # fmt: skip

RADGRAPH_FILE = "MIMIC-CXR_graphs.json"
KEYS = [f"files/p10/p1000000{n}/s5000000{n}.txt" for n in range(3)]


def annotations(folder: Path) -> Path:
    (folder / RADGRAPH_FILE).write_text(json.dumps(dict.fromkeys(KEYS, EFFUSION)))
    return folder


def read_annotations(folder: Path) -> list[str]:
    reports = pd.DataFrame({"study_id": [f"5000000{n}" for n in range(3)], "text": "small left pleural effusion ."})
    refused = Quarantine("catalogue")
    write_extraction(
        reports, folder / "findings.parquet", folder / "graphs.jsonl", ExtractSettings(extractor="radgraph-json"),
        annotations=[folder / RADGRAPH_FILE], refused=refused,
    )  # fmt: skip
    return [reason for _, _, _, reason in refused.rows]


def bent(number: str, **fields: object) -> Callable[[Path], int]:
    """Change one entity of the first annotation."""

    def damage(folder: Path) -> int:
        content = json.loads((folder / RADGRAPH_FILE).read_text())
        content[KEYS[0]]["entities"][number].update(fields)
        return (folder / RADGRAPH_FILE).write_text(json.dumps(content))

    return damage


def first(value: Any) -> Callable[[Path], int]:
    """Put another value in place of the first annotation."""
    return lambda folder: (folder / RADGRAPH_FILE).write_text(
        json.dumps({KEYS[0]: value, **dict.fromkeys(KEYS[1:], EFFUSION)})
    )


def raw(edit: Callable[[bytes], bytes]) -> Callable[[Path], int]:
    return lambda folder: (folder / RADGRAPH_FILE).write_bytes(edit((folder / RADGRAPH_FILE).read_bytes()))


RADGRAPH: tuple[Case, ...] = (
    row("a relation to an entity that is not there", RADGRAPH_FILE,
        "a relation leads to an entity that the report lacks", bent("4", relations=[["located_at", "9"]])),
    row("a relation to an entity that is refused", RADGRAPH_FILE, "a relation leads to a refused entity",
        bent("3", label="ANATOMY")),
    row("an entity that is related to itself", RADGRAPH_FILE, "an entity is related to itself",
        bent("4", relations=[["modify", "4"]])),
    row("a relation of an unknown type", RADGRAPH_FILE, "a relation has an unknown type",
        bent("4", relations=[["shows", "3"]])),
    row("relations that are no list", RADGRAPH_FILE, "the relations of an entity are no list",
        bent("4", relations={"located_at": "3"})),
    row("a relation without a target", RADGRAPH_FILE, "a relation is not a pair of type and target",
        bent("4", relations=[["modify"]])),
    row("an unknown label", RADGRAPH_FILE, "an entity has an unknown label", bent("5", label="OBS-XX")),
    row("offsets beyond the text", RADGRAPH_FILE, "the offsets of an entity lead out of the text",
        bent("5", start_ix=80, end_ix=80)),
    row("offsets below 0", RADGRAPH_FILE, "the offsets of an entity lead out of the text",
        bent("5", start_ix=-2, end_ix=-2)),
    row("offsets of other words", RADGRAPH_FILE, "the tokens of an entity are not those at its offsets",
        bent("5", start_ix=0, end_ix=0)),
    row("an annotation without a text", RADGRAPH_FILE, "the annotation has no text or no entities",
        first({"entities": {}})),
    row("a list in place of entities", RADGRAPH_FILE, "the annotation has no text or no entities",
        first({"text": "x", "entities": []})),
    row("nothing in place of an annotation", RADGRAPH_FILE, "the annotation has no text or no entities", first(None)),
    row("letters in Latin-1", RADGRAPH_FILE, "the annotation is not in UTF-8",
        raw(lambda old: old.replace(b"pneumothorax", b"pneum\xf6thorax", 1))),
    row("a study without an annotation", RADGRAPH_FILE, "no RadGraph annotation",
        lambda folder: (folder / RADGRAPH_FILE).write_text(json.dumps(dict.fromkeys(KEYS[1:], EFFUSION)))),
    error("a file that is cut off", RADGRAPH_FILE, "Expected one JSON object or list", raw(lambda old: old[:-40])),
    error("a file of brackets", RADGRAPH_FILE, "Expected one JSON object or list", raw(lambda _: b"[" * 200_000)),
    error("an empty file", RADGRAPH_FILE, "Expected one JSON object or list", raw(lambda _: b"")),
    error("a second object behind the first", RADGRAPH_FILE, "Expected one JSON object or list",
          raw(lambda old: old + old)),
    error("annotations of another data set", RADGRAPH_FILE, "belongs to the cohort",
          raw(lambda old: old.replace(b"s5000000", b"s6000000"))),
    error("a missing file", RADGRAPH_FILE, "There is no file", lambda folder: (folder / RADGRAPH_FILE).unlink()),
)  # fmt: skip


def pickled(content: bytes) -> Callable[[Path], int]:
    return lambda folder: (folder / "table.pkl").write_bytes(content)


def read_predictions(folder: Path) -> list[str]:
    read_pickled_table(folder / "table.pkl", LIMIT)
    return []


def hostile() -> bytes:
    import pickle

    return pickle.dumps(Asks(os.system, "true"))


PREDICTIONS: tuple[Case, ...] = (
    error("a pickle that calls the system", "*.pkl", "", pickled(hostile())),
    error("a pickle that is cut off", "*.pkl", "", pickled(b"\x80\x05\x95")),
    error("a text in place of a pickle", "*.pkl", "", pickled(b"no table")),
)
TEXTS = (
    Area("Open-I: XML", openi, read_openi, OPENI_XML),
    Area("Open-I: csv", csv_tree, read_csv, OPENI_CSV),
    Area("RadGraph's files", annotations, read_annotations, RADGRAPH),
    Area("Published predictions", lambda folder: folder, read_predictions, PREDICTIONS),
)
