"""Google Calendar."""

from providers.google.provider import GoogleProvider

__all__ = ["GoogleProvider"]
