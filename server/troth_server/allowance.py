"""What one connection may ask, and how fast; what is over is answered RATE_LIMITED before the store hears of it.

Four budgets: the connection's own requests; deliveries to each mailbox and bundles by each card, charged by the id that
was named, whether it exists or not, so that nothing can be told from them; changes to the mailbox that was proved; and
mailboxes made, by the connection, by its network and by all. Pure. SPEC.md section 11.6. [R-11.6-3]
"""

from __future__ import annotations

from typing import Final

from troth_protocol.token import capability_hash, mailbox_hash
from troth_protocol.wire import blobs, requests, rights

from .gate import Visit
from .limits import (
    CREATION_WAIT,
    CREATIONS,
    FAILURES,
    INSISTENCE,
    INSISTENCE_PER_SECOND,
    ROWS,
    Bucket,
    Buckets,
    Rates,
)

_LEDGER_COST: Final = 10
"""A page of the ledger is a frame of up to 70,000 bytes that anybody may ask for; a client asks for one or two."""


class Shared:
    """The budgets that all connections of a relay share."""

    __slots__ = ("blobs", "bundles", "changes", "creations", "deliveries", "rates", "uploads")

    def __init__(self, rates: Rates, creations: Bucket) -> None:
        self.rates = rates
        self.creations = creations
        self.deliveries = Buckets(ROWS, rates.deliveries_at_once, rates.deliveries_per_second)
        self.bundles = Buckets(ROWS, rates.bundles_at_once, rates.bundles_per_minute / 60)
        self.changes = Buckets(ROWS, rates.changes_at_once, rates.changes_per_minute / 60)
        self.uploads = Buckets(ROWS, rates.uploads_at_once, rates.uploads_per_minute / 60)
        self.blobs = Buckets(ROWS, rates.blob_downloads_at_once, rates.blob_downloads_per_minute / 60)


class Allowance:
    """One connection's."""

    __slots__ = ("_created", "_downloads", "_failures", "_insistence", "_requests", "_shared", "_visit")

    def __init__(self, shared: Shared, visit: Visit) -> None:
        self._shared = shared
        self._visit = visit
        self._requests = Bucket(shared.rates.requests_at_once, shared.rates.requests_per_second)
        self._downloads = Bucket(shared.rates.downloads_at_once, shared.rates.downloads_per_minute / 60)
        self._insistence = Bucket(INSISTENCE, INSISTENCE_PER_SECOND)
        self._created = 0
        self._failures = 0

    def spend(self, request: requests.Request, owner: bytes | None, now: int) -> int:
        """Take leave for a request on a connection that speaks for ``owner``; 0, or the seconds to wait."""
        shared = self._shared
        match request:
            case requests.Acknowledge() if owner is not None:
                return 0  # ``again`` counts those that do nothing
            case requests.Ledger():
                return self._requests.take(now, _LEDGER_COST)
        wait = self._requests.take(now)
        if wait:
            return wait
        match request:
            case requests.Deliver(mailbox) | requests.DeliverSpare(mailbox):
                return shared.deliveries.take(mailbox_hash(mailbox), now)
            case requests.DeliverFirst(lookup):
                return shared.deliveries.take(mailbox_hash(lookup), now)
            case requests.FetchBundle(lookup):
                return shared.bundles.take(mailbox_hash(lookup), now)
            case blobs.BlobGet(blob):
                return self._downloads.take(now) or shared.blobs.take(capability_hash(blob), now)
            case blobs.BlobPut() if owner is not None:
                return self._visit.upload(now) or shared.uploads.take(owner, now)
            case requests.Create():
                return self._create(now)
            case (
                requests.Rotate()
                | requests.Publish()
                | requests.Unpublish()
                | requests.AddLeaves()
                | requests.Spares()
                | rights.Refuse()
                | blobs.BlobDelete()
            ) if owner is not None:
                return shared.changes.take(owner, now)
        return 0

    def make(self, now: int) -> int:
        """Take leave to make a mailbox, of all there is for everybody; 0, or the seconds to wait.

        Only whoever is admitted asks: others would use up what the invited need.
        """
        return self._shared.creations.take(now)

    def again(self, now: int) -> int:
        """Take leave for an acknowledgement that does nothing; 0, or the seconds to wait."""
        return self._requests.take(now)

    def insists(self, now: int) -> bool:
        """Count a RATE_LIMITED answer; whether the client goes on regardless."""
        return self._insistence.take(now) > 0

    def failed(self, now: int) -> bool:
        """Count a refused request; whether it was one too many, here or, not for the first here, of the network."""
        self._failures += 1
        exhausted = self._visit.failed(now)
        return self._failures >= FAILURES or (exhausted and self._failures > 1)

    def _create(self, now: int) -> int:
        self._created += 1
        return CREATION_WAIT if self._created > CREATIONS else self._visit.create(now)
