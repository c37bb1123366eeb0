"""What a reader has to say beside what it has read."""

from __future__ import annotations

from kalends.domain.sync import SyncWarning, WarningCode


class Notes:
    """Collects warnings: each once, in an order that does not depend on the file's."""

    def __init__(self) -> None:
        self._warnings: set[SyncWarning] = set()

    def add(self, code: WarningCode, message: str) -> None:
        """Note something, in one sentence."""
        self._warnings.add(SyncWarning(code, message))

    def partly(self, message: str) -> None:
        """Note something that Kalends has no word for. It stays in the file."""
        self.add(WarningCode.PARTLY_READ, message)

    @property
    def warnings(self) -> tuple[SyncWarning, ...]:
        """What was noted."""
        return tuple(sorted(self._warnings, key=lambda each: (each.code, each.message)))
