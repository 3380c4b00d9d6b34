"""Work spread over processes of one machine that are forked: they share what is loaded, and run no script anew."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from cxrflow.errors import UserError

AHEAD = 4  # results per process that may wait for their turn

Item = TypeVar("Item")
Result = TypeVar("Result")


def forked_map(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield the results of work on items, in their order, from `workers` processes; one worker is this process.

    A bounded number of results waits for its turn. Raises UserError where a process is killed: nobody waits for what
    will not come.
    """
    if workers <= 1:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(workers, get_context("fork"), initializer=end_with_parent)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            f"One of the {workers} processes of this job was killed: mostly for want of memory.",
            "Give the rule more memory (--set-resources RULE:mem_mb=N) or fewer processes (--set-threads RULE=N).",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """Let this process end when the one that started it does: left behind by a killed run it would go on writing."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
