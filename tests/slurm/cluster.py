"""A real SLURM on this one machine, for the length of a test: munge, the controller, nodes with one made-up GPU each.

Everything listens on the loopback address and lies in one folder. The daemons are children of this process, and die
with it. Needs: root, and the commands of Debian's packages slurmctld, slurmd, slurm-client and munge.
"""

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "squeue", "setpriv")
SYSTEM = Path(
    "/etc/slurm"
)  # the jobs of Snakemake's plugin look for the configuration here, whatever the environment says
NODES, CPUS, MEMORY = 2, 16, 64_000  # per node; SLURM is told not to compare them with the machine
FIRST_PORT = 17_401

CONFIGURATION = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool.%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
# Memory is enforced by sampling it each second: there are no control groups in a container.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/finished_jobs
MinJobAge=600
KillWait=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=1440 State=UP
PartitionName=gpu Nodes=ALL MaxTime=1440 State=UP
"""
NODE = "NodeName=n{n} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory} Gres=gpu:1"
GPU = "NodeName=n{n} Name=gpu File={folder}/gpu{n} Flags=nvidia_gpu_env"


def why_not() -> str | None:
    """Return why no cluster can be started here, if so."""
    missing = [name for name in COMMANDS if shutil.which(name, path=_search_path()) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)} missing; `make slurm` installs it where it may)"
    if os.geteuid() != 0:
        return "only root can start SLURM's daemons for jobs of this machine"
    own = [file.name for file in map(SYSTEM.joinpath, ("slurm.conf", "gres.conf", "cgroup.conf")) if file.is_file()]
    return f"this machine has a SLURM of its own ({SYSTEM}/{own[0]})" if own else None


@dataclass
class Cluster:
    """Start it, use SLURM's commands, stop it."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start the daemons and wait until every node is idle; whatever fails, what was started is stopped."""
        try:
            self._configure()
            self._daemon("munged", *self._munge(), "--force", "--foreground")
            _wait_for(lambda: (self.folder / "munge.socket").exists(), "munge")
            self._daemon("slurmctld", "-D", "-f", self.folder / "slurm.conf")
            for number in range(1, NODES + 1):
                self._daemon("slurmd", "-D", "-N", f"n{number}", "-f", self.folder / "slurm.conf")
            _wait_for(lambda: self.run("sinfo", "-hNpcpu", "-o%T").split() == ["idle"] * NODES, "the nodes")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancel all jobs and end the daemons that were started here, the last one first, and whatever they left."""
        try:
            self.cancel_all()
        finally:
            for daemon in reversed(self.daemons):
                _end(daemon)
            self.daemons.clear()
            for process in self.remaining():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            for link in SYSTEM.glob("*.conf"):
                if link.is_symlink() and link.readlink().parent == self.folder:
                    link.unlink()

    def remaining(self) -> list[int]:
        """Return the processes that know this cluster: its daemons, the steps of jobs, and what runs in them."""
        mark, found = f"SLURM_CONF={self.folder}/slurm.conf\0".encode(), []
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in environment.read_bytes():
                    found.append(int(environment.parent.name))
        return found

    def run(self, *command: str) -> str:
        """Return what one of SLURM's commands prints; nothing where it fails."""
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False, timeout=30)
        return done.stdout if done.returncode == 0 else ""

    def cancel_all(self) -> None:
        """Cancel every job and wait until none runs."""
        if self.run("squeue", "-h"):
            self.run("scancel", "--user=root")
            _wait_for(lambda: not self.run("squeue", "-h", "-tR,PD,CG"), "cancelled jobs")

    def environment(self) -> dict[str, str]:
        """Return the environment in which commands find this cluster."""
        return {**os.environ, "PATH": _search_path(), "SLURM_CONF": str(self.folder / "slurm.conf")}

    def finished_jobs(self) -> list[dict[str, str]]:
        """Return what SLURM noted of every job that ended: JobState, StartTime, EndTime, TimeLimit, Comment, ..."""
        log = self.folder / "finished_jobs"
        lines = log.read_text().splitlines() if log.exists() else []
        return [dict(word.partition("=")[::2] for word in line.split() if "=" in word) for line in lines]

    def _munge(self) -> list[str]:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munge.log"}
        places |= {"pid-file": "munge.pid", "seed-file": "munge.seed"}
        return [f"--{option}={self.folder / name}" for option, name in places.items()]

    def _configure(self) -> None:
        self.folder.chmod(0o755)
        numbers = range(1, NODES + 1)
        host = os.uname().nodename.partition(".")[0]
        for number in numbers:  # a clone of /dev/null: SLURM wants a device
            os.mknod(self.folder / f"gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        nodes = (NODE.format(n=n, host=host, port=FIRST_PORT + n, cpus=CPUS, memory=MEMORY) for n in numbers)
        whole = CONFIGURATION.format(host=host, port=FIRST_PORT, folder=self.folder, nodes="\n".join(nodes))
        files = {"slurm.conf": whole, "cgroup.conf": "CgroupAutomount=no\n"}
        files["gres.conf"] = "\n".join(GPU.format(n=n, folder=self.folder) for n in numbers) + "\n"
        SYSTEM.mkdir(exist_ok=True)
        for name, text in files.items():
            (self.folder / name).write_text(text)
            (SYSTEM / name).unlink(missing_ok=True)  # a link that a killed test has left; `why_not` refuses a real file
            (SYSTEM / name).symlink_to(self.folder / name)

    def _daemon(self, name: str, *arguments: str | Path) -> None:
        command = ["setpriv", "--pdeathsig", "TERM", name, *map(str, arguments)]
        with (self.folder / f"{len(self.daemons)}.{name}.log").open("wb") as log:
            self.daemons.append(subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log))


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} not ready after {seconds:g} s")
        time.sleep(0.2)


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
