"""Every provider's side that there is, by its name."""

from __future__ import annotations

from tests.faults.places.caldav import Radicale, Xandikos
from tests.faults.places.google import Google
from tests.faults.places.microsoft import Microsoft
from tests.faults.places.place import Place
from tests.faults.places.sandbox import Sandbox

PLACES: dict[str, type[Place]] = {each.name: each for each in (Sandbox, Google, Microsoft, Radicale, Xandikos)}
