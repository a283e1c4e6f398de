"""PostgreSQL's protocol, read as it passes: the statements that a client runs and the rows that come back.

What is counted on the wire is what the server was asked, whatever the library or its driver says of itself.

Source: "Message Formats", www.postgresql.org/docs/current/protocol-message-formats.html
"""

import struct

import attrs

STARTUP = 196608
ASKS_FOR_ENCRYPTION = (80877103, 80877104)
READS = ("SELECT", "WITH", "TABLE", "VALUES")
RESET = "pg_advisory_unlock_all"
"""In what asyncpg's pool sends when a connection comes back."""


@attrs.define
class Count:
    """What a relay has seen so far.

    Attributes:
        trips: times that a client sent something to a server that it had heard from last.
        statements: that read something.
        others: statements that begin and end transactions, and reset connections.
        rows: that servers sent to the statements that read.
        sent: bytes that servers sent.
    """

    trips: int = 0
    statements: int = 0
    others: int = 0
    rows: int = 0
    sent: int = 0

    def less(self, earlier: "Count") -> "Count":
        """Return what came after an earlier count."""
        pairs = zip(attrs.astuple(self), attrs.astuple(earlier), strict=True)
        return Count(*(now - then for now, then in pairs))


@attrs.define
class Wire:
    """One connection, both of its directions.

    Attributes:
        count: where to add what is seen.
    """

    count: Count
    _speaker: str = "server"
    _reads: bool = False
    _started: bool = False
    _unread: bytes = b""
    _prepared: dict[bytes, bytes] = attrs.field(factory=dict)
    _bound: dict[bytes, bytes] = attrs.field(factory=dict)
    _single_bytes: int = 0
    _header: bytes = b""
    _beyond: int = 0

    def from_client(self, piece: bytes) -> None:
        """Read what a client sent."""
        self.count.trips += self._speaker == "server"
        self._speaker = "client"
        self._unread += piece
        while not self._started and len(self._unread) >= 8:
            length, code = struct.unpack_from("!II", self._unread)
            if len(self._unread) < length:
                return
            self._started = code == STARTUP
            self._single_bytes += code in ASKS_FOR_ENCRYPTION  # the answer is one byte, no message
            self._unread = self._unread[length:]
        at = 0
        while self._started and len(self._unread) - at >= 5:
            kind, length = struct.unpack_from("!cI", self._unread, at)
            if len(self._unread) - at <= length:
                break
            self._message(kind, self._unread[at + 5 : at + 1 + length])
            at += 1 + length
        self._unread = self._unread[at:]

    def _message(self, kind: bytes, body: bytes) -> None:
        """Take note of Parse, Bind, Execute and Query."""
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._prepared[name] = text
        elif kind == b"B":
            portal, name, _ = body.split(b"\0", 2)
            self._bound[portal] = self._prepared.get(name, b"")
        elif kind == b"E":
            self._ran(self._bound.get(body.partition(b"\0")[0], b""))
        elif kind == b"Q":
            self._ran(body.rstrip(b"\0"))

    def _ran(self, statement: bytes) -> None:
        text = statement.decode("utf-8", "replace").lstrip("( \n").lstrip()
        self._reads = text.upper().startswith(READS) and RESET not in text
        if self._reads:
            self.count.statements += 1
        else:
            self.count.others += 1

    def from_server(self, piece: bytes) -> None:
        """Read what a server sent."""
        self._speaker = "server"
        self.count.sent += len(piece)
        if self._single_bytes:
            self._single_bytes -= 1
            piece = piece[1:]
        if self._beyond >= len(piece):
            self._beyond -= len(piece)
            return
        found, at = self._header + piece[self._beyond :], 0
        while len(found) - at >= 5:
            kind, length = struct.unpack_from("!cI", found, at)
            self.count.rows += self._reads and kind == b"D"
            at += 1 + length
        self._beyond = max(0, at - len(found))
        self._header = found[at:]
