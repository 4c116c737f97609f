"""What a window is opened with beside its conversations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..preferences import Preferences
from ..route_views import RouteStatus
from .lock_screen import Unlocks


@dataclass(frozen=True, slots=True)
class Settings:
    """Preferences, and how the passphrase is checked; without one there is nothing to lock with."""

    preferences: Preferences = field(default_factory=Preferences)
    unlocks: Unlocks | None = None
    routes: Callable[[], RouteStatus] | None = None
    """How our relay is reached, where that can be chosen."""
    keep_theme: Callable[[str], None] | None = None
    """Remembers a theme for the next time; UserError, StorageError."""
