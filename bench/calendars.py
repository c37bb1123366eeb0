"""The calendars that events are created in."""

from __future__ import annotations

CALENDARS = 50
FIXED_IDS = tuple(f"00000000-0000-7000-8000-00000000{number}" for number in range(1000, 1000 + CALENDARS))
"""Ids where the contestant lets us choose them; the SQL files know them too."""
