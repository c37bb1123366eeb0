"""A client as the documentation asks for: it repeats a request, with the same key, until it is answered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

PATIENCE = 60.0  # seconds for one call, over all its repetitions
REQUEST_SECONDS = 15.0
PAUSE = (0.1, 0.5)  # seconds between repetitions
PASSING = ("UNAVAILABLE", "INTERNAL", "TIMEOUT")

ERRORS = "errors { ... on UserError { code message path } }"
SAYS = "what where start end status"
EVENT = f"{{ event {{ id version }} {ERRORS} }}"
CREATE = f"mutation Create($input: CreateEventInput!) {{ answer: createEvent(input: $input) {EVENT} }}"
UPDATE = (
    f"mutation Update($id: ID!, $input: UpdateEventInput!) {{ answer: updateEvent(id: $id, input: $input) {EVENT} }}"
)
CANCEL = f"""mutation Cancel($id: ID!, $expectedVersion: Int) {{
  answer: cancelEvent(id: $id, expectedVersion: $expectedVersion) {EVENT}
}}"""
DELETE = f"""mutation Delete($id: ID!, $expectedVersion: Int) {{
  answer: deleteEvent(id: $id, expectedVersion: $expectedVersion) {{ deletedId {ERRORS} }}
}}"""
RETRY = f"mutation Retry($id: ID!) {{ answer: retrySync(eventId: $id) {EVENT} }}"
RESOLVE = f"""mutation Resolve($input: ResolveSyncConflictInput!) {{
  answer: resolveSyncConflict(input: $input) {{ event {{ id }} copy {{ id }} {ERRORS} }}
}}"""
ALLOW = f"""mutation Allow($id: ID!, $count: Int!) {{
  answer: allowDeletions(calendarId: $id, count: $count) {{ calendar {{ id }} {ERRORS} }}
}}"""
CALENDAR = f"""mutation Calendar($input: CreateCalendarInput!) {{
  answer: createCalendar(input: $input) {{ calendar {{ id account {{ id }} }} {ERRORS} }}
}}"""
RESOURCE = f"""mutation Resource($input: CreateResourceInput!) {{
  answer: createResource(input: $input) {{ resource {{ id }} {ERRORS} }}
}}"""
CONNECT = f"""mutation Connect($input: ConnectAccountInput!) {{
  answer: connectAccount(input: $input) {{ authorizationUrl {ERRORS} }}
}}"""
CONNECT_CALDAV = f"""mutation ConnectCaldav($input: ConnectCaldavInput!) {{
  answer: connectCaldav(input: $input) {{ account {{ id }} {ERRORS} }}
}}"""
LINK = f"""mutation Link($input: LinkCalendarInput!) {{
  answer: linkCalendar(input: $input) {{ calendar {{ id }} {ERRORS} }}
}}"""
MISBEHAVE = f"""mutation Misbehave($input: ConfigureSandboxInput!) {{
  answer: configureSandbox(input: $input) {{ faults {{ latency }} {ERRORS} }}
}}"""
READ = f"query Read($id: ID!) {{ answer: event(id: $id) {{ version {SAYS} }} }}"
STATUS = "query Status($id: ID!) { answer: event(id: $id) { sync { status } } }"
DISPUTE = f"""query Dispute($id: ID!) {{
  answer: event(id: $id) {{
    version {SAYS} description
    sync {{ conflict {{ fields ours {{ {SAYS} }} theirs {{ {SAYS} }} }} }}
  }}
}}"""
ACCOUNTS = """query Accounts($id: ID!) {
  answer: accounts(resourceId: $id) { edges { node { id state } } }
}"""
ACCOUNT = "query Account($id: ID!) { answer: account(id: $id) { state lastError } }"


class Unanswered(Exception):
    """The server did not answer within the client's patience."""


class Unexpected(Exception):
    """The server gave an answer that it must not give."""


@dataclass(frozen=True)
class Answer:
    """What came back: the payload, the codes of what was refused, and how often it had to be asked."""

    payload: Any
    attempts: int = 1
    refused: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Any:
        return self.payload[name]


class Client:
    """Calls one server. `repeats` counts, by reason, what had to be sent again."""

    def __init__(self, url: str, token: str, connections: int) -> None:
        self.url = url
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

    async def call(self, document: str, *, accept: Sequence[str] = (), **variables: Any) -> Answer:
        """Return the answer to one operation, however often it must be sent; raise `Unanswered` after a time.

        Raises `Unexpected` where it is refused, but for the codes in `accept`.
        """
        attempts = 0
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    attempts += 1
                    data = await self._once(document, variables)
                    if data is not None:
                        break
                    await asyncio.sleep(random.uniform(*PAUSE))
        except TimeoutError:
            raise Unanswered(f"no answer in {PATIENCE:g} s, {attempts} attempts; so far {dict(self.repeats)}") from None
        payload = data["answer"]
        errors = payload.get("errors", ()) if isinstance(payload, dict) else ()
        if any(each["code"] not in accept for each in errors):
            raise Unexpected(f"refused: {errors}")
        return Answer(payload, attempts, tuple(each["code"] for each in errors))

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
            data: dict[str, Any] = body["data"]
            return data
        code = errors[0].get("extensions", {}).get("code", "")
        if code not in PASSING:
            raise Unexpected(f"HTTP {response.status_code}: {errors}")
        self.repeats[code] += 1
        return None
