"""What a client keeps about routes, and how it reads it all at once. SPEC.md sections 13.3 and 19."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from troth_protocol import route_link
from troth_protocol.encoding import Reader, lp, sha256, u8, u16, u64
from troth_protocol.route_link import Connect, Obfs4, RouteSpec, Socks, Tunnel

MAX_ROUTES: Final = 16
"""A race of more would take seconds to begin."""
KEY_SIZE: Final = 8
DIRECT_KEY: Final = bytes(KEY_SIZE)
MARK_SIZE: Final = 8
"""Of a network, see ``routes.network``."""
SALT_SIZE: Final = 16
KINDS: Final[Mapping[type[RouteSpec], str]] = {
    Socks: "socks", Connect: "connect", Tunnel: "tunnel", Obfs4: "obfs4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A route the person has added; ``number`` is what they call it, from 1."""

    number: int
    spec: RouteSpec

    @property
    def key(self) -> bytes:
        """Names the route in memories, 8 bytes."""
        return sha256(route_link.encode(self.spec).encode("ascii"))[:KEY_SIZE]

    @property
    def kind(self) -> str:
        """``socks``, ``connect``, ``tunnel`` or ``obfs4``."""
        return KINDS[type(self.spec)]

    def encode(self) -> bytes:
        """The record's bytes."""
        return u16(self.number) + lp(route_link.encode(self.spec).encode("ascii"))

    @classmethod
    def decode(cls, raw: bytes) -> RouteRecord:
        """The record of ``encode``."""
        reader = Reader(raw)
        record = cls(reader.u16("number"), route_link.decode(reader.text("link", route_link.MAX_LINK)))
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class Routing:
    """What holds for all routes: whether the direct one exists, and a salt for the marks of networks."""

    proxies_only: bool = False
    salt: bytes = field(default=bytes(SALT_SIZE), repr=False)

    def encode(self) -> bytes:
        """The record's bytes."""
        return u8(self.proxies_only) + self.salt

    @classmethod
    def decode(cls, raw: bytes) -> Routing:
        """The record of ``encode``."""
        reader = Reader(raw)
        routing = cls(bool(reader.u8("proxies only", 1)), reader.fixed("salt", SALT_SIZE))
        reader.end()
        return routing


@dataclass(frozen=True, slots=True)
class Rest:
    """A route whose connections opened and died, so often in a row, rests until ``retry``, for the next command too."""

    streak: int
    retry: int

    def encode(self) -> bytes:
        """The record's bytes."""
        return u8(self.streak) + u64(self.retry)

    @classmethod
    def decode(cls, raw: bytes) -> Rest:
        """The record of ``encode``."""
        reader = Reader(raw)
        rest = cls(reader.u8("streak"), reader.u64("retry"))
        reader.end()
        return rest


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """Everything a chooser goes by: routes in the person's order, and when each last worked on which network."""

    routes: tuple[RouteRecord, ...]
    routing: Routing
    held: Mapping[bytes, int] = field(repr=False)
    """Route key 8 || mark of the network 8 -> Unix time."""
    rests: Mapping[bytes, Rest] = field(default_factory=dict, repr=False)
    """The same names -> how long a route rests whose connections there open and die."""
