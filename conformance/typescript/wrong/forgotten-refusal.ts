// This must not compile: a `switch` that forgets that time may be taken.
import type { Refusal } from '../refusals.js';

export function explain(refusal: Refusal): string {
  switch (refusal.__typename) {
    case 'InvalidInputError':
    case 'NotFoundError':
    case 'CalendarNotWritableError':
    case 'IdempotencyKeyReusedError':
      return refusal.message;
    default: {
      const never: never = refusal;
      return never;
    }
  }
}
