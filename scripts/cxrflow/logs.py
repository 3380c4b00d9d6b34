"""One way to run a script: its log file, a private umask, its record, and user errors told without a stack trace."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cxrflow import provenance
from cxrflow.errors import UserError, disk_error
from cxrflow.memory import keep_freed_memory

logger = logging.getLogger(__name__)


@contextmanager
def script_run(snakemake: Any) -> Iterator[None]:
    """Log to the rule's log file and stderr while the block runs, and record what it made.

    A UserError, or trouble with the disk, ends the job with its message alone; anything else is logged with its
    traceback and raised. Of several processes that run one script, the first keeps log and record.
    """
    os.umask(0o077)
    keep_freed_memory()
    try:
        _configure(snakemake.log[0])
        provenance.begin(snakemake)
        yield
        provenance.record(snakemake)
    except UserError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception as error:
        trouble = disk_error(error, provenance.results_of(snakemake))
        if trouble is None:
            logger.exception("The script of rule %s failed.", snakemake.rule)
            raise
        logger.error("%s", trouble)
        sys.exit(1)


def _configure(log_file: str) -> None:
    logging.raiseExceptions = False  # a log that can't be written (a full disk) must not bury the reason under its own
    first = provenance.is_first_process()
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if first:
        handlers.append(logging.FileHandler(log_file, mode="w"))
    logging.basicConfig(
        level=logging.INFO if first else logging.ERROR,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        force=True,
    )
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    for chatty in ("matplotlib", "PIL", "fontTools", "urllib3", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
