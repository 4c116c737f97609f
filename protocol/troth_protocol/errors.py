"""Every error troth raises on purpose, in one tree: the type says whose fault it is and what to do next.

::

    TrothError
    ├── UserError          the caller asked for something that cannot be; change the request       (exit 1)
    │   ├── BadLink  TextTooLong  NoSuchContact  BadPassphrase  VaultBusy  VaultExists  NotReady
    ├── PeerError          somebody else's bytes are wrong; drop them, nothing has changed          (exit 4 if shown)
    │   ├── DecodeError    not the one encoding of anything
    │   ├── BadKey  BadSignature  Expired  Mismatch  SealError
    │   ├── DecryptError   a message this session cannot read
    │   │   ├── UnknownHeader  Duplicate  TooManySkipped  Tampered
    │   └── SessionError   authentic but against the rules: the person must see it
    ├── TrustError         pinned and presented differ; stop and show both                          (exit 4)
    │   ├── PinMismatch (Intercepted)  Rollback  Fork
    ├── RelayError         the relay answered with an error code                                    (exit 3)
    ├── NetworkError       no answer; keep what is queued and try again                             (exit 3)
    │   ├── DirectForbidden  NoRoute  HostUnknown  ConnectionRefused  ConnectionReset  TimedOut  PathSilent
    │   ├── ProxyError  TransportFailed  NoTls  CaptivePortal  UpgradeStripped  ClockSkew
    └── StorageError       the disk refused; nothing was promised                                   (exit 3)
        └── StorageUntrusted   a relay's files are damaged or contradict each other                 (exit 70)

Messages carry names of fields, numbers and limits, never keys, names of people, addresses, tokens or texts.
"""

from __future__ import annotations


class TrothError(Exception):
    """Anything troth refuses; ``code`` is its stable name in SPEC.md section 15."""

    code = "ERROR"
    exit_code = 2


class UserError(TrothError):
    """The person or program calling asked for something that cannot be done."""

    code = "USER"
    exit_code = 1


class BadLink(UserError):
    """A ``troth:`` or ``troth-relay:`` link is malformed, cut short or mistyped."""

    code = "BAD_LINK"


class TextTooLong(UserError):
    """A text is longer than 16,000 bytes in NFC."""

    code = "TEXT_TOO_LONG"

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"the text is {length} bytes long; the limit is {limit}")


class BadText(UserError):
    """A text is empty or not encodable as Unicode."""

    code = "BAD_TEXT"


class NoSuchContact(UserError):
    """No contact, or more than one, answers to what was typed."""

    code = "NO_SUCH_CONTACT"


class BadPassphrase(UserError):
    """The vault does not open with this passphrase."""

    code = "BAD_PASSPHRASE"


class VaultBusy(UserError):
    """Another process has the vault open."""

    code = "VAULT_BUSY"


class VaultExists(UserError):
    """There is a vault already (or none where one is needed)."""

    code = "VAULT_EXISTS"


class NotReady(UserError):
    """The step before this one has not happened yet."""

    code = "NOT_READY"


class PeerError(TrothError):
    """Bytes from somebody else break a rule; they are dropped and nothing has changed."""

    code = "PEER"
    exit_code = 4


class DecodeError(PeerError):
    """Bytes that are not the one encoding of a value; names the field and the offset where reading stopped."""

    code = "BAD_FRAME"

    def __init__(self, field: str, offset: int, reason: str) -> None:
        super().__init__(f"{field} at byte {offset}: {reason}")
        self.field = field
        self.offset = offset
        self.reason = reason


class BadKey(PeerError):
    """A public key that must not be used: non-canonical, of low order, or refused by the library's import check."""

    code = "BAD_KEY"


class BadSignature(PeerError):
    """One half of a hybrid signature, or both, do not verify."""

    code = "BAD_SIGNATURE"


class Expired(PeerError):
    """A signed statement outside its time."""

    code = "EXPIRED"


class Mismatch(PeerError):
    """Two values that must be equal are not: a fingerprint, a hash, a Merkle path, an id."""

    code = "MISMATCH"


class SealError(PeerError):
    """A sealed first message that no live sealing key opens."""

    code = "SEAL"


class DecryptError(PeerError):
    """A message that this session cannot read; the state is unchanged."""

    code = "DECRYPT_FAIL"


class UnknownHeader(DecryptError):
    """The header opens under no header key of this session."""

    code = "UNKNOWN_HEADER"


class Duplicate(DecryptError):
    """The message key was used, or forgotten, before."""

    code = "DUPLICATE"


