"""The troth client: who drives whom.

::

    tui, cli  ->  driver (SHELL: sockets, clock, disk)  ->  messenger (CORE)  ->  troth_protocol
                  driver -> vault, routes

``events`` names everything that goes in and comes out of the core: ``Messenger.handle(event, now) -> list[Effect]``.
Whatever an event changed is one ``Save``, and it stands before every ``Submit``, ``Ask`` and ``Acknowledge`` it covers.

Read in this order: ``wishes`` (what a person asks), ``events``, ``records`` and ``terms`` (what is kept), ``journal``
(one event, one transaction), ``account``, ``refusals``, ``chats``, ``contacts``, ``outbox``, ``texts``, ``marks``,
``fading``, ``blocking``, ``intake``, ``messenger``, ``views``; then the shells: ``vault``, ``routes``, ``driver``,
``cli``, ``tui``.
"""
