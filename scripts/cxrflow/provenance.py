"""Which job made a file: one record per job below results/provenance/jobs/, with the checksums of what it made.

A record tells rule, configuration, code, packages, device, threads and seeds. It holds names of files, numbers and
digests, and nothing of any patient.
"""

import hashlib
import json
import os
import platform
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cxrflow.files import forget_leftovers, sha256, write_json, write_text

FOLDER = "provenance"


def results_of(snakemake: Any) -> Path:
    """Return the results folder of a job: its log file lies below logs/ there."""
    return next(folder.parent for folder in Path(snakemake.log[0]).parents if folder.name == "logs")


def record_path(snakemake: Any) -> Path:
    """Return where a job is recorded: results/logs/a/b.log is that of results/provenance/jobs/a/b.json."""
    results, log = results_of(snakemake), Path(snakemake.log[0])
    return results / FOLDER / "jobs" / log.relative_to(results / "logs").with_suffix(".json")


def begin(snakemake: Any) -> None:
    """Forget what an earlier run of this job recorded, and what a killed one left half-written."""
    if is_first_process():
        record_path(snakemake).unlink(missing_ok=True)
        for file in snakemake.output:
            forget_leftovers(file)


def record(snakemake: Any) -> None:
    """Write the record of a finished job, and the configuration that it names."""
    if not is_first_process():
        return
    results = results_of(snakemake)
    configuration = _digest(snakemake.config)
    _keep(results / FOLDER / "configurations" / f"{configuration}.json", snakemake.config)
    made = checksums(_files(snakemake.output))
    facts = {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "outputs": {os.path.relpath(file, results): digest for file, digest in made.items()},
        "inputs": _inputs(snakemake),
        "configuration": configuration,
        "parameters": _digest(dict(snakemake.params.items())),
        "code": _code(snakemake),
        "packages": _packages(),
        "device": _device(),
        "threads": snakemake.threads,
        "seeds": dict(_seeds({**dict(snakemake.params.items()), **dict(snakemake.wildcards.items())})),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(record_path(snakemake), facts)


def checksums(files: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, from a list among `files` where it has it: image stores are large."""
    files = list(files)
    listed = {file: digest for one in files if is_list(one) for file, digest in read_list(one).items()}
    return {file: listed.get(file) or sha256(file) for file in files}


def is_list(file: Path) -> bool:
    """Return whether a file lists checksums in the form of sha256sum."""
    return file.suffix == ".sha256" or file.name == "SHA256SUMS.txt"


def read_list(file: Path) -> dict[Path, str]:
    """Return the files that a list names (relative to its folder), and their checksums."""
    pairs = (line.partition("  ") for line in file.read_text(encoding="utf-8").splitlines())
    return {Path(os.path.normpath(file.parent / name)): digest for digest, _, name in pairs}


def write_list(target: Path, files: Iterable[Path]) -> None:
    """Write the checksums of files in the form of sha256sum, their names relative to the folder of `target`."""
    write_text(target, "".join(f"{sha256(file)}  {os.path.relpath(file, target.parent)}\n" for file in files))


def is_first_process() -> bool:
    """Return whether this is the first of several processes that run one script (PyTorch's launcher numbers them)."""
    return os.environ.get("RANK", "0") == "0"


def _files(outputs: Iterable[str]) -> Iterator[Path]:
    for output in map(Path, outputs):
        yield from (file for file in sorted(output.rglob("*")) if file.is_file()) if output.is_dir() else [output]


def _inputs(snakemake: Any) -> dict[str, str | None]:
    """Return the inputs; a user's own files with their checksums (those below results/ are in another record)."""
    results, code = results_of(snakemake).absolute(), set(snakemake.input.get("code", []))
    given = [file for file in snakemake.input if file not in code]
    return {
        file: None if results in Path(file).absolute().parents or not Path(file).is_file() else sha256(file)
        for file in given
    }


def _code(snakemake: Any) -> str:
    """Return a digest of the script and of the library modules that it imports."""
    scripts = Path(snakemake.scriptdir)
    files = [scripts / f"{snakemake.rule}.py", *map(Path, snakemake.input.get("code", []))]
    return _digest(sorted((os.path.relpath(file, scripts), sha256(file)) for file in files))


def _packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that were imported, by the name under which they are."""
    names = {name.partition(".")[0] for name in list(sys.modules)} - set(sys.stdlib_module_names)
    found = {name: _version(name) for name in sorted(names) if not name.startswith("_")}
    return {"python": platform.python_version(), **{name: version for name, version in found.items() if version}}


def _version(name: str) -> str | None:
    with warnings.catch_warnings():  # some packages warn of their own attribute
        warnings.simplefilter("ignore")
        told = getattr(sys.modules.get(name), "__version__", None)
    if isinstance(told, str):
        return told
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    """Return the GPU that this process sees, or the processor with the instructions that PyTorch uses on it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return platform.machine()
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _seeds(facts: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, int]]:
    """Yield every single seed of (nested) parameters and wildcards, by its place."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{place}{name}.")
        elif (name == "seed" or name.endswith("_seed")) and str(value).isdigit():
            yield f"{place}{name}", int(value)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _keep(path: Path, content: Any) -> None:
    if not path.exists():
        write_json(path, content)
