"""Work spread over processes of one machine: they end with the process that started them, and none dies unnoticed."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Protocol, TypeVar

from cxrflow.errors import UserError

AHEAD = 4  # results per process that may wait for their turn

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """Yields the results of work on items, in their order."""

    def __call__(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yield one result per item."""


@contextmanager
def forked(workers: int) -> Iterator[Spread]:
    """Yield what spreads work over `workers` processes; one worker is this process.

    They are forked when the first work comes: they share what is loaded by then, and run no script anew. A bounded
    number of results waits for its turn. Raises UserError where a process is killed: nobody waits for what will not
    come.
    """
    if workers <= 1:
        yield map
        return
    with worker_pool(workers, "fork", end_with_parent) as pool:

        def spread(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        yield spread


@contextmanager
def worker_pool(workers: int, start: str, initializer: Callable[[], None]) -> Iterator[ProcessPoolExecutor]:
    """Yield processes started in one of multiprocessing's ways; what still waits when the block ends is dropped.

    Raises UserError where one is killed.
    """
    pool = ProcessPoolExecutor(workers, get_context(start), initializer=initializer)
    try:
        yield pool
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
