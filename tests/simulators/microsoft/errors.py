"""Graph's refusals: https://learn.microsoft.com/graph/errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """An answer that is none of success."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = error(code, message)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def error(code: str, message: str) -> dict[str, Any]:
    """Return the body of a refusal."""
    return {"error": {"code": code, "message": message, "innerError": {"request-id": "simulated"}}}


def busy(status: int, _retry_after: int | None) -> Mapping[str, Any]:
    """Return the body of a refusal that happens on demand."""
    if status == 429:
        return error("ApplicationThrottled", "Application is over its MailboxConcurrency limit.")
    return error("ServiceUnavailable", "The service is temporarily unavailable.")


def crowded() -> Refusal:
    """Return the refusal of a fifth request at once: https://learn.microsoft.com/graph/throttling-limits."""
    return Refusal(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.", retry_after="1")


def unauthorized() -> Refusal:
    """Return the refusal of a token that does not work, or not any more."""
    challenge = 'Bearer realm="", error="invalid_token"'
    return Refusal(401, "InvalidAuthenticationToken", "Lifetime validation failed.", www_authenticate=challenge)


def invalid(message: str, code: str = "ErrorInvalidRequest") -> Refusal:
    """Return the refusal of something that makes no sense."""
    return Refusal(400, code, message)


def no_mailbox() -> Refusal:
    """Return the refusal of an account that has no mailbox, or one in a place of its own."""
    message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
    return Refusal(404, "MailboxNotEnabledForRESTAPI", message)


def malformed_id() -> Refusal:
    """Return the refusal of an id that is none."""
    return Refusal(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def not_found() -> Refusal:
    """Return the refusal of what is not there, or is hidden."""
    return Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def denied() -> Refusal:
    """Return the refusal of what is not allowed."""
    return Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def stale() -> Refusal:
    """Return the refusal of a change to another version."""
    return Refusal(412, "ErrorIrresolvableConflict", "The change key passed in the request does not match.")
