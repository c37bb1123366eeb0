// This must not compile: an event without `what`.
import type { CreateEventMutationVariables } from '../generated/graphql.js';

export const variables: CreateEventMutationVariables = {
  input: {
    calendarId: 'a calendar',
    start: '2026-05-04T09:00:00+02:00',
    end: '2026-05-04T10:00:00+02:00',
    where: 'Room 2',
  },
};
