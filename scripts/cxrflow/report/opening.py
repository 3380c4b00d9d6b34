"""The opening page: what ran, on what, for how long, with which configuration, and where to look first."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cxrflow.config import Config, parse_config, systems_of
from cxrflow.durations import Durations, rule_durations, spoken
from cxrflow.last_words import FIRST_LOOK
from cxrflow.settings import System

SYSTEMS: dict[System, str] = {
    "neural": "which patches of a radiograph a vision-language model's attention keeps, and what a graph network still "
    "reads from them",
    "prunecxr": "which diseases a long-tailed classifier forgets as its weights are pruned, and in whom",
    "igcl": "what encoders that learnt from report graphs read from radiographs with few labels",
    "patchib": "how radiographs and reports find each other, and which patches of a radiograph that takes",
    "clear": "what encoders of CT slices that were told where lesions are carry over to the reading of whole scans",
}
COUNTED = ("patients", "studies", "images")
SLOWEST = 5


def opening(results: Path, entries: Mapping[str, Any]) -> str:
    """Return the page as HTML; `entries` are what the report shows, by path. It counts patients and names none."""
    config = yaml.safe_load((results / "config.yaml").read_text(encoding="utf-8"))
    parts = [
        "<h1>cxrflow</h1>",
        "<p>Chest-imaging studies from raw files to figures, on one set of patient-disjoint splits. Choose a group of "
        "results on the left: the eye opens one, the i tells how to read it and how it was made.</p>",
        *_cohorts(results, config),
        *_systems(parse_config(config)),
        *_first(entries),
        *_time(rule_durations(results / "benchmarks")),
        "<h2>With which configuration</h2>",
        "<p>Every key with its value, defaults included; as a file it is <code>results/config.yaml</code>, which "
        "Snakemake takes as <code>--configfile</code>.</p>",
        f"<details><summary>the whole configuration</summary><pre>{escape(yaml.safe_dump(config, sort_keys=False))}"
        "</pre></details>",
        "<h2>Which rules ran</h2>",
        "<p>A line leads from a rule to those that use what it makes; a click on a rule tells more.</p>",
    ]
    return "\n".join(parts)


def _cohorts(results: Path, config: dict[str, Any]) -> Iterable[str]:
    rows = [_cohort(results, name, config["cohorts"][name]) for name in config["run"]["cohorts"]]
    yield "<h2>On what</h2>"
    yield _table(
        ["cohort", "layout", "radiographs", *COUNTED, "train / validate / test (patients)", "refused rows"], rows
    )
    if any(config["cohorts"][name]["simulate"] for name in config["run"]["cohorts"]):
        yield (
            "<p><strong>Simulated radiographs:</strong> they show whether the method works as described, not how well "
            "it reads patients. Boxes and findings are known because they were drawn.</p>"
        )


def _cohort(results: Path, name: str, about: dict[str, Any]) -> list[str]:
    table = pd.read_csv(results / name / "cohort/table1.csv", dtype={"level": str})
    counts = table[table["attribute"].isin(COUNTED)].set_index(["attribute", "split"])["count"].astype(int)
    shares = " / ".join(str(counts["patients", split]) for split in ("train", "validate", "test"))
    refused = len(pd.read_csv(results / "quarantine" / f"{name}.csv"))
    kind = "simulated" if about["simulate"] else "real"
    return [name, about["format"], kind, *(str(counts[what, "all"]) for what in COUNTED), shares, str(refused)]


def _systems(config: Config) -> Iterable[str]:
    yield "<h2>What ran</h2>"
    for system in config.run.systems:
        cohorts = [name for name in config.run.cohorts if system in systems_of(config, name)]
        if cohorts:
            yield f"<p><strong>{escape(system)}</strong> on {escape(', '.join(cohorts))}: {SYSTEMS[system]}.</p>"


def _first(entries: Mapping[str, Any]) -> Iterable[str]:
    """List the most telling figures; a click opens one."""
    found = [path for name in FIRST_LOOK for path in sorted(entries) if path.endswith(f"/{name}")]
    if found:
        yield "<h2>Where to look first</h2>"
        yield "<ul>" + "".join(f"<li>{_link(path, entries[path])}</li>" for path in found) + "</ul>"


def _link(path: str, entry: Mapping[str, Any]) -> str:
    kind = "img" if entry["mime_type"].startswith("image/") else "html"
    view = f"{{content: '{kind}', contentPath: results[{path!r}].data_uri, resultPath: {path!r}}}"
    labels = entry["labels"] or {}
    told = (
        f"{labels.get('shows', entry['name'])} ({labels['cohort']})" if "cohort" in labels else labels.get("shows", "")
    )
    return f'<a href="#" onclick="{escape(f"app.setView({view}); return false")}">{escape(told or path)}</a>'


def _time(durations: Durations) -> Iterable[str]:
    if not durations.jobs:
        return
    yield "<h2>For how long</h2>"
    yield (
        f"<p>{durations.jobs} jobs of {len(durations.seconds)} rules worked {spoken(durations.total)} in all, one "
        "after the other; jobs that ran at once took less. The slowest rules:</p>"
    )
    slowest = durations.slowest(SLOWEST)
    yield _table(["rule", "jobs", "time"], [[rule, str(jobs), spoken(seconds)] for rule, jobs, seconds in slowest])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"
