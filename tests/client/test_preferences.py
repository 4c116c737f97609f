"""Preferences and keys: read whole or refused whole, with the name of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.fake_conversations import BOB, FakeConversations
from client.windows import window
from troth_client.preferences import FILE, Preferences, keep_theme, load, parse
from troth_client.tui import Settings, keys
from troth_protocol.errors import StorageError, UserError


def test_the_profile_comes_before_the_config_directory(tmp_path: Path) -> None:
    config, profile = tmp_path / "config", tmp_path / "profile"
    (config / "troth").mkdir(parents=True)
    profile.mkdir()
    environment = {"XDG_CONFIG_HOME": str(config)}
    assert load(profile, environment) == Preferences()
    (config / "troth" / FILE).write_text('theme = "light"')
    assert load(profile, environment).theme == "light"
    (profile / FILE).write_text(
        'theme = "contrast"\nkeys = "vim"\nlock_minutes = 5\n[bind]\nsearch = "f6"\ngo_to = ["f7"]'
    )
    chosen = Preferences("vim", "contrast", lock_minutes=5, bind={"search": ("f6",), "go_to": ("f7",)})
    assert load(profile, environment) == chosen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('colour = "red"', "colour is not known"),
        ('theme = "red"', "theme is one of dark, light, contrast"),
        ("theme = 3", "theme is one of"),
        ("lock_minutes = -1", "from 0"),
        ("lock_minutes = true", "from 0"),
        ("lock_minutes = 1441", "1,440"),
        ('notify = "loud"', "off, bell, terminal, desktop"),
        ('notify_shows = "all"', "nothing, name, text"),
        ("bind = 3", "is a table"),
        ("[bind]\nsearch = []", "bind.search"),
        ("[bind]\nsearch = [3]", "bind.search"),
        ('[bind]\nsearch = ""', "bind.search"),
        ("keys =", "not TOML"),
        ('"\\u001b[2J" = 1', r"\\x1b\[2J is not known"),
        ("[bind]\nkeys = 3\n[bind]", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        parse(text.encode())
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(("raw", "said"), [(b"\xff", "not UTF-8"), (b"#" * 70_000, "larger than")])
def test_what_is_no_text_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / FILE).write_bytes(raw)
    with pytest.raises(UserError, match=said):
        load(tmp_path, {})


@pytest.mark.parametrize("key_set", ["plain", "vim"])
def test_no_set_of_keys_clashes_and_every_action_has_one(key_set: str) -> None:
    bound = keys.bound(Preferences(keys=key_set))
    assert set(bound) == set(keys.BY_NAME)
    assert all(bound.values())
    assert all(keys._is_key(key) for each in bound.values() for key in each)
    page = keys.page(bound)
    assert all(action.says in page for action in keys.ACTIONS)


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ({"serch": ("f6",)}, "serch is not an action"),
        ({"search": ("ctrl+q",)}, "ctrl\\+q is bound to both quit and search"),
        ({"reply": ("d",)}, "d is bound to both reply and delete"),
        ({"reply": ("ctrl+r",)}, "ctrl\\+r is bound to both relay and reply"),
        ({"search": ("q",)}, "writes a character"),
        ({"submit": ("space",)}, "writes a character"),
        ({"reply": ("hyper+x",)}, "is not a key"),
        ({"reply": ("\x1b[2J",)}, "is not a key"),
        ({"search": ("enter",)}, "keeps its meaning"),
        ({"reply": ("tab",)}, "keeps its meaning"),
    ],
)
def test_clashes_and_impossible_keys_are_named(bind: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        keys.bound(Preferences(bind=bind))
    assert str(refused.value).isprintable()


async def test_keys_are_bound_as_chosen_and_the_help_says_so() -> None:
    chosen = Preferences(bind={"help": ("f9",), "next_unread": ("f1",), "reply": ("a",), "submit": ("ctrl+d",)})
    async with window(FakeConversations(), settings=Settings(chosen)) as opened:
        await opened.open(BOB)
        await opened.pilot.press("f9")
        await opened.shows("F9                 help: every key")
        await opened.pilot.press("escape")
        await opened.type("x")
        await opened.pilot.press("enter")
        assert opened.fake.events == []
        await opened.pilot.press("backspace", "backspace", "up", "a")
        await opened.shows("reply to")
        await opened.type("yes")
        await opened.pilot.press("ctrl+d")
        await opened.until(lambda: len(opened.fake.events) == 1)


@pytest.mark.slow
async def test_the_vim_set() -> None:
    async with window(FakeConversations(300), settings=Settings(Preferences(keys="vim"))) as opened:
        await opened.pilot.press("j", "k", "enter")
        await opened.open(BOB)
        await opened.type("jkgG")
        assert opened.composer.text == "jkgG"
        await opened.pilot.press(*["backspace"] * 4, "up", "k")
        await opened.shows("▶ hi, it is Bob")
        await opened.pilot.press("j", "i")
        await opened.until(lambda: opened.composer.area.has_focus)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light", "contrast"])
async def test_every_theme_paints(theme: str) -> None:
    async with window(FakeConversations(), settings=Settings(Preferences(theme=theme))) as opened:
        await opened.open(BOB)
        assert opened.app.theme == theme
        await opened.pilot.press("f5")
        await opened.shows("Compare with Bob")


def test_a_theme_is_kept_and_every_other_line_stays(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    keep_theme(tmp_path, "light", environment)
    assert (tmp_path / FILE).read_text() == 'theme = "light"\n'
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).write_text('# mine\ntheme = "dark"  # for the evening\n[bind]\nsearch = "f6"\ngo_to = "f7"\n')
    keep_theme(tmp_path, "contrast", environment)
    assert (tmp_path / FILE).read_text() == '# mine\ntheme = "contrast"\n[bind]\nsearch = "f6"\ngo_to = "f7"\n'
    (tmp_path / FILE).write_text('keys = "vim"')
    keep_theme(tmp_path, "light", environment)
    assert load(tmp_path, environment) == Preferences(keys="vim", theme="light")


@pytest.mark.parametrize("text", ["colour = 3", 'theme = """\nlight"""', "\ntheme = [\n"])
def test_a_file_that_is_not_understood_is_not_touched(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError):
        keep_theme(tmp_path, "light", {"XDG_CONFIG_HOME": str(tmp_path / "none")})
    assert [each.read_text() for each in tmp_path.iterdir()] == [text]


async def test_a_theme_chosen_in_the_palette_is_kept_or_the_reason_is_said() -> None:
    kept: list[str] = []

    def keep(theme: str) -> None:
        kept.append(theme)
        if theme == "light":
            raise StorageError("the disk is [b]full[/b]")

    async with window(FakeConversations(), settings=Settings(keep_theme=keep)) as opened:
        opened.app.choose_theme("contrast")
        opened.app.choose_theme("light")
        await opened.shows("[b]full[/b]")
        assert kept == ["contrast", "light"]
        assert opened.app.theme == "light"
