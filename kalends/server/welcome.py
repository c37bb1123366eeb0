"""What GraphiQL shows on a first visit: a mutation and two queries that are ready to run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True)
class Tab:
    """One tab of GraphiQL, which takes the tab's title from the operation's name: `title` repeats that name."""

    title: str
    query: str
    variables: str = ""
    """JSON, indented for reading."""


_BLOCK_TIME = """\
# Press the play button: this blocks an hour in a calendar.
# The values are below, under Variables.
# Nobody gets mail unless "invite" is true.
mutation BlockTime($input: CreateEventInput!) {
  createEvent(input: $input) {
    event {
      id
      what
      where
      start
      end
      timeZone
      participants {
        email
        rsvp
      }
      sync {
        status
        provider
      }
    }
    errors {
      __typename
      ... on UserError {
        message
        code
        path
      }
    }
  }
}
"""

_WEEK = """\
# What takes place in the calendar this week.
query Week($calendarId: ID!, $from: DateTime!, $to: DateTime!) {
  events(calendarIds: [$calendarId], from: $from, to: $to) {
    edges {
      node {
        id
        what
        start
        end
      }
    }
  }
}
"""

_ME = """\
# Whose key is under Headers, and what it may do.
query Me {
  viewer {
    app {
      name
    }
    key {
      name
      scopes
    }
  }
}
"""


def welcome_tabs(calendar_id: str, start: datetime) -> tuple[Tab, ...]:
    """Return the tabs for a calendar: block an hour from `start`, list the week around it, ask who one is.

    `start` is aware and in an IANA zone (`ZoneInfo`, or `datetime.UTC`): its zone becomes the event's time zone,
    and the week runs from Monday to Monday, 00:00 in that zone (ISO 8601).
    """
    monday = datetime.combine(start - timedelta(days=start.weekday()), time(), start.tzinfo)
    event = {
        "calendarId": calendar_id,
        "what": "Design review",
        "where": "Room 2",
        "description": "Please read the draft first.",
        "start": _text(start),
        "end": _text(start + timedelta(hours=1)),
        "timeZone": str(start.tzinfo),
        "allDay": False,
        "participants": ["ada@example.com", "grace@example.com"],
        "myRsvp": "ACCEPTED",
        "invite": False,
        "transparent": False,
        "status": "CONFIRMED",
        "onConflict": "WARN",
        "syncProvider": True,
        "dryRun": False,
    }
    week = {"calendarId": calendar_id, "from": _text(monday), "to": _text(monday + timedelta(days=7))}
    return (
        Tab("BlockTime", _BLOCK_TIME, json.dumps({"input": event}, indent=2)),
        Tab("Week", _WEEK, json.dumps(week, indent=2)),
        Tab("Me", _ME),
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
