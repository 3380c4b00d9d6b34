"""The real Open-I (Indiana University) chest reports with their human index, read inside an installed package.

The reports are CC BY-NC-ND 4.0: they are read from the archive, never copied into this repository.
"""

import importlib.util
import re
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from cxrflow.errors import UserError
from cxrflow.files import confined

ARCHIVE = Path("data", "NLMCXR_reports.tgz")
MAX_MEMBER_BYTES = 1_000_000  # the largest real member has about 15 kB
HINT_ARCHIVE = "Install torchxrayvision==1.5.7, which ships the archive, or name an intact NLMCXR_reports.tgz."


@dataclass(frozen=True)
class OpenIReport:
    """One study: its sections as written ('XXXX' stands for de-identified words), the paths of its human index, and the
    names of its images (such as 'CXR1_1_IM-0001-3001', without a suffix)."""

    uid: str
    indication: str
    comparison: str
    findings: str
    impression: str
    index: tuple[str, ...]
    images: tuple[str, ...] = ()


def installed_archive() -> Path:
    """Return the archive inside the installed torchxrayvision, without importing that package (it imports torch)."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or spec.origin is None:
        raise UserError("The package torchxrayvision is not installed; its Open-I reports were expected.", HINT_ARCHIVE)
    archive = Path(spec.origin).parent / ARCHIVE
    if not archive.is_file():
        raise UserError(f"Expected the Open-I reports at {archive}, found no such file.", HINT_ARCHIVE)
    return archive


def read_openi(archive: Path) -> list[OpenIReport]:
    """Read every report of the archive, sorted by its number.

    Raises UserError where the archive is unreadable, a member would leave its folder, an XML file carries a DTD or
    entities, or two members carry the same number.
    """
    try:
        with tarfile.open(archive) as opened:
            reports = [parse_report(content, name) for name, content in _members(opened)]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"Cannot read the Open-I archive {archive}: {error}", HINT_ARCHIVE) from error
    if not reports:
        raise UserError(f"Expected reports (*.xml) in {archive}, found none.", HINT_ARCHIVE)
    if len({report.uid for report in reports}) != len(reports):
        raise UserError(f"Two members of {archive} carry the same report number.", HINT_ARCHIVE)
    return sorted(reports, key=lambda report: int(report.uid))


def parse_report(content: bytes, name: str) -> OpenIReport:
    """Parse one XML file; `name` is told in errors."""
    root = _safe_xml(content, name)
    number = root.find("uId")
    match = re.fullmatch(r"CXR([0-9]{1,9})", "" if number is None else number.get("id", ""))
    if match is None:
        raise UserError(f"Expected <uId id='CXR...'> in {name}, found none.", HINT_ARCHIVE)
    texts: dict[str, list[str]] = {}
    for element in root.iter("AbstractText"):
        texts.setdefault(element.get("Label", "").lower(), []).append((element.text or "").strip())
    sections = {label: " ".join(filter(None, parts)) for label, parts in texts.items()}
    majors = (" ".join((element.text or "").split()) for element in root.iter("major"))
    return OpenIReport(
        uid=match.group(1),
        indication=sections.get("indication", ""),
        comparison=sections.get("comparison", ""),
        findings=sections.get("findings", ""),
        impression=sections.get("impression", ""),
        index=tuple(major for major in majors if major),
        images=tuple(image for element in root.iter("parentImage") if (image := element.get("id"))),
    )


def _members(opened: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield the XML members; nothing is unpacked, yet a name that leads outside marks a forged archive."""
    for member in opened:
        confined(Path("archive"), member.name)
        if member.isdir() or not member.name.endswith(".xml"):
            continue
        stream = opened.extractfile(member) if member.isreg() else None
        if stream is None or member.size > MAX_MEMBER_BYTES:
            raise UserError(
                f"Expected {member.name} to be a plain file of at most {MAX_MEMBER_BYTES} bytes.", HINT_ARCHIVE
            )
        yield member.name, stream.read()


def _safe_xml(content: bytes, name: str) -> ElementTree.Element:
    """Parse XML after a pass that refuses document types: these alone can declare entities."""

    def refuse(*_: object) -> None:
        raise UserError(f"{name} declares a document type; reports have none.", HINT_ARCHIVE)

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    try:
        guard.Parse(content, True)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: encodings
        raise UserError(f"{name} is not well-formed XML: {error}", HINT_ARCHIVE) from error
