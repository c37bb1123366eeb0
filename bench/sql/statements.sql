-- What `createEvent` says to PostgreSQL, statement by statement, in a calendar without a provider.
\set n :n + 1
\set event 1000000000000000 + :n * 1000 + :client_id
\set change 2000000000000000 + :n * 1000 + :client_id
\set tail random(1000000000000000, 9999999999999999)
\set calendar random(1000, 1049)
\set slot random(0, 5000000)
BEGIN;
SELECT set_config('role', 'kalends_tenant', true), set_config('app.tenant', :app, true),
  set_config('lock_timeout', '5000', true);
SELECT calendar.app_id, calendar.id, calendar.resource_id, calendar.name, calendar.description, calendar.tzid,
  calendar.provider, calendar.account_id, calendar.remote_id, calendar.read_only, calendar.archived_at, calendar.meta,
  calendar.created_at, calendar.updated_at, resource.email AS owner
FROM calendar LEFT OUTER JOIN resource ON resource.app_id = calendar.app_id AND resource.id = calendar.resource_id
WHERE calendar.app_id = :app::uuid AND calendar.id IN (('0000000000007000800000000000' || :calendar::text)::uuid)
ORDER BY calendar.id FOR SHARE OF calendar;
INSERT INTO event (app_id, id, calendar_id, uid, version, sequence, all_day, start_wall, end_wall, tzid, starts_at,
  ends_at, long, summary, location, description, attendees, partstat, send_invitations, transparent, status,
  on_conflict, meta, created_at, updated_at, deleted_at)
VALUES (:app::uuid, (:event::text || :tail::text)::uuid, ('0000000000007000800000000000' || :calendar::text)::uuid,
  :event::text || :tail::text || '@kalends', 1, 0, false,
  timestamp '2027-01-01 00:00' + :slot::int * interval '15 minutes',
  timestamp '2027-01-01 00:15' + :slot::int * interval '15 minutes', 'UTC',
  timestamptz '2027-01-01 00:00Z' + :slot::int * interval '15 minutes',
  timestamptz '2027-01-01 00:15Z' + :slot::int * interval '15 minutes', false,
  'Planning ' || :event::text, 'Room 2', 'What we know, what we do next, and who does it.',
  '[["ada@example.com","NEEDS_ACTION"],["grace@example.com","NEEDS_ACTION"]]', 'ACCEPTED', false, false, 'CONFIRMED',
  'ALLOW', '{}', now(), now(), NULL);
INSERT INTO change (app_id, id, transaction, kind, subject_id, calendar_id, version, operation, origin, at)
VALUES (:app::uuid, (:change::text || :tail::text)::uuid, pg_current_xact_id()::text::bigint, 'event',
  (:event::text || :tail::text)::uuid, ('0000000000007000800000000000' || :calendar::text)::uuid, 1, 'CREATED',
  'key:00000000-0000-0000-0000-000000000000', now());
COMMIT;
