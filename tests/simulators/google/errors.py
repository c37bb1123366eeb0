"""Google's refusals: https://developers.google.com/workspace/calendar/api/guides/errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """An answer that is none of success."""

    def __init__(self, status: int, reason: str, message: str, *, domain: str = "global") -> None:
        super().__init__(message)
        self.status = status
        self.body = error(status, reason, message, domain)


def error(status: int, reason: str, message: str, domain: str = "global") -> dict[str, Any]:
    """Return the body of a refusal."""
    one = {"domain": domain, "reason": reason, "message": message}
    return {"error": {"errors": [one], "code": status, "message": message}}


def busy(status: int, _retry_after: int | None) -> Mapping[str, Any]:
    """Return the body of a refusal that happens on demand."""
    if status == 429:
        return error(429, "rateLimitExceeded", "Rate Limit Exceeded", "usageLimits")
    return error(503, "backendError", "Backend Error")


def invalid(message: str, reason: str = "invalid") -> Refusal:
    """Return the refusal of something that makes no sense."""
    return Refusal(400, reason, message)


def not_found() -> Refusal:
    """Return the refusal of what is not there, or is hidden."""
    return Refusal(404, "notFound", "Not Found")


def forbidden(reason: str = "forbidden", message: str = "Forbidden") -> Refusal:
    """Return the refusal of what is not allowed."""
    return Refusal(403, reason, message, domain="calendar")


def unauthorized() -> Refusal:
    """Return the refusal of a token that does not work, or not any more."""
    return Refusal(401, "authError", "Invalid Credentials")
