"""Messages between a device and its simulator process: JSON with a length before it."""

import json
import socket
from typing import Any

__all__ = ["receive", "send"]

LENGTH_BYTES = 4


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    data = json.dumps(message).encode()
    connection.sendall(len(data).to_bytes(LENGTH_BYTES, "little") + data)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Wait for one message; None where the other side has closed, or has died."""
    head = _read(connection, LENGTH_BYTES)
    if head is None:
        return None
    data = _read(connection, int.from_bytes(head, "little"))
    return None if data is None else json.loads(data)


def _read(connection: socket.socket, nbytes: int) -> bytes | None:
    data = bytearray()
    while len(data) < nbytes:
        try:
            part = connection.recv(nbytes - len(data))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)
