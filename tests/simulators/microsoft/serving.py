"""The simulator on a port of this machine, for people without credentials."""

from __future__ import annotations

from datetime import UTC, datetime

import uvicorn

from ..common import Desk  # noqa: TID252  shipped under another name, too
from .app import create_app

HOST = "127.0.0.1"


def serve(port: int) -> None:
    """Serve until somebody stops it. It has one account, and one application: `client` with the secret `secret`."""
    uvicorn.run(create_app(Desk(), lambda: datetime.now(UTC)), host=HOST, port=port, log_level="info")
