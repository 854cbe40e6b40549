-- What this program reads of PostgreSQL. It never writes: what is to go, the router is told.

-- name: conversations
-- All of a person's, archived ones too.
SELECT id, match_id, CASE WHEN user1_id = $1 THEN user2_id ELSE user1_id END AS other_user_id,
       created_at, archived_at, last_activity_at, head, unread_count(id, $1) AS unread
FROM conversations
WHERE user1_id = $1 OR user2_id = $1
ORDER BY id

-- name: messages
SELECT id, sender_id, client_message_id, content, status::text, created_at, delivered_at, read_at,
       deleted_at, seq
FROM messages
WHERE conversation_id = $1
ORDER BY seq

-- name: typing
SELECT conversation_id, started_at FROM typing_status WHERE user_id = $1

-- name: audit_entries
-- What the person did, and what became of the person's conversations and, by nobody's hand, of their
-- messages. Not what another took back.
SELECT id, at, actor_id, action, conversation_id, message_id, detail
FROM audit_log
WHERE actor_id = $1
   OR (conversation_id = ANY($2::uuid[]) AND (message_id IS NULL OR actor_id IS NULL))
ORDER BY id

-- name: erasable
-- What a person ($2) wrote in a conversation, beyond a number ($3).
SELECT id, sender_id, seq
FROM messages
WHERE conversation_id = $1 AND sender_id = $2 AND seq > $3 AND deleted_at IS NULL
ORDER BY seq
LIMIT $4

-- name: left_of_person
SELECT count(*)
FROM conversations AS c
JOIN messages AS m ON m.conversation_id = c.id AND m.sender_id = $1 AND m.deleted_at IS NULL
WHERE c.user1_id = $1 OR c.user2_id = $1

-- name: conversations_after
SELECT id FROM conversations WHERE id > $1 ORDER BY id LIMIT $2

-- name: outdated
-- Of some conversations ($1), what was written before a moment ($2). Tombstones are not returned, but
-- read: 0.7 us each. Why no index spares that: decision 0039.
SELECT m.id, m.conversation_id, m.sender_id
FROM unnest($1::uuid[]) AS wanted(id)
CROSS JOIN LATERAL (
    SELECT * FROM messages
    WHERE conversation_id = wanted.id AND created_at < $2 AND deleted_at IS NULL
    ORDER BY created_at
    OFFSET 0  -- by the index, conversation by conversation
) AS m
