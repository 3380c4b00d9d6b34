"""The jobs of a configuration, from a dry run in an empty folder: no raw file and no earlier result plays a part."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from snakemake.api import SnakemakeApi
from snakemake.logging import logger
from snakemake.settings.types import ConfigSettings, ResourceSettings
from snakemake.utils import update_config
from snakemake_interface_logger_plugins.common import LogEvent

from cxrflow.cohort.layouts import raw_files
from cxrflow.config import Config, parse_config, plain_config

ROOT = Path(__file__).parents[3]
CORES = 8
"""Of a machine or node; the rules that share their work among processors take so many."""
TARGET = "all"


@dataclass(frozen=True)
class PlannedJob:
    """One job as Snakemake would run it."""

    rule: str
    wildcards: Mapping[str, str]
    threads: int = 1
    gpus: int = 0

    @property
    def room(self) -> str:
        """The system, or the shared room, that the rule belongs to."""
        return "cohort" if self.rule == "write_config" else self.rule.partition("_")[0]


class _Collector(logging.Handler):
    """Keeps what Snakemake tells of each job."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[PlannedJob] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record if it is about a job that does something."""
        about = vars(record)
        if about.get("event") is LogEvent.JOB_INFO and about["rule_name"] != TARGET:
            gpus = int(about["resources"].get("gpu", 0))
            self.jobs.append(PlannedJob(about["rule_name"], dict(about["wildcards"]), about["threads"], gpus))


def read_layers(layers: Sequence[Path]) -> Config:
    """Return the configuration that some files make, the later ones on top of config.yaml and of the earlier ones."""
    raw: dict = {}
    for file in (ROOT / "config.yaml", *layers):
        update_config(raw, yaml.safe_load(file.read_text()))
    return parse_config(raw)


def planned_jobs(layers: Sequence[Path]) -> list[PlannedJob]:
    """Return all jobs of a run with these files as --configfile."""
    collector = _Collector()
    with _made_up_folder(read_layers(layers)) as folder, SnakemakeApi() as api:
        for handler in logger.handlers:
            handler.setLevel(logging.WARNING)  # what it would print otherwise is what the table is made from
        logger.addHandler(collector)
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=CORES),
            config_settings=ConfigSettings(configfiles=[file.resolve() for file in layers]),
            snakefile=ROOT / "workflow/Snakefile",
            workdir=folder,
        )
        workflow.dag().execute_workflow(executor="dryrun")
    return collector.jobs


@contextmanager
def _made_up_folder(config: Config) -> Iterator[Path]:
    """Yield a folder with the repository's code and, by name alone, the raw files that planning looks for."""
    mask = os.umask(0o077)  # the workflow sets it where data are credentialed
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            for part in ("config.yaml", "scripts"):
                (folder / part).symlink_to(ROOT / part)
            cohorts = plain_config(config)["cohorts"]
            for file in (file for cohort in config.run.cohorts for file in raw_files(cohorts[cohort])):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).touch()
            yield folder
    finally:
        os.umask(mask)
