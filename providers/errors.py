"""What can go wrong with a provider.

ProviderError
├── RetryLater              it may succeed by itself
│   ├── Throttled           429: the account is asked nothing for `retry_after`; costs no attempt
│   ├── Unreachable         5xx, a timeout before anything was sent, no network
│   └── OutcomeUnknown      sent, but no answer: it may have happened
├── NeedsPerson             it will not succeed until a person acts
│   ├── ReconnectRequired   the grant is gone: the account waits, nothing is lost
│   ├── CalendarGone        the provider has no such calendar any more: nothing in it is taken for deleted
│   ├── NotConfigured       the operator of this server has to set something first
│   └── Refused             the provider will never accept this: a dead letter
│       ├── BadAddress      an address of a user's that we do not go to, or that is not what was expected
│       └── WrongCredentials   the user name, the password or the code is wrong
└── Disagreement            the provider's state is not what we thought; the caller finds out and goes on
    ├── AlreadyExists       a create met a copy with the same identity
    ├── Stale               an update or a delete met another etag
    ├── Gone                an update met nothing, or a deleted copy
    └── TokenExpired        the mark of how far we had read is worth nothing: read everything again

A provider never retries by itself: the lane does. Messages are shown to the calendar's user: no address, no secret, no
body of an answer.
"""

from __future__ import annotations

from datetime import timedelta

from kalends.domain.errors import KalendsError


class ProviderError(KalendsError):
    """The root of this layer's errors."""


class RetryLater(ProviderError):
    """It may succeed by itself."""


class Throttled(RetryLater):
    """The provider asks us to be quiet for a while."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(RetryLater):
    """The provider did not do it, and may do it later."""


class OutcomeUnknown(RetryLater):
    """The request went out and no answer came back."""


class NeedsPerson(ProviderError):
    """It will not succeed until a person acts."""


class ReconnectRequired(NeedsPerson):
    """The account's grant is gone; its owner must connect it again."""


class CalendarGone(NeedsPerson):
    """The provider has no such calendar any more, or hides it from us."""


class NotConfigured(NeedsPerson):
    """The operator of this server has to set something first; the message says what."""


class Refused(NeedsPerson):
    """The provider will never accept this request."""


class BadAddress(Refused):
    """An address that a user gave leads where we do not go, or to something else than what was expected."""


class WrongCredentials(Refused):
    """The provider does not accept what the user gave to open an account."""


class Disagreement(ProviderError):
    """The provider's state is not what we thought."""


class AlreadyExists(Disagreement):
    """There is a copy with this identity, alive or deleted."""


class Stale(Disagreement):
    """The copy has changed since we last saw it."""


class Gone(Disagreement):
    """There is no copy any more."""


class TokenExpired(Disagreement):
    """The provider does not know any more how far we had read."""
