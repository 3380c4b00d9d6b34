"""The shipped profile with a trial cluster's names in it, as a user would put in theirs."""

from pathlib import Path

NAMES = {"YOUR_CPU_PARTITION": "cpu", "YOUR_GPU_PARTITION": "gpu"}


def shipped(root: Path) -> str:
    return (root / "workflow/profiles/slurm/config.yaml").read_text()


def filled_in(root: Path, folder: Path) -> Path:
    """Write the profile into a folder and return it; the trial cluster keeps no accounts, so their line is left out."""
    lines = [line for line in shipped(root).splitlines() if "YOUR_ACCOUNT" not in line]
    text = "\n".join(lines) + "\n"
    for placeholder, name in NAMES.items():
        text = text.replace(placeholder, name)
    (folder / "config.yaml").write_text(text)
    return folder
