"""Calendars on CalDAV servers (RFC 4791)."""

from providers.caldav.provider import CaldavProvider

__all__ = ["CaldavProvider"]
