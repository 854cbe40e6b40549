-- One statement a table and batch. Times come as milliseconds since 1970 UTC. Every statement can
-- be run again, also after newer ones, and changes nothing then.

-- name: insert_conversations
INSERT INTO conversations (id, match_id, user1_id, user2_id, created_at,
                           head, last_message_seq, last_message_id, last_activity_at,
                           user1_read_seq, user2_read_seq)
SELECT id, match_id, user1_id, user2_id, timestamptz 'epoch' + created_at * interval '1 ms',
       head, message_seq, message_id, timestamptz 'epoch' + active_at * interval '1 ms',
       user1_read_seq, user2_read_seq
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::uuid[], $9::bigint[], $10::bigint[], $11::bigint[])
     AS t (id, match_id, user1_id, user2_id, created_at, head, message_seq, message_id, active_at,
           user1_read_seq, user2_read_seq)
ON CONFLICT DO NOTHING

-- name: find_missing_conversations
-- Those of the batch that are not there: never created, or their match has another conversation.
SELECT id FROM unnest($1::uuid[]) AS t (id)
WHERE NOT EXISTS (SELECT FROM conversations c WHERE c.id = t.id)

-- name: insert_messages
INSERT INTO messages (id, conversation_id, seq, sender_id, client_message_id, content,
                      created_at, status, delivered_at, read_at, changed_seq)
SELECT id, conversation_id, seq, sender_id, client_message_id, content,
       timestamptz 'epoch' + created_at * interval '1 ms', status::message_status,
       timestamptz 'epoch' + delivered_at * interval '1 ms',
       timestamptz 'epoch' + read_at * interval '1 ms', changed_seq
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[],
            $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
     AS t (id, conversation_id, seq, sender_id, client_message_id, content,
           created_at, status, delivered_at, read_at, changed_seq)
ON CONFLICT DO NOTHING

-- name: insert_late_changes
-- For messages that come already changed so late. A row whose message has changed again says
-- nothing, so one too many does no harm.
INSERT INTO late_changes (conversation_id, changed_seq, message_id)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[])
ON CONFLICT DO NOTHING

-- name: find_refused_messages
-- Those of the batch that are not there, at their place in the log, and what stands in their way.
SELECT t.place,
       CASE WHEN own.id IS NOT NULL OR fence.id IS NOT NULL THEN 'SEQUENCE_CONFLICT'
            WHEN twin.conversation_id = t.conversation_id THEN 'DUPLICATE_MESSAGE'
            WHEN twin.id IS NOT NULL THEN 'CLIENT_ID_TAKEN'
            ELSE 'NOT_STORED' END AS reason
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[]) WITH ORDINALITY
     AS t (id, conversation_id, seq, sender_id, client_message_id, place)
LEFT JOIN messages own ON own.id = t.id
LEFT JOIN messages fence ON fence.conversation_id = t.conversation_id AND fence.seq = t.seq
LEFT JOIN messages twin ON twin.sender_id = t.sender_id
                       AND twin.client_message_id = t.client_message_id
WHERE own.id IS NULL OR own.conversation_id <> t.conversation_id OR own.seq <> t.seq

-- name: update_messages
-- 256: see the migration's late_changes.
WITH changed AS (
    UPDATE messages m
    SET status = greatest(m.status, t.status::message_status),
        delivered_at = least(m.delivered_at,
                             timestamptz 'epoch' + t.delivered_at * interval '1 ms'),
        read_at = least(m.read_at, timestamptz 'epoch' + t.read_at * interval '1 ms'),
        changed_seq = greatest(m.changed_seq, t.changed_seq)
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
         AS t (id, conversation_id, status, delivered_at, read_at, changed_seq)
    WHERE m.id = t.id AND m.conversation_id = t.conversation_id
      AND (m.changed_seq < t.changed_seq OR m.status < t.status::message_status
           OR coalesce(m.delivered_at, 'infinity')
              > timestamptz 'epoch' + t.delivered_at * interval '1 ms'
           OR coalesce(m.read_at, 'infinity')
              > timestamptz 'epoch' + t.read_at * interval '1 ms')
    RETURNING m.conversation_id, m.id, m.seq, m.changed_seq
), late AS (
    INSERT INTO late_changes (conversation_id, changed_seq, message_id)
    SELECT conversation_id, changed_seq, id FROM changed WHERE changed_seq - seq > 256
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM changed

-- name: find_missing_messages
SELECT id FROM unnest($1::uuid[], $2::uuid[]) AS t (id, conversation_id)
WHERE NOT EXISTS (SELECT FROM messages m
                  WHERE m.id = t.id AND m.conversation_id = t.conversation_id)

-- name: hold_index
-- Until the transaction ends nobody else indexes these conversations or deletes in them. A
-- statement of its own, so that the next one sees what was committed while this one waited.
SELECT pg_advisory_xact_lock(hashtext('indexed_messages'), key)
FROM (SELECT DISTINCT hashtext(id::text) AS key FROM unnest($1::uuid[]) AS t (id) ORDER BY key) AS k

-- name: delete_contents
-- Audited is only what this statement changes: what comes again was audited the first time.
WITH deleted AS (
    UPDATE messages m
    SET content = NULL, deleted_at = timestamptz 'epoch' + t.deleted_at * interval '1 ms',
        changed_seq = greatest(m.changed_seq, t.seq)
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::bigint[],
                $6::text[])
         AS t (id, conversation_id, seq, actor_id, deleted_at, because)
    WHERE m.id = t.id AND m.conversation_id = t.conversation_id AND m.deleted_at IS NULL
    RETURNING m.conversation_id, m.id, m.seq, m.changed_seq, t.seq AS entry_seq, t.actor_id,
              t.because
), late AS (
    INSERT INTO late_changes (conversation_id, changed_seq, message_id)
    SELECT conversation_id, changed_seq, id FROM deleted WHERE changed_seq - seq > 256
    ON CONFLICT DO NOTHING
), audited AS (
    INSERT INTO audit_log (actor_id, action, conversation_id, message_id, detail)
    SELECT actor_id, 'message.deleted', conversation_id, id,
           jsonb_strip_nulls(jsonb_build_object('seq', entry_seq, 'because', because))
    FROM deleted ORDER BY conversation_id, entry_seq
)
SELECT count(*) FROM deleted

