"""The list of contacts as a window shows it, made of what the messenger decided and what the vault counted."""

from __future__ import annotations

from .lookalikes import confusable, skeleton
from .messenger import Messenger
from .records import Standing
from .vault.store import Vault
from .views import ContactView, contact_view


def contact_views(messenger: Messenger, vault: Vault) -> list[ContactView]:
    """All contacts, those with something unread first, then the one with the newest message: one row read for each."""
    known = messenger.contacts()
    alike = confusable(
        contact.name or contact.claimed for contact in known if contact.standing is not Standing.DECLINED
    )
    views = []
    for contact in known:
        fingerprint = contact.fingerprint
        epoch, queued = messenger.epoch(fingerprint), messenger.queued(fingerprint)
        doubtful = skeleton(contact.name or contact.claimed) in alike
        counts, terms = vault.counts(fingerprint), messenger.terms(fingerprint)
        views.append(contact_view(contact, epoch, queued, counts, terms, confusable=doubtful))
    return sorted(views, key=lambda view: (not view.unread, -view.last))
