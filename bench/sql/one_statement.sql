-- The same work in one statement and one round trip; role and tenant are the session's.
\set n :n + 1
\set event 1000000000000000 + :n * 1000 + :client_id
\set change 2000000000000000 + :n * 1000 + :client_id
\set tail random(1000000000000000, 9999999999999999)
\set calendar random(1000, 1049)
\set slot random(0, 5000000)
WITH place AS (
  SELECT calendar.app_id, calendar.id, calendar.tzid, resource.email AS owner
  FROM calendar LEFT OUTER JOIN resource ON resource.app_id = calendar.app_id AND resource.id = calendar.resource_id
  WHERE calendar.app_id = :app::uuid AND calendar.id = ('0000000000007000800000000000' || :calendar::text)::uuid
  FOR SHARE OF calendar
), written AS (
  INSERT INTO event (app_id, id, calendar_id, uid, version, sequence, all_day, start_wall, end_wall, tzid, starts_at,
    ends_at, long, summary, location, description, attendees, partstat, send_invitations, transparent, status,
    on_conflict, meta, created_at, updated_at, deleted_at)
  SELECT place.app_id, (:event::text || :tail::text)::uuid, place.id,
    :event::text || :tail::text || '@kalends', 1, 0, false,
    timestamp '2027-01-01 00:00' + :slot::int * interval '15 minutes',
    timestamp '2027-01-01 00:15' + :slot::int * interval '15 minutes', place.tzid,
    timestamptz '2027-01-01 00:00Z' + :slot::int * interval '15 minutes',
    timestamptz '2027-01-01 00:15Z' + :slot::int * interval '15 minutes', false,
    'Planning ' || :event::text, 'Room 2', 'What we know, what we do next, and who does it.',
    '[["ada@example.com","NEEDS_ACTION"],["grace@example.com","NEEDS_ACTION"]]'::jsonb, 'ACCEPTED', false, false,
    'CONFIRMED', 'ALLOW', '{}'::jsonb, now(), now(), NULL
  FROM place
  RETURNING app_id, id, calendar_id, version, updated_at
)
INSERT INTO change (app_id, id, transaction, kind, subject_id, calendar_id, version, operation, origin, at)
SELECT app_id, (:change::text || :tail::text)::uuid, pg_current_xact_id()::text::bigint, 'event', id, calendar_id,
  version, 'CREATED', 'key:00000000-0000-0000-0000-000000000000', updated_at
FROM written;
