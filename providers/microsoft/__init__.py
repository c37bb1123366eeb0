"""Microsoft 365 and Outlook."""

from providers.microsoft.provider import MicrosoftProvider

__all__ = ["MicrosoftProvider"]
