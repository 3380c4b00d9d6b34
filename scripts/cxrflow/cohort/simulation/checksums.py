"""The list of checksums that marks a simulated tree as whole."""

from collections.abc import Sequence
from pathlib import Path

from cxrflow.provenance import write_list

SUMS = "SHA256SUMS.txt"


def write_sums(folders: Sequence[Path]) -> None:
    """Write the checksums of all files of these folders into the first: its last file, the mark of a whole tree.

    Hidden files are temporary ones that a killed run has left behind; they are removed.
    """
    for leftover in [path for folder in folders for path in folder.rglob(".*") if path.is_file()]:
        leftover.unlink()
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SUMS]
    write_list(folders[0] / SUMS, files)
