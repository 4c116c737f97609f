"""Two people at one relay core: as strangers or as acquaintances, what they wrote, and what no honest client sends."""

from __future__ import annotations

from client.world import Person, RelayCore, settle
from troth_client import outbox
from troth_client.events import MessageState
from troth_client.views import MessageView
from troth_protocol import content

Pair = tuple[Person, Person]


def strangers(relay: RelayCore) -> Pair:
    """Two people who do not know each other, connected."""
    one, other = Person("Ann", relay), Person("Ben", relay)
    for person in (one, other):
        person.connect()
        settle(person)
    return one, other


def texts(person: Person, other: Person) -> list[MessageView]:
    """The lines people wrote."""
    return [m for m in person.disk.lines(other.fingerprint) if m.state is not MessageState.NOTICE]


def last(person: Person, other: Person) -> MessageView:
    return texts(person, other)[-1]


def slip(person: Person, other: Person, *said: content.Inner) -> None:
    """Send contents that no honest client would, through the honest session."""
    for each in said:
        person.messenger._journal.now = person.now
        outbox.enqueue(person.messenger._journal, other.fingerprint, each)
        person.perform(person.messenger._journal.commit())
    settle(person, other)
