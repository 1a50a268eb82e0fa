"""The protocol checkers can fail: a legal exchange passes, each rule broken once is named."""

from collections.abc import Callable

import pytest

from tests.sim.models import Axi, Checkers, Lite, burst, copy_of
from vta.sim.monitors import VIOLATION_LIMIT

Edges = list[Axi]


def _legal() -> Edges:
    """Edges of one read of 2 beats and one write of 3 (from an unaligned address), then finish."""
    ar, aw = Axi(), Axi()
    burst(ar.ar, 0x1000, 2, id=3)
    burst(aw.aw, 0x2004, 3, id=5)
    waiting_ar, waiting_aw = copy_of(ar), copy_of(aw)
    ar.ar.ready = aw.aw.ready = 1
    edges = [Axi(), waiting_ar, ar, waiting_aw, aw]
    for beat in range(2):
        edge = Axi()
        edge.r.valid = edge.r.ready = 1
        edge.r.id, edge.r.last = 3, beat == 1
        edge.r.data[0] = 100 + beat
        slow = copy_of(edge)
        slow.r.ready = 0
        edges += [slow, edge]
    for beat in range(3):
        edge = Axi()
        edge.w.valid = edge.w.ready = 1
        edge.w.strobes = 0xF0 if beat == 0 else 0xFF
        edge.w.last = beat == 2
        edge.w.data[1] = 7 * beat
        slow = copy_of(edge)
        slow.w.ready = 0
        edges += [slow, edge]
    response = Axi()
    response.b.valid, response.b.id = 1, 5
    taken = copy_of(response)
    taken.b.ready = 1
    finish = Axi()
    finish.finish = 1
    return [*edges, response, taken, finish]


READ_WAITS, READ, WRITE_WAITS, WRITE = 1, 2, 3, 4
BEAT_WAITS, BEAT, LAST_BEAT = 5, 6, 8
DATA_WAITS, DATA, LAST_DATA = 9, 10, 14
RESPONSE_WAITS, RESPONSE, FINISH = 15, 16, 17


def _change(index: int, path: str, value: int) -> Callable[[Edges], None]:
    """Set one word of one edge; "r.data" means its first word."""
    channel, _, name = path.partition(".")

    def change(edges: Edges) -> None:
        target = getattr(edges[index], channel) if name else edges[index]
        if name == "data":
            target.data[0] = value
        else:
            setattr(target, name or channel, value)

    return change


def _both(*changes: Callable[[Edges], None]) -> Callable[[Edges], None]:
    def change(edges: Edges) -> None:
        for each in changes:
            each(edges)

    return change


def _drop(*indices: int) -> Callable[[Edges], None]:
    def change(edges: Edges) -> None:
        for index in sorted(indices, reverse=True):
            del edges[index]

    return change


def _insert(index: int, source: int) -> Callable[[Edges], None]:
    return lambda edges: edges.insert(index, copy_of(edges[source]))


def _address(index: int, channel: str, **fields: int) -> Callable[[Edges], None]:
    """The same field in the waiting and in the accepted edge of an address."""
    return _both(
        *(
            _change(n, f"{channel}.{name}", value)
            for n in (index, index + 1)
            for name, value in fields.items()
        )
    )


def _after_finish(channel: str) -> Callable[[Edges], None]:
    """The channel's address comes again, an edge behind the rise of finish."""

    def change(edges: Edges) -> None:
        late = copy_of(edges[{"ar": READ, "aw": WRITE}[channel]])
        late.finish = 1
        edges += [copy_of(edges[FINISH]), late]

    return change


