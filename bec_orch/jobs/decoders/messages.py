"""What a worker and its decoder processes say to each other: JSON after its length, over a Unix socket."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct(">I")
_LONGEST = 65_536
_FILE = b"f"


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone, or the connection's time is over.
    """
    body = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket) -> dict[str, Any]:
    """Wait for a message.

    Raises:
        EOFError: the other side closed the connection.
        ValueError: what came is not a message.
        OSError: the connection broke, or its time is over.
    """
    (length,) = _LENGTH.unpack(exactly(connection, _LENGTH.size))
    if length > _LONGEST:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(exactly(connection, length))
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")  # noqa: TRY004  (it is what came that is wrong)
    return message


def send_file(connection: socket.socket, file: int) -> None:
    """Hand a file over by its descriptor.

    Raises:
        OSError: the other side is gone, or the connection's time is over.
    """
    socket.send_fds(connection, [_FILE], [file])


def receive_file(connection: socket.socket) -> int:
    """Wait for a file, and return its descriptor here.

    Raises:
        EOFError: the other side closed the connection, or sent something else.
        OSError: the connection broke, or its time is over.
    """
    _, files, _, _ = socket.recv_fds(connection, len(_FILE), 1)
    if not files:
        raise EOFError
    return files[0]


def exactly(connection: socket.socket, size: int) -> bytes:
    """Return the next bytes.

    Raises:
        EOFError: the other side closed the connection.
        OSError: the connection broke, or its time is over.
    """
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
