"""Calendars that are files at an address: subscribed, and read-only."""

from providers.ics.provider import IcsProvider

__all__ = ["IcsProvider"]
