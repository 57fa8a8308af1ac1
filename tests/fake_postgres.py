"""A server that speaks just enough of PostgreSQL's protocol to ask for a password in clear text, and keeps it."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_CLEARTEXT = b"R" + struct.pack("!ii", 8, 3)


class PasswordCatcher:
    """``connections`` counts what connected, ``passwords`` are those that were sent."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.connections = 0
        self.passwords: list[str] = []
        self._listener = listener

    def serve(self) -> None:
        with suppress(OSError):  # closed at the end of the test
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection, suppress(OSError, struct.error):
                    connection.settimeout(10)
                    self._ask(connection)

    def _ask(self, connection: socket.socket) -> None:
        while True:
            size, code = struct.unpack("!ii", _exactly(connection, 8))
            _exactly(connection, size - 8)
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            connection.sendall(b"N")
        connection.sendall(_CLEARTEXT)
        kind, size = struct.unpack("!ci", _exactly(connection, 5))
        assert kind == b"p"
        self.passwords.append(_exactly(connection, size - 4).rstrip(b"\0").decode())


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


@contextmanager
def password_catcher() -> Iterator[PasswordCatcher]:
    """A running server on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        catcher = PasswordCatcher(listener)
        thread = threading.Thread(target=catcher.serve, daemon=True)
        thread.start()
        try:
            yield catcher
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(10)
