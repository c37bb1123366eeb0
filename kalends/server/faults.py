"""What went wrong, in the words that a caller may read.

Whoever raises does not know GraphQL or HTTP, and the schema may not import the server. So the application gives the
engine one function that says what an exception means to the caller; what it does not know is a bug, is masked, and
can be found in the log under the id that the caller was given.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog
from graphql import GraphQLError, GraphQLFormattedError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of the answer: `message` for people, `code` and `extensions` for programs.

    Codes in use: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT, UNAVAILABLE (`retryAfter`: whole seconds),
    TIMEOUT, LIMIT_EXCEEDED, CALENDAR_STALE (`calendarIds`), and where a query asks a provider those of `ErrorCode` that
    are about providers.
    """

    message: str
    code: str
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def formatted(self) -> GraphQLFormattedError:
        """Return the error as a response holds it (GraphQL specification, section 7.1.2)."""
        return {"message": self.message, "extensions": {"code": self.code, **self.extensions}}


Classify = Callable[[BaseException], Fault | None]
"""Says what an exception means to the caller, or None where it is unexpected."""


class Denied(Exception):
    """The caller's credential is missing or not accepted; the message is shown to the caller."""


def explain(error: BaseException, classify: Classify, path: list[str | int] | None = None) -> Fault:
    """Return what the caller may read about an exception; an unexpected one is logged with its traceback.

    The traceback is written out here, because a renderer further down might add the values of local variables.
    """
    if isinstance(error, Denied):
        return Fault(str(error), "UNAUTHENTICATED")
    if (fault := classify(error)) is not None:
        return fault
    identity = str(uuid4())
    text = "".join(traceback.format_exception(error))
    _log.error(
        "unexpected error",
        error_id=identity,
        path=path,
        # A lone surrogate in a message would make the log's own encoder fail.
        traceback=text.encode("utf-8", "backslashreplace").decode("utf-8"),
    )
    return Fault(f"Internal error. Quote the id {identity} to the operator.", "INTERNAL", {"id": identity})


def format_error(error: GraphQLError, classify: Classify) -> GraphQLFormattedError:
    """Return a field's error as the response holds it, masked unless it was raised on purpose.

    On purpose means: a GraphQLError, or an exception that `classify` knows.
    """
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    formatted = error.formatted
    if cause is not None:
        fault = explain(cause, classify, error.path)
        formatted |= fault.formatted()
    return formatted
