// This must not compile: `createEvent` cannot create a cancelled event.
import type { CreateEventInput } from '../generated/graphql.js';

export const status: CreateEventInput['status'] = 'CANCELLED';
