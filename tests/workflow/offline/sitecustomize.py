"""Imported by every Python process of a test run: what reaches beyond this machine is stopped and noted.

Where a warm interpreter waits (warm.py), the script of a job is handed over to it.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

PLACE = os.environ["CXRFLOW_OFFLINE"]
HERE = {"localhost", "127.0.0.1", "::1", "", None, socket.gethostname()}


def note(kind: str, what: object) -> None:
    with open(f"{PLACE}.{kind}", "a") as notes:
        notes.write(f"{what}\n")


def require_here(host: Any) -> None:
    if (host.decode() if isinstance(host, bytes) else host) not in HERE:
        note("tried", host)
        raise OSError(f"no network at run time: {host}")


def look_up(host: Any, *arguments: Any, **named: Any) -> Any:
    require_here(host)
    return real_look_up(host, *arguments, **named)


class Guarded(socket.socket):
    """A socket that reaches this machine alone."""

    def connect(self, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            require_here(address[0])
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        if self.family != socket.AF_UNIX:
            require_here(address[0])
        return super().connect_ex(address)

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        if self.family != socket.AF_UNIX:
            require_here(flags_and_address[-1][0])
        return super().sendto(data, *flags_and_address)


def hand_over(address: str) -> None:
    """Have the warm interpreter run the script of this process, with its files, and end as that ends."""
    order = {"arguments": sys.orig_argv[1:], "folder": str(Path.cwd()), "environment": dict(os.environ)}
    order["umask"] = os.umask(0o077)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        socket.send_fds(line, [json.dumps(order).encode()], [0, 1, 2])
        line.shutdown(socket.SHUT_WR)
        status = line.recv(1)
    os._exit(status[0] if status else 1)


note("processes", os.getpid())
real_look_up = socket.getaddrinfo
socket.getaddrinfo = look_up
socket.socket = Guarded  # type: ignore[misc]
if "CXRFLOW_WARM" in os.environ and any("/.snakemake/scripts/" in argument for argument in sys.orig_argv[1:2]):
    hand_over(os.environ["CXRFLOW_WARM"])
