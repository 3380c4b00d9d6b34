"""Timers that would keep a finished run waiting."""

import threading


def cancel_timers() -> None:
    """Cancel the timers of this process: the scheduler leaves one for every job that ended, and a process ends only
    after its last one."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
