"""Compares everything below results/ with the records of the jobs that made it, and shows the record of a file.

python -m cxrflow.verification results             names what was altered, is missing, or is in no record
python -m cxrflow.verification results FILE ...    prints the record of the job that made each file
"""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrflow.errors import UserError
from cxrflow.files import sha256
from cxrflow.provenance import FOLDER, is_list, read_list

NOT_RECORDED = {"logs", "benchmarks", FOLDER}
"""Folders of results/ that hold what a run says of itself."""
WORKING = {"resume", "waiting", "simulation", "simulation.json"}
"""What a job keeps to go on from, or to save work; it makes no result by itself."""
PAGES = {"report.html", "report.zip", "rulegraph.svg", "dag.svg"}
"""What `make report` and `make dag` write."""
SHOWN = 20
HINT = (
    "Hint: delete what was altered, and the list of checksums (*.sha256, SHA256SUMS.txt) that names it where one does; "
    "then ask for the file (or its list) by name, `snakemake --cores all FILE`, and run the workflow again."
)


@dataclass(frozen=True)
class Findings:
    """What differs from the records: files whose bytes changed, files that are gone, files that no record names."""

    checked: int
    altered: list[Path]
    missing: list[Path]
    unrecorded: list[Path]

    @property
    def whole(self) -> bool:
        """Whether all that was recorded is there, bit for bit."""
        return not self.altered and not self.missing


def verify(results: Path) -> Findings:
    """Compute the checksum of every recorded file anew."""
    expected, unreadable = _expected(results)
    present = sorted(file for file in expected if file.is_file())
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(present, pool.map(sha256, present), strict=True))
    altered = [file for file, digest in digests.items() if digest != expected[file]]
    missing = sorted(set(expected) - set(present))
    unrecorded = [file for file in _results(results) if file not in expected]
    return Findings(len(present), unreadable + altered, missing, unrecorded)


def record_of(results: Path, file: Path) -> dict[str, Any]:
    """Return the record of the job that made a file; raise UserError where there is none."""
    for path in _records(results):
        record = _read(path)
        made = [results / name for name in record["outputs"]] if record else []
        listed = (one for output in made if is_list(output) and output.is_file() for one in read_list(output))
        if record and any(one.absolute() == file.absolute() for one in (*made, *listed)):
            return record
    raise UserError(
        f"No record below {results / FOLDER} names {file}.",
        "It was made by hand, or its job was killed before it could be noted: delete it and run the workflow again.",
    )


def describe(findings: Findings, results: Path) -> str:
    """Return the findings as lines for a person."""
    lines = [f"{findings.checked} files compared with their records."]
    for title, files in (
        ("altered since they were made", findings.altered),
        ("missing", findings.missing),
        ("in no record (made by hand, or by a job that was killed before it could be noted)", findings.unrecorded),
    ):
        lines += [f"{len(files)} {title}:"] if files else []
        lines += [f"  {file.relative_to(results)}" for file in files[:SHOWN]]
        lines += [f"  and {len(files) - SHOWN} more"] if len(files) > SHOWN else []
    if findings.whole:
        return "\n".join([*lines, "Nothing that was recorded has changed."])
    return "\n".join([*lines, HINT])


def _expected(results: Path) -> tuple[dict[Path, str], list[Path]]:
    """Return the checksum of every recorded file, those in recorded lists included, and the records that are broken."""
    expected: dict[Path, str] = {}
    broken = []
    for path in _records(results):
        record = _read(path)
        if record is None:
            broken.append(path)
            continue
        expected |= {results / name: digest for name, digest in record["outputs"].items()}
    for file in [file for file in expected if is_list(file) and file.is_file()]:
        expected = read_list(file) | expected
    return expected, broken


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if isinstance(record["outputs"], dict) else None
    except (ValueError, KeyError, TypeError):
        return None


def _records(results: Path) -> list[Path]:
    """Return the records; a hidden one is what a kill left of its writing."""
    return sorted((results / FOLDER / "jobs").rglob("[!.]*.json"))


def _results(results: Path) -> Iterator[Path]:
    """Yield every file that a job should have recorded."""
    for file in sorted(results.rglob("*")):
        parts = file.relative_to(results).parts
        hidden = any(part.startswith(".") for part in parts)
        aside = parts[0] in NOT_RECORDED | PAGES or WORKING.intersection(parts)
        if file.is_file() and not hidden and not aside:
            yield file


def main(arguments: list[str]) -> int:
    """Verify a results folder, or print the records of files in it; return the exit status."""
    try:
        results, files = Path(arguments[0]), [Path(name) for name in arguments[1:]]
        if not _records(results):
            raise UserError(f"There is no record below {results / FOLDER}.", "Run the workflow first.")
        if files:
            print(json.dumps([record_of(results, file) for file in files], indent=2))
            return 0
        findings = verify(results)
        print(describe(findings, results))
        return 0 if findings.whole else 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
