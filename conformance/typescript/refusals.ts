// What an application makes of a refusal: each kind of its own, and the compiler knows when one is missing.
import type { CreateEventMutation } from './generated/graphql.js';

export type Refusal = CreateEventMutation['createEvent']['errors'][number];

export function explain(refusal: Refusal): string {
  switch (refusal.__typename) {
    case 'InvalidInputError':
      return `${refusal.path.join('.')}: expected ${refusal.expected}`;
    case 'NotFoundError':
      return `${refusal.path.join('.')}: there is no such thing`;
    case 'CalendarNotWritableError':
      return `calendar ${refusal.calendarId} takes no events`;
    case 'TimeConflictError':
      return `taken by ${refusal.conflicts.map((event) => event.what).join(', ')}`;
    case 'NotAvailableError':
    case 'IdempotencyKeyReusedError':
      return refusal.message;
    default:
      return impossible(refusal);
  }
}

function impossible(value: never): never {
  throw new Error(`nobody told the compiler about ${JSON.stringify(value)}`);
}