BROKEN = {
    "AR: payload changed before READY": _change(READ, "ar.address", 0x1008),
    "AR: VALID fell before READY": _insert(READ, 0),
    "AW: payload changed before READY": _change(WRITE, "aw.len", 3),
    "AW: VALID fell before READY": _insert(WRITE, 0),
    "W: payload changed before READY": _change(DATA, "w.data", 9),
    "W: VALID fell before READY": _insert(DATA, 0),
    "R: payload changed before READY": _change(BEAT, "r.data", 9),
    "R: VALID fell before READY": _insert(BEAT, 0),
    "B: payload changed before READY": _change(RESPONSE, "b.response", 2),
    "B: VALID fell before READY": _insert(RESPONSE, 0),
    "AR 0x1000: burst type is 2, not INCR": _address(READ_WAITS, "ar", burst=2),
    "AW 0x2004: burst type is 0, not INCR": _address(WRITE_WAITS, "aw", burst=0),
    "AR 0x1000: beats of 16 bytes on a bus of 8": _address(READ_WAITS, "ar", size=4),
    "AR 0x1ff8: 2 beats cross a 4 KiB boundary": _address(READ_WAITS, "ar", address=0x1FF8),
    "AW 0x2ff4: 3 beats cross a 4 KiB boundary": _both(
        _address(WRITE_WAITS, "aw", address=0x2FF4),
        _change(DATA_WAITS, "w.strobes", 0xF0),
        _change(DATA, "w.strobes", 0xF0),
    ),
    "R: a beat with ID 4, which no read is waiting for": _both(
        *(_change(n, "r.id", 4) for n in range(BEAT_WAITS, LAST_BEAT + 1))
    ),
    "R: a beat with ID 3, which no read is waiting for": _drop(READ_WAITS, READ),
    "R: RLAST is 1 at beat 0 of a burst of 2": _both(
        _change(BEAT_WAITS, "r.last", 1), _change(BEAT, "r.last", 1)
    ),
    "R: RLAST is 0 at beat 1 of a burst of 2": _both(
        _change(LAST_BEAT - 1, "r.last", 0), _change(LAST_BEAT, "r.last", 0)
    ),
    "W: WLAST is 1 at beat 0 of the burst at 0x2004, which has 3": _both(
        _change(DATA_WAITS, "w.last", 1), _change(DATA, "w.last", 1)
    ),
    "W: WLAST is 0 at beat 2 of the burst at 0x2004, which has 3": _both(
        _change(LAST_DATA - 1, "w.last", 0), _change(LAST_DATA, "w.last", 0)
    ),
    "W: strobes 0xff at beat 0 of the burst at 0x2004 go beyond its lanes 0xf0": _both(
        _change(DATA_WAITS, "w.strobes", 0xFF), _change(DATA, "w.strobes", 0xFF)
    ),
    "W: strobes 0x1ff at beat 1": _both(
        *(_change(n, "w.strobes", 0x1FF) for n in (DATA_WAITS + 2, DATA + 2))
    ),
    "B: a response with ID 6, which no complete write is waiting for": _both(
        _change(RESPONSE_WAITS, "b.id", 6), _change(RESPONSE, "b.id", 6)
    ),
    "B: a response with ID 5, which no complete write": _insert(DATA_WAITS, RESPONSE),
    "finish rose with 1 reads in flight": _drop(LAST_BEAT - 1, LAST_BEAT),
    "finish rose with 1 writes unanswered": _drop(RESPONSE_WAITS, RESPONSE),
    "AR 0x1000: after finish": _after_finish("ar"),
    "AW 0x2004: after finish": _after_finish("aw"),
    "finish rose with write data that has no address": _insert(RESPONSE, DATA + 4),
    "finish rose while AR was valid": _change(FINISH, "ar.valid", 1),
}


def _violations(edges: Edges) -> list[str]:
    checkers = Checkers()
    for edge in edges:
        checkers.axi(edge)
    return checkers.violations


def test_a_legal_exchange_passes() -> None:
    assert _violations(_legal()) == []


@pytest.mark.parametrize("text", BROKEN)
def test_each_broken_rule_is_named(text: str) -> None:
    edges = _legal()
    BROKEN[text](edges)
    violations = _violations(edges)
    assert any(violation.startswith(text) for violation in violations), violations


def test_valid_during_reset() -> None:
    edges = [Axi(), Axi(), Axi()]
    for edge in edges:
        edge.reset = 1
    edges[2].aw.valid = 1
    assert _violations(edges) == ["VALID is high during reset"]


def test_writes_may_come_before_their_address() -> None:
    edges = _legal()
    data, rest = edges[DATA_WAITS : LAST_DATA + 1], edges[RESPONSE_WAITS:]
    assert _violations([*edges[:WRITE_WAITS], *data, *edges[WRITE_WAITS:DATA_WAITS], *rest]) == []


def test_only_the_first_violations_have_texts() -> None:
    checkers = Checkers()
    edge = Axi()
    edge.b.valid = edge.b.ready = 1
    for _ in range(25):
        checkers.axi(edge)
    assert checkers.count == 25
    assert len(checkers.violations) == VIOLATION_LIMIT


# AXI4-Lite ----------------------------------------------------------------------------------------
def _lite_legal() -> list[Lite]:
    write, data, response, read, answer = Lite(), Lite(), Lite(), Lite(), Lite()
    write.aw.valid, write.aw.address = 1, 0x10
    accepted = copy_of(write)
    accepted.aw.ready = 1
    data.w.valid = data.w.ready = 1
    data.w.data, data.w.strobes = 5, 15
    response.b.valid = response.b.ready = 1
    read.ar.valid = read.ar.ready = 1
    answer.r.valid = 1
    taken = copy_of(answer)
    taken.r.ready = 1
    return [Lite(), write, accepted, data, response, read, answer, taken]


def _lite_violations(edges: list[Lite]) -> list[str]:
    checkers = Checkers()
    for edge in edges:
        checkers.lite(edge)
    return checkers.violations


def test_a_legal_register_access_passes() -> None:
    assert _lite_violations(_lite_legal()) == []


@pytest.mark.parametrize(
    ("index", "channel", "field", "value", "text"),
    [
        (2, "aw", "address", 0x14, "lite AW: payload changed before READY"),
        (2, "aw", "valid", 0, "lite AW: VALID fell before READY"),
        (7, "r", "data", 1, "lite R: payload changed before READY"),
        (7, "r", "valid", 0, "lite R: VALID fell before READY"),
        (3, "w", "ready", 0, "lite B: a response without a write"),
        (5, "ar", "ready", 0, "lite R: data without a read"),
        (4, "b", "response", 1, "lite B: EXOKAY"),
    ],
)
def test_each_broken_register_rule_is_named(
    index: int, channel: str, field: str, value: int, text: str
) -> None:
    edges = _lite_legal()
    setattr(getattr(edges[index], channel), field, value)
    assert text in _lite_violations(edges)
