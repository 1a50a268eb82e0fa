"""One simulator process: started, asked and ended from the outside.

It shares DRAM with this process through one file in memory, and speaks over a Unix socket. Where
it dies, the caller gets its exit status and the tail of its log; nothing else is lost.
"""

import mmap
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cocotb_tools import config as cocotb_config

from vta.hw.errors import VtaError
from vta.sim.build import ROOT, Simulator
from vta.sim.messages import receive, send
from vta.sim.rundirs import RunDirectory
from vta.sim.toolchain import cocotb_libraries, libpython

if TYPE_CHECKING:
    from vta.sim.divergence.trace import Trace

__all__ = ["SimulationError", "SimulatorCrash", "SimulatorProcess", "cocotb_environment"]

SERVER = "vta.sim.testbench"
IMPORTS = (ROOT, Path(__file__).absolute().parents[2])
"""Where a simulator's Python finds what it runs: tests in the checkout, and the package `vta`."""
LOG_LINES = 12
CLOSE_SECONDS = 20  # to write the end of its waves
SHARE_WORDS = 2


class SimulationError(VtaError, RuntimeError):
    """A run on the RTL that gave no result. The first line says why; more lines may say where.

    `events`, `launched`, `trace`: what is known of the run, as in `vta.sim.device.RtlResult`; or
    None.
    """

    events: np.ndarray | None = None
    launched: int | None = None
    trace: "Trace | None" = None


class SimulatorCrash(SimulationError):
    """The simulator process ended by itself."""


class SimulatorProcess:
    """A running simulator.

    Members
    -------
    dram
        uint8 array on the memory that the simulated core sees; `map` sets its size.
    directory
        the process's own directory: its log, events, waves. It goes when the process is closed,
        unless it crashed.
    """

    def __init__(self, simulator: Simulator, *, arguments: tuple[str, ...] = ()) -> None:
        self._place = RunDirectory(simulator.path.parent.name)
        self.directory = self._place.path
        self.log = self.directory / "log"
        self._dram_fd = os.memfd_create("vta_dram")
        share_fd = os.memfd_create("vta_share")
        os.ftruncate(share_fd, 8 * SHARE_WORDS)
        self._share = np.frombuffer(mmap.mmap(share_fd, 8 * SHARE_WORDS), np.uint64)
        self.dram = np.zeros(0, np.uint8)
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        env = cocotb_environment(SERVER)
        env |= {
            "VTA_SOCKET": str(theirs.fileno()),
            "VTA_DRAM": str(self._dram_fd),
            "VTA_SHARE": str(share_fd),
        }
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [simulator.path, *arguments],
                env=env,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(), self._dram_fd, share_fd),
                start_new_session=True,
            )
        theirs.close()
        os.close(share_fd)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cycles(self) -> int:
        """Cycles of the run that is under way."""
        return int(self._share[0])

    def map(self, nbytes: int) -> None:
        """Make DRAM at least `nbytes` long."""
        nbytes = -(-max(nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        if nbytes <= len(self.dram):
            return
        os.ftruncate(self._dram_fd, nbytes)
        self.dram = np.frombuffer(mmap.mmap(self._dram_fd, nbytes), np.uint8)
        self.ask("map", nbytes=nbytes)

    def stop_run(self) -> None:
        """Make the run under way end at the next clock edge."""
        self._share[1] = 1

    def ask(self, command: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises
        ------
        SimulatorCrash
            where the process ends instead of answering.
        SimulationError
            where the request fails inside the simulator.
        """
        self._share[1] = 0
        try:
            send(self._connection, {"command": command, **request})
            reply = receive(self._connection)
        except OSError:
            reply = None
        if reply is None:
            raise self._crash()
        if "failed" in reply:
            raise SimulationError(f"{command}: {reply['failed']}")
        return reply

    def close(self, *, keep: bool = False) -> None:
        """End the process; its directory stays with `keep`."""
        self._connection.close()  # which ends a run, too
        try:
            self._process.wait(timeout=CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._dram_fd >= 0:
            os.close(self._dram_fd)
            self._dram_fd = -1
        self._place.close(keep=keep)

    def _crash(self) -> SimulatorCrash:
        self._connection.close()
        try:
            status = self._process.wait(timeout=CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        how = f"status {status}"
        if status < 0:
            how = f"signal {-status} ({signal.Signals(-status).name})"
        tail = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        lines = [f"the simulator ended with {how} (log: {self.log})", *(f"  {t}" for t in tail)]
        return SimulatorCrash("\n".join(lines))


def cocotb_environment(module: str) -> dict[str, str]:
    """The variables that tell a simulator which cocotb tests to run, and where Python is."""
    env = dict(os.environ)
    path = [*map(str, IMPORTS), *filter(None, [env.get("PYTHONPATH")])]
    libraries = [str(cocotb_libraries()), *filter(None, [env.get("LD_LIBRARY_PATH")])]
    env |= {
        "COCOTB_TEST_MODULES": module,
        "COCOTB_TOPLEVEL": "wrapper",
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_RESULTS_FILE": "results.xml",
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "GPI_USERS": f"{libpython()};{cocotb_config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
    }
    return env
