// An application in TypeScript, in small: it books an hour, is refused, moves the event and reads the week.
import { connect } from './client.js';
import {
  CancelEventDocument,
  CreateCalendarDocument,
  CreateEventDocument,
  EventDocument,
  UpdateEventDocument,
  WeekDocument,
  type CreateEventInput,
} from './generated/graphql.js';
import { explain } from './refusals.js';

export async function main(url: string, token: string): Promise<string> {
  const ask = connect(url, token);

  const { createCalendar } = await ask(CreateCalendarDocument, { input: { name: 'TypeScript', timeZone: 'Europe/Berlin' } });
  const calendar = createCalendar.calendar;
  if (!calendar) throw new Error(createCalendar.errors[0]?.message);

  const hour: CreateEventInput = {
    calendarId: calendar.id,
    start: '2026-05-04T09:00:00+02:00',
    end: '2026-05-04T10:00:00+02:00',
    what: 'Design review',
    where: 'Room 2',
    participants: ['ada@example.org'],
    metadata: { ticket: 'K-1' },
    onConflict: 'REJECT',
  };
  const booked = (await ask(CreateEventDocument, { input: hour })).createEvent;
  const event = booked.event;
  if (!event) throw new Error(booked.errors.map(explain).join('; '));
  expect(event.what, 'Design review');
  expect(event.participants[0]?.rsvp, 'NEEDS_ACTION');
  expect(event.sync.status, 'LOCAL');

  const twice = (await ask(CreateEventDocument, { input: hour })).createEvent;
  expect(twice.event, null);
  expect(twice.errors.map(explain).join(), 'taken by Design review');

  const endless = (await ask(CreateEventDocument, { input: { ...hour, end: hour.start } })).createEvent;
  expect(endless.errors[0]?.__typename, 'InvalidInputError');
  expect(endless.errors[0]?.code, 'END_NOT_AFTER_START');
  expect(endless.errors[0]?.path.join('.'), 'input.end');

  const moved = { start: '2026-05-05T09:00:00+02:00', end: '2026-05-05T10:00:00+02:00', description: null };
  const update = await ask(UpdateEventDocument, { id: event.id, input: { ...moved, expectedVersion: event.version } });
  expect(update.updateEvent.event?.start, moved.start);
  const late = await ask(UpdateEventDocument, { id: event.id, input: { what: 'Late', expectedVersion: event.version } });
  const [stale] = late.updateEvent.errors;
  expect(stale?.__typename === 'StaleVersionError' && stale.currentVersion, event.version + 1);

  const week = { from: '2026-05-04T00:00:00+02:00', to: '2026-05-11T00:00:00+02:00', calendarIds: [calendar.id] };
  const { events } = await ask(WeekDocument, week);
  expect(events.edges.map(({ node }) => `${node.start} ${node.what}`).join(), `${moved.start} Design review`);
  expect(events.pageInfo.hasNextPage, false);

  const { cancelEvent } = await ask(CancelEventDocument, { id: event.id });
  expect(cancelEvent.event?.status, 'CANCELLED');
  const read = await ask(EventDocument, { id: event.id });
  expect(read.event?.calendar.name, 'TypeScript');
  return event.id;
}

function expect<Value>(actual: Value, expected: Value): void {
  if (actual !== expected) throw new Error(`expected ${String(expected)}, not ${String(actual)}`);
}