-- name: forget_contents
DELETE FROM indexed_messages WHERE message_id = ANY($1::uuid[])

-- name: archive_conversations
WITH archived AS (
    UPDATE conversations c
    SET archived_at = timestamptz 'epoch' + t.archived_at * interval '1 ms', archived_seq = t.seq
    FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[])
         AS t (id, seq, actor_id, archived_at)
    WHERE c.id = t.id AND c.archived_at IS NULL
    RETURNING c.id, t.seq, t.actor_id
), audited AS (
    INSERT INTO audit_log (actor_id, action, conversation_id, detail)
    SELECT actor_id, 'conversation.archived', id, jsonb_build_object('seq', seq)
    FROM archived ORDER BY id
)
SELECT count(*) FROM archived

-- name: update_conversations
-- indexed_seq falls when a message comes that was held to be indexed: one that was dead and was put
-- back by hand. The next indexing passes there again. So a batch with a message from before the
-- head takes the row in any case, and waits for an indexing that is about to move past it.
UPDATE conversations c
SET head = greatest(c.head, t.head),
    last_message_id = CASE WHEN t.message_seq > coalesce(c.last_message_seq, 0)
                           THEN t.message_id ELSE c.last_message_id END,
    last_message_seq = greatest(c.last_message_seq, t.message_seq),
    last_activity_at = greatest(c.last_activity_at,
                                timestamptz 'epoch' + t.active_at * interval '1 ms'),
    user1_read_seq = greatest(c.user1_read_seq, t.user1_read_seq),
    user2_read_seq = greatest(c.user2_read_seq, t.user2_read_seq),
    indexed_seq = least(c.indexed_seq, t.first_message_seq - 1)
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[])
     AS t (id, head, message_seq, message_id, active_at,
           user1_read_seq, user2_read_seq, first_message_seq)
WHERE c.id = t.id
  AND (c.head < t.head OR coalesce(c.last_message_seq, 0) < t.message_seq
       OR c.user1_read_seq < t.user1_read_seq OR c.user2_read_seq < t.user2_read_seq
       OR c.head >= t.first_message_seq)

-- name: next_to_index
-- Where indexing stands, where its next chunk of $2 messages ends, and the stored head: all that
-- precedes it is stored, as the log is stored in order.
SELECT c.indexed_seq, c.head,
       coalesce((SELECT m.seq FROM messages m
                 WHERE m.conversation_id = c.id AND m.seq > c.indexed_seq AND m.seq <= c.head
                 ORDER BY m.seq OFFSET $2 - 1 LIMIT 1), c.head) AS up_to
FROM conversations c
WHERE c.id = $1 AND c.indexed_seq < c.head

-- name: index_messages
INSERT INTO indexed_messages (message_id, conversation_id, sender_id, created_at, content)
SELECT id, conversation_id, sender_id, created_at, content FROM messages
WHERE conversation_id = $1 AND seq > $2 AND seq <= $3 AND deleted_at IS NULL
ORDER BY seq
ON CONFLICT DO NOTHING

-- name: move_index
-- Unless it fell meanwhile, see update_conversations.
UPDATE conversations SET indexed_seq = $3 WHERE id = $1 AND indexed_seq = $2

-- name: write_typing
INSERT INTO typing_status AS old (user_id, conversation_id, started_at)
SELECT user_id, conversation_id, timestamptz 'epoch' + started_at * interval '1 ms'
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS t (user_id, conversation_id, started_at)
ON CONFLICT (user_id, conversation_id)
DO UPDATE SET started_at = greatest(old.started_at, excluded.started_at)

-- name: end_typing
-- Those who stopped, and whoever has not been heard of for 5 s.
DELETE FROM typing_status s
WHERE s.started_at < now() - interval '5 s'
   OR (s.user_id, s.conversation_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