class TooManySkipped(DecryptError):
    """The header asks for more skipped keys than the limit allows; nothing was derived."""

    code = "TOO_MANY_SKIPPED"

    def __init__(self, wanted: int, limit: int) -> None:
        super().__init__(f"{wanted} keys would be skipped; the limit is {limit}")


class Tampered(DecryptError):
    """The header is authentic but the commitment or the tag of the body is not."""

    code = "TAMPERED"


class SessionError(PeerError):
    """The peer, authenticated, broke the protocol; the session cannot go on and the person must be told."""

    code = "SESSION"


class ChainExhausted(SessionError):
    """A sending chain reached 2^16 messages without a step; only an answer from the peer helps."""

    code = "CHAIN_EXHAUSTED"


class TrustError(TrothError):
    """What was pinned and what is presented differ; nothing is sent until a person has looked."""

    code = "TRUST"
    exit_code = 4


class PinMismatch(TrustError):
    """The relay's TLS key is not one its signed descriptor names."""

    code = "TLS_PIN_MISMATCH"

    words = ""

    def __init__(self, expected: str, presented: str) -> None:
        super().__init__(f"{self.words}the relay's descriptor names {expected}; the server presented {presented}")
        self.expected = expected
        self.presented = presented


class Intercepted(PinMismatch):
    """The wrong TLS key, signed by an authority that this system trusts: somebody reads TLS on this network."""

    code = "TLS_INTERCEPTED"
    words = "TLS is intercepted on this network: "

    @classmethod
    def of(cls, mismatch: PinMismatch) -> Intercepted:
        """The same mismatch, explained."""
        return cls(mismatch.expected, mismatch.presented)


class Rollback(TrustError):
    """An older version of something signed than the one already known."""

    code = "ROLLBACK"


class Fork(TrustError):
    """A second, different thing under a version number that is already taken."""

    code = "FORK"


class RelayError(TrothError):
    """The relay answered with an error; ``wire_code`` is the number in SPEC.md section 11.5."""

    code = "RELAY"
    exit_code = 3

    def __init__(self, wire_code: int, name: str, retry_after: int = 0) -> None:
        super().__init__(f"the relay answered {name}" + (f"; try again in {retry_after} s" if retry_after else ""))
        self.wire_code = wire_code
        self.name = name
        self.retry_after = retry_after


class NetworkError(TrothError):
    """No connection or no answer; what is queued stays queued."""

    code = "NETWORK"
    exit_code = 3


class DirectForbidden(NetworkError):
    """The person allows proxies only, and this would have gone, or asked for a name, without one."""

    code = "DIRECT_FORBIDDEN"


class NoRoute(NetworkError):
    """No route that may be used leads to this relay."""

    code = "NO_ROUTE"


class HostUnknown(NetworkError):
    """The name could not be resolved."""

    code = "HOST_UNKNOWN"


class ConnectionRefused(NetworkError):
    """Nothing listens there, or something on the way says so."""

    code = "CONNECTION_REFUSED"


class ConnectionReset(NetworkError):
    """The connection was cut after so many bytes had come."""

    code = "CONNECTION_RESET"


class TimedOut(NetworkError):
    """No answer in the time a step may take."""

    code = "TIMED_OUT"


class RelayBusy(NetworkError):
    """The relay turned the connection away for now; ``retry_after`` is the seconds it asked for, 0 if none."""

    code = "RELAY_BUSY"

    def __init__(self, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PathSilent(NetworkError):
    """An open connection brought nothing any more, not even the answer to a ping."""

    code = "PATH_SILENT"


class ProxyError(NetworkError):
    """A proxy refused, or what answers there is not the proxy it should be."""

    code = "PROXY_ERROR"


class TransportFailed(NetworkError):
    """A pluggable transport's program is missing, ended, or said something that is not its protocol."""

    code = "PT_FAILED"


class NoTls(NetworkError):
    """What answers where TLS should be speaks something else."""

    code = "NO_TLS"


class CaptivePortal(NetworkError):
    """The network sends every connection to a page of its own until somebody signs in there."""

    code = "CAPTIVE_PORTAL"


class UpgradeStripped(NetworkError):
    """HTTP was answered without the WebSocket that was asked for."""

    code = "UPGRADE_STRIPPED"


class ClockSkew(NetworkError):
    """This machine's clock and the relay's differ by more than a day."""

    code = "CLOCK_SKEW"


class StorageError(TrothError):
    """The disk refused; whatever was asked has not happened."""

    code = "STORAGE"
    exit_code = 3


class StorageUntrusted(StorageError):
    """A relay's files are damaged or contradict each other: nothing is served until an operator has looked."""

    code = "STORAGE_UNTRUSTED"
    exit_code = 70
