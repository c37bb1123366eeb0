// A few words with the server under test, for the checks that need data in it.

/** Sends one request; an error at the top level, or a refusal in a payload, ends the check. */
export async function ask(url, query, variables = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  const refusals = Object.values(data ?? {}).flatMap((payload) => payload?.errors ?? []);
  if (errors?.length || refusals.length) throw new Error(JSON.stringify(errors ?? refusals));
  return data;
}

/** Creates a calendar, and as many events in it as there are names; returns the ids. */
export async function blockTime(url, names) {
  const { createCalendar } = await ask(
    url,
    `mutation ($input: CreateCalendarInput!) {
      createCalendar(input: $input) { calendar { id } errors { ... on UserError { message } } }
    }`,
    { input: { name: 'Conformance', timeZone: 'Europe/Berlin' } },
  );
  const calendar = createCalendar.calendar.id;
  const day = (index) => String(index + 1).padStart(2, '0');
  const { createEvents } = await ask(
    url,
    `mutation ($input: CreateEventsInput!) {
      createEvents(input: $input) { events { id } errors { ... on UserError { message } } }
    }`,
    {
      input: {
        events: names.map((what, index) => ({
          calendarId: calendar,
          start: `2026-05-${day(index)}T09:00:00+02:00`,
          end: `2026-05-${day(index)}T10:00:00+02:00`,
          what,
          where: 'Room 2',
        })),
      },
    },
  );
  return { calendar, events: createEvents.events.map((event) => event.id) };
}
