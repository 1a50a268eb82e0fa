"""The memory model and the protocol checkers without a simulator: compiled alone, by ctypes."""

import ctypes
import hashlib
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

from vta.hw.places import build_directory
from vta.sim.build import SOURCES
from vta.sim.monitors import VIOLATION_LIMIT

__all__ = ["INCR", "Axi", "Checkers", "Lite", "MemoryModel", "burst", "copy_of"]

WORDS = 8
INCR = 1
CHANNELS = ("ar", "r", "aw", "w", "b")


def _structure(name: str, *members: str) -> type[ctypes.Structure]:
    fields = []
    for member in members:
        word, _, count = member.partition("*")
        kind = ctypes.c_uint32 * int(count) if count else ctypes.c_uint32
        fields.append((word, kind))
    return type(name, (ctypes.Structure,), {"_fields_": fields})


Address = _structure(
    "Address", "valid", "ready", "address", "len", "size", "burst", "id", "cache", "prot"
)
Data = _structure("Data", "valid", "ready", "last", "id", "response", "strobes", f"data*{WORDS}")
Response = _structure("Response", "valid", "ready", "id", "response")
LiteAddress = _structure("LiteAddress", "valid", "ready", "address", "prot")
LiteData = _structure("LiteData", "valid", "ready", "data", "strobes", "response")


class Axi(ctypes.Structure):
    """`vta::Axi` of sim/native/axi.h."""

    _fields_ = [
        ("ar", Address),
        ("r", Data),
        ("aw", Address),
        ("w", Data),
        ("b", Response),
        ("reset", ctypes.c_uint32),
        ("finish", ctypes.c_uint32),
    ]


class Lite(ctypes.Structure):
    """`vta::Lite` of sim/native/axi.h."""

    _fields_ = [
        ("aw", LiteAddress),
        ("w", LiteData),
        ("b", LiteData),
        ("ar", LiteAddress),
        ("r", LiteData),
        ("reset", ctypes.c_uint32),
    ]


def burst(channel, address: int, beats: int, *, size: int = 3, kind: int = INCR, id: int = 0):
    """Put a valid burst on an address channel."""
    channel.valid, channel.address, channel.len = 1, address, beats - 1
    channel.size, channel.burst, channel.id = size, kind, id


def copy_of(structure):
    """A copy, as a list of edges keeps them."""
    return type(structure).from_buffer_copy(structure)


@cache
def library() -> ctypes.CDLL:
    """Compile the models; again where a source has changed."""
    sources = [
        Path(__file__).with_name("models.cpp"),
        SOURCES / "memory.cpp",
        SOURCES / "checker.cpp",
    ]
    headers = sorted(SOURCES.glob("*.h"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, *headers]))
    target = build_directory() / "models" / f"{digest.hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_suffix(f".{np.random.default_rng().integers(1 << 62)}")
        command = [
            "g++",
            "-std=c++20",
            "-O1",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            f"-I{SOURCES}",
            "-o",
            half,
            *sources,
        ]
        subprocess.run(command, check=True)
        half.rename(target)
    lib = ctypes.CDLL(str(target))
    lib.checkers_new.restype = lib.memory_new.restype = ctypes.c_void_p
    lib.checkers_count.restype = lib.memory_stalled.restype = ctypes.c_uint64
    lib.memory_accepted.restype = ctypes.c_uint64
    lib.checkers_text.restype = ctypes.c_char_p
    return lib


class Checkers:
    """Both protocol checkers; `axi` and `lite` take the port at one edge."""

    def __init__(self, bus_bytes: int = 8) -> None:
        self._lib = library()
        self._this = ctypes.c_void_p(self._lib.checkers_new(bus_bytes))
        self._cycle = 0

    def __del__(self) -> None:
        self._lib.checkers_delete(self._this)

    def axi(self, port: Axi) -> None:
        self._lib.checkers_axi(self._this, ctypes.c_uint64(self._cycle), ctypes.byref(port))
        self._cycle += 1

    def lite(self, port: Lite) -> None:
        self._lib.checkers_lite(self._this, ctypes.c_uint64(self._cycle), ctypes.byref(port))
        self._cycle += 1

    @property
    def count(self) -> int:
        return self._lib.checkers_count(self._this)

    @property
    def violations(self) -> list[str]:
        """Texts of the first violations."""
        count = min(self.count, VIOLATION_LIMIT)
        texts = [self._lib.checkers_text(self._this, ctypes.c_uint64(n)) for n in range(count)]
        return [text.decode() for text in texts]


class MemoryModel:
    """The memory model on a NumPy array; `edge` takes what the master drives.

    The master's side of `port` is the test's to set; the model's side changes with every edge.
    """

    def __init__(
        self,
        memory: np.ndarray,
        *,
        base: int = 0,
        bus_bytes: int = 8,
        latency: int = 16,
        stall: tuple[int, int, int] = (0, 0, 1),
        out_of_order: bool = False,
    ) -> None:
        self._lib = library()
        self.memory = memory
        pointer = memory.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        numbers = (len(memory), base)
        options = (latency, *stall, int(out_of_order))
        self._this = ctypes.c_void_p(
            self._lib.memory_new(
                pointer,
                *map(ctypes.c_uint64, numbers),
                ctypes.c_uint32(bus_bytes),
                *map(ctypes.c_uint64, options),
            )
        )
        self.port = Axi()
        self._outputs = Axi()
        self.cycle = 0
        self.edge()  # after this one the model is ready

    def __del__(self) -> None:
        self._lib.memory_delete(self._this)

    def add_fault(self, start: int, end: int, *, write: bool, response: int, nth: int = 0) -> None:
        self._lib.memory_fault(
            self._this,
            ctypes.c_uint64(start),
            ctypes.c_uint64(end),
            int(write),
            response,
            ctypes.c_uint64(nth),
        )

    def edge(self) -> Axi:
        """One clock edge; what stood on the port at it."""
        at = copy_of(self.port)
        self._lib.memory_edge(self._this, ctypes.byref(at), ctypes.byref(self._outputs))
        self.cycle += 1
        for channel in ("ar", "aw", "w"):
            getattr(self.port, channel).ready = getattr(self._outputs, channel).ready
        for channel in ("r", "b"):
            ready = getattr(self.port, channel).ready
            setattr(self.port, channel, copy_of(getattr(self._outputs, channel)))
            getattr(self.port, channel).ready = ready
        return at

    def stalled(self, channel: str) -> int:
        return self._lib.memory_stalled(self._this, CHANNELS.index(channel))

    def accepted(self, channel: str) -> int:
        return self._lib.memory_accepted(self._this, CHANNELS.index(channel))
