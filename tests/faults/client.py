"""A client as the documentation asks for: it repeats a request, with the same key, until it is answered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import httpx

PATIENCE = 60.0  # seconds for one call, over all its repetitions
REQUEST_SECONDS = 15.0
PAUSE = (0.1, 0.5)  # seconds between repetitions
PASSING = ("UNAVAILABLE", "INTERNAL", "TIMEOUT")

EVENT = "{ event { id version } errors { ... on UserError { code message path } } }"
CREATE = f"mutation Create($input: CreateEventInput!) {{ answer: createEvent(input: $input) {EVENT} }}"
UPDATE = (
    f"mutation Update($id: ID!, $input: UpdateEventInput!) {{ answer: updateEvent(id: $id, input: $input) {EVENT} }}"
)
CANCEL = f"mutation Cancel($id: ID!) {{ answer: cancelEvent(id: $id) {EVENT} }}"
DELETE = """mutation Delete($id: ID!) {
  answer: deleteEvent(id: $id) { deletedId errors { ... on UserError { code message path } } }
}"""
RETRY = f"mutation Retry($id: ID!) {{ answer: retrySync(eventId: $id) {EVENT} }}"
CALENDAR = """mutation Calendar($input: CreateCalendarInput!) {
  answer: createCalendar(input: $input) { calendar { id } errors { ... on UserError { code message path } } }
}"""
RESOURCE = """mutation Resource($input: CreateResourceInput!) {
  answer: createResource(input: $input) { resource { id } errors { ... on UserError { code message path } } }
}"""
MISBEHAVE = """mutation Misbehave($input: ConfigureSandboxInput!) {
  answer: configureSandbox(input: $input) { faults { latency } errors { ... on UserError { code message path } } }
}"""
STATUS = "query Status($id: ID!) { answer: event(id: $id) { sync { status } } }"


class Unanswered(Exception):
    """The server did not answer within the client's patience."""


class Unexpected(Exception):
    """The server gave an answer that it must not give."""


class Client:
    """Calls one server. `repeats` counts, by reason, what had to be sent again."""

    def __init__(self, url: str, token: str, connections: int) -> None:
        self.repeats: Counter[str] = Counter()
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=REQUEST_SECONDS,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def is_ready(self) -> bool:
        """Ask whether the server takes requests."""
        try:
            return (await self._http.get("/readyz", timeout=2)).status_code == 200
        except httpx.TransportError:
            return False

    async def call(self, document: str, *, missing_is_done: bool = False, **variables: Any) -> dict[str, Any]:
        """Return the answer to one operation, however often it must be sent; raise `Unanswered` after a time.

        `missing_is_done`: where it was sent before, NOT_FOUND says that the first time has worked.
        """
        attempts = 0
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    attempts += 1
                    answer = await self._once(document, variables)
                    if answer is not None:
                        break
                    await asyncio.sleep(random.uniform(*PAUSE))
        except TimeoutError:
            raise Unanswered(f"no answer in {PATIENCE:g} s, {attempts} attempts; so far {dict(self.repeats)}") from None
        errors = answer.get("errors") or []
        if errors and not (missing_is_done and attempts > 1 and errors[0]["code"] == "NOT_FOUND"):
            raise Unexpected(f"refused: {errors}")
        return answer

    async def _once(self, document: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """Send it once; None where it must be sent again."""
        try:
            response = await self._http.post("/graphql", json={"query": document, "variables": variables})
            body = response.json()
        except httpx.TransportError as error:
            self.repeats[type(error).__name__] += 1
            return None
        except ValueError:
            self.repeats[f"HTTP {response.status_code}"] += 1
            return None
        errors = body.get("errors")
        if not errors:
            answer: dict[str, Any] = body["data"]["answer"] or {}
            return answer
        code = errors[0].get("extensions", {}).get("code", "")
        if code not in PASSING:
            raise Unexpected(f"HTTP {response.status_code}: {errors}")
        self.repeats[code] += 1
        return None
