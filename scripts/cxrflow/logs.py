"""One way to run a script: its log file, a private umask, and user errors told without a stack trace."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cxrflow.errors import UserError

logger = logging.getLogger(__name__)


@contextmanager
def script_run(snakemake: Any) -> Iterator[None]:
    """Log to the rule's log file and stderr while the block runs.

    A UserError ends the job with its message alone; anything else is logged with its traceback and raised. Of several
    processes that run one script, the first keeps the log.
    """
    os.umask(0o077)
    _configure(snakemake.log[0])
    try:
        yield
    except UserError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception:
        logger.exception("The script of rule %s failed.", snakemake.rule)
        raise


def _configure(log_file: str) -> None:
    first = os.environ.get("RANK", "0") == "0"  # PyTorch's launcher numbers its processes
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
