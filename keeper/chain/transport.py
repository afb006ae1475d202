"""Bytes to a node and back: one JSON document out, one in, over a unix socket or over HTTP.

A connection that cannot be made raises `NodeUnreachable`: nothing was sent. Anything that goes wrong after the first
byte has left raises `AnswerLost`: the node may have done what was asked, so nothing is ever sent twice here.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from keeper.errors import AnswerLost, ChainError, InputError, NodeUnreachable

_CHUNK = 1 << 16


class Transport(Protocol):
    """A way to a node."""

    def exchange(self, request: bytes) -> Any:
        """Send one JSON document and return the answer, parsed."""

    def close(self) -> None:
        """Drop the connection."""


def open_transport(address: str | Path, timeout: float) -> Transport:
    """The transport that an address asks for: `http(s)://...`, or the path of a unix socket."""
    text = str(address)
    if text.startswith(("http://", "https://")):
        return _Http(text, timeout)
    if "://" in text:
        raise InputError(f"{text} is neither an http(s) address nor the path of an IPC socket")
    return _Socket(text, timeout)


class _Socket:
    """A unix socket. Anvil ends each answer with the end of its JSON document and nothing else."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path, self._timeout = path, timeout
        self._socket: socket.socket | None = None

    def exchange(self, request: bytes) -> Any:
        connection = self._socket or self._connect()
        try:
            connection.sendall(request + b"\n")
            return self._receive(connection)
        except (OSError, ValueError) as error:
            self.close()
            raise AnswerLost(f"lost the answer of {self._path}: {error or type(error).__name__}") from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout)
        try:
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            raise NodeUnreachable(f"no node answers at {self._path} ({error.strerror or error})") from None
        self._socket = connection
        return connection

    @staticmethod
    def _receive(connection: socket.socket) -> Any:
        received = bytearray()
        while True:
            chunk = connection.recv(_CHUNK)
            if not chunk:
                raise ConnectionResetError("the node closed the connection")
            received += chunk
            if chunk.rstrip().endswith((b"}", b"]")):
                try:
                    return json.loads(received)
                except ValueError:
                    continue  # a bracket inside the document: more is on its way


class _Http:
    """One keep-alive connection."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if not parts.hostname:
            raise InputError(f"{url} names no host")
        self._url, self._path = url, parts.path + (f"?{parts.query}" if parts.query else "") or "/"
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)

    def exchange(self, request: bytes) -> Any:
        self._connect()
        try:
            self._connection.request("POST", self._path, request, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise AnswerLost(f"lost the answer of {self._url}: {error or type(error).__name__}") from None
        try:
            return json.loads(body)
        except ValueError:
            self.close()
            detail = body[:200].decode(errors="replace").strip() or "an empty body"
            message = f"{self._url} answered HTTP {response.status} and no JSON: {detail}"
            raise (ChainError if response.status >= 400 else AnswerLost)(message) from None

    def close(self) -> None:
        self._connection.close()

    def _connect(self) -> None:
        """Connect, or connect again when the other side has hung up since the last exchange."""
        if self._connection.sock is not None:
            if not select.select([self._connection.sock], [], [], 0)[0]:
                return
            self.close()
        try:
            self._connection.connect()
        except OSError as error:
            self.close()
            raise NodeUnreachable(f"no node answers at {self._url} ({error.strerror or error})") from None
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
