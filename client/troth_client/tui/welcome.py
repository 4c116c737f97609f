"""The first run, in three screens: a passphrase, a relay, a card to hand to the first person.

No name, no number, no address is asked for. Nothing is kept before the relay has answered; whatever fails is said with
what to do next, and can be tried again without typing the rest again.
"""

from __future__ import annotations

from typing import ClassVar, Final, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.events import Resize
from textual.widgets import Button, Input, Static

from troth_protocol.errors import TrothError

from ..views import Conversations
from ..wording import advice
from .faultless import Faultless
from .fields import LinkInput, Tick
from .qr import Code
from .settings import Settings

LEAST: Final = 12
"""Characters of a passphrase from which no warning is shown: six words, or twelve random characters."""

_STEPS: Final = (
    (
        "1 of 3 · A passphrase",
        "Troth keeps your keys and messages in one encrypted file on this machine. The passphrase opens it. Nobody "
        "can reset it: choose one you will remember, such as six words drawn from a list.",
    ),
    (
        "2 of 3 · A relay",
        "A relay stores messages for you while you are away. It sees sizes and times, never a word. Paste the link "
        "that its operator gave you, or that came with an invitation. Where the network blocks it, or the relay is not "
        "to see this address, paste a route as well.",
    ),
    (
        "3 of 3 · Your card",
        "This link is for one person: whoever has it can write to you once. Hand it over privately. More cards: F4.",
    ),
)


class Founder(Protocol):
    """Makes an account: the shell that knows vaults and relays."""

    async def found(self, relay_link: str, passphrase: str, route: str, *, proxies_only: bool) -> Conversations:
        """Make an account on a relay and go online, by this route if there is one; TrothError, and nothing is left."""


class Welcome(Faultless[None]):
    """Three screens; ``made`` is the account, once there is one."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (14, "-short"), (24, "-tall")]  # noqa: RUF012

    def __init__(self, founder: Founder, settings: Settings) -> None:
        super().__init__(settings.preferences.theme)
        self._founder = founder
        self._step = 0
        self.made: Conversations | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        """All three, of which one is shown."""
        with VerticalScroll(classes="dialog", id="first-run"):
            yield Static(id="first-say", markup=False)
            yield Input(placeholder="Passphrase", password=True, id="first")
            yield Input(placeholder="Once more", password=True, id="again")
            yield LinkInput(placeholder="troth-relay:…", id="relay-link")
            yield LinkInput(placeholder="A route, if you need one: troth-route:…", id="route-link")
            yield Tick("Proxies only: nothing goes direct", id="proxies-only", compact=True)
            yield Static(id="first-card", markup=False)
            yield Static(classes="error", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Next", id="next", variant="primary", compact=True)
                yield Button("Copy link", id="copy", compact=True)
                yield Button("Leave", id="leave", compact=True)
            yield Code(id="first-code")

    def on_mount(self) -> None:
        """Begin."""
        self._show()

    def on_resize(self, event: Resize) -> None:
        """The code fits now, or does not."""
        self.query_one(Code).fit()

    def _show(self) -> None:
        box, (title, text) = self.query_one("#first-run"), _STEPS[self._step]
        box.border_title = title
        self.query_one("#first-say", Static).update(text)
        shown = (
            {"#first", "#again"},
            {"#relay-link", "#route-link", "#proxies-only"},
            {"#first-card", "#copy", "#first-code"},
        )
        for step, names in enumerate(shown):
            for name in names:
                self.query_one(name).display = step == self._step
        self.query_one("#leave").display = self.made is None
        self.query_one("#next", Button).label = "Begin to write" if self._step == 2 else "Next"
        self.query_one(("#first", "#relay-link", "#next")[self._step]).focus()
        self.say("")

    def say(self, error: str) -> None:
        """Show what went wrong."""
        line = self.query_one(".error", Static)
        line.update(error)
        line.display = bool(error)

    @on(Input.Submitted, "#first")
    def _to_again(self) -> None:
        self.query_one("#again").focus()

    @on(Input.Submitted, "#again,#relay-link,#route-link")
    @on(Button.Pressed, "#next")
    def _next(self) -> None:
        if self._busy:
            return
        if self._step == 0:
            self._choose()
        elif self._step == 1:
            self._busy = True
            self.say("Asking the relay…")
            self.run_worker(self._found(), exit_on_error=True)
        else:
            self.exit()

    def _choose(self) -> None:
        first, again = self.query_one("#first", Input).value, self.query_one("#again", Input).value
        if not first:
            self.say("A passphrase is needed: without one anybody with this machine reads everything.")
        elif len(first) < LEAST:
            self.say(f"Too easy to guess: take at least {LEAST} characters.")
        elif first != again:
            self.say("The two are not the same: type them again.")
            self.query_one("#again", Input).clear()
        else:
            self._step = 1
            self._show()

    async def _found(self) -> None:
        link, route = (self.query_one(name, Input).value.strip() for name in ("#relay-link", "#route-link"))
        only = self.query_one(Tick).value
        try:
            conversations = await self._founder.found(
                link, self.query_one("#first", Input).value, route, proxies_only=only
            )
        except TrothError as error:
            self._busy = False
            self.say(advice(error))
            return
        self.made, self._busy, self._step = conversations, False, 2
        for name in ("#first", "#again", "#route-link"):
            self.query_one(name, Input).clear()
        self._show()
        try:
            card = await conversations.make_card()
        except TrothError as error:
            self.say(f"{advice(error)} Your account is ready; make a card later with F4.")
            return
        self.query_one("#first-card", Static).update(card)
        self.query_one(Code).encode(card)

    @on(Button.Pressed, "#copy")
    def _copy(self) -> None:
        self.copy_to_clipboard(str(self.query_one("#first-card", Static).content))
        self.notify("Copied, if your terminal allows it; else mark the link and copy it.", markup=False)

    @on(Button.Pressed, "#leave")
    def _leave(self) -> None:
        self.exit()
