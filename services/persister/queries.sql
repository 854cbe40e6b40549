-- One statement a table and batch. Times come as milliseconds since 1970 UTC. Every statement can
-- be run again, also after newer ones, and changes nothing then.

-- name: insert_conversations
INSERT INTO conversations (id, match_id, user1_id, user2_id, created_at,
                           head, last_message_seq, last_message_id, last_activity_at)
SELECT id, match_id, user1_id, user2_id, timestamptz 'epoch' + created_at * interval '1 ms',
       head, message_seq, message_id, timestamptz 'epoch' + active_at * interval '1 ms'
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::uuid[], $9::bigint[])
     AS t (id, match_id, user1_id, user2_id, created_at, head, message_seq, message_id, active_at)
ON CONFLICT DO NOTHING

-- name: find_refused_conversations
-- Those of the batch that are not there after all: their match has another conversation.
SELECT id FROM unnest($1::uuid[]) AS t (id)
WHERE NOT EXISTS (SELECT FROM conversations c WHERE c.id = t.id)

-- name: insert_messages
INSERT INTO messages (id, conversation_id, seq, sender_id, client_message_id, content,
                      created_at, status, delivered_at, changed_seq)
SELECT id, conversation_id, seq, sender_id, client_message_id, content,
       timestamptz 'epoch' + created_at * interval '1 ms', status::message_status,
       timestamptz 'epoch' + delivered_at * interval '1 ms', changed_seq
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[],
            $7::bigint[], $8::text[], $9::bigint[], $10::bigint[])
     AS t (id, conversation_id, seq, sender_id, client_message_id, content,
           created_at, status, delivered_at, changed_seq)
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
UPDATE messages m
SET status = greatest(m.status, t.status::message_status),
    delivered_at = least(m.delivered_at, timestamptz 'epoch' + t.delivered_at * interval '1 ms'),
    changed_seq = greatest(m.changed_seq, t.changed_seq)
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
     AS t (id, conversation_id, status, delivered_at, changed_seq)
WHERE m.id = t.id AND m.conversation_id = t.conversation_id
  AND (m.changed_seq < t.changed_seq OR m.status < t.status::message_status
       OR m.delivered_at > timestamptz 'epoch' + t.delivered_at * interval '1 ms')

-- name: find_missing_messages
SELECT id FROM unnest($1::uuid[], $2::uuid[]) AS t (id, conversation_id)
WHERE NOT EXISTS (SELECT FROM messages m
                  WHERE m.id = t.id AND m.conversation_id = t.conversation_id)

-- name: update_conversations
UPDATE conversations c
SET head = greatest(c.head, t.head),
    last_message_id = CASE WHEN t.message_seq > coalesce(c.last_message_seq, 0)
                           THEN t.message_id ELSE c.last_message_id END,
    last_message_seq = greatest(c.last_message_seq, t.message_seq),
    last_activity_at = greatest(c.last_activity_at,
                                timestamptz 'epoch' + t.active_at * interval '1 ms')
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[])
     AS t (id, head, message_seq, message_id, active_at)
WHERE c.id = t.id
  AND (c.head < t.head OR coalesce(c.last_message_seq, 0) < t.message_seq)
