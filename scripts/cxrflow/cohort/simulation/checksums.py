"""The list of checksums that marks a simulated tree as whole."""

from pathlib import Path

from cxrflow.files import sha256, write_text

SUMS = "SHA256SUMS.txt"


def write_sums(root: Path) -> None:
    """Write the checksum of every file of the tree: the last file, so the mark of a whole tree.

    Hidden files are temporary ones that a killed run has left behind; they are removed.
    """
    for leftover in [path for path in root.rglob(".*") if path.is_file()]:
        leftover.unlink()
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != SUMS)
    write_text(root / SUMS, "".join(f"{sha256(path)}  {path.relative_to(root)}\n" for path in files))
