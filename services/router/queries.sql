-- name: conversations
select id, match_id, user1_id, user2_id, created_at, archived_at, archived_seq, head,
       user1_read_seq, user2_read_seq,
       unread_count(id, user1_id) as user1_unread, unread_count(id, user2_id) as user2_unread
from conversations
where id = any($1::uuid[]);

-- name: conversations_of_matches
select id, match_id, user1_id, user2_id, created_at, archived_at, archived_seq, head,
       user1_read_seq, user2_read_seq,
       unread_count(id, user1_id) as user1_unread, unread_count(id, user2_id) as user2_unread
from conversations
where match_id = any($1::uuid[]);

-- name: newest_messages
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at
from unnest($1::uuid[]) as wanted(id)
cross join lateral (
    select * from messages
    where conversation_id = wanted.id
    order by seq desc
    limit $2
) as m;

-- name: messages
-- By id ($1), and by sender and identity: the client's id, or else the message's own ($2, $3).
select conversation_id, id, sender_id, client_message_id, seq, changed_seq,
       status, created_at, delivered_at, read_at, deleted_at
from messages
where id = any($1::uuid[])
union
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at
from unnest($2::uuid[], $3::uuid[]) as wanted(sender_id, identity)
join messages as m on m.sender_id = wanted.sender_id and m.client_message_id = wanted.identity
union
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at
from unnest($2::uuid[], $3::uuid[]) as wanted(sender_id, identity)
join messages as m on m.id = wanted.identity and m.sender_id = wanted.sender_id
where m.client_message_id is null;

-- name: unread_messages
-- By conversation ($1), who has not read them ($2) and up to which number ($3).
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at
from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as wanted(conversation_id, reader_id, up_to)
join conversations as c on c.id = wanted.conversation_id
join messages as m on m.conversation_id = c.id
where m.seq > case when c.user1_id = wanted.reader_id then c.user1_read_seq
                   else c.user2_read_seq end
  and m.seq <= wanted.up_to
  and m.sender_id <> wanted.reader_id and m.status <> 'READ' and m.deleted_at is null;

-- name: read_messages
-- By conversation ($1), who has read them ($2) and when ($3, ms). Reads the whole conversation:
-- only for what comes again after a router's death.
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at
from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as wanted(conversation_id, reader_id, read_at)
join messages as m on m.conversation_id = wanted.conversation_id
where m.sender_id <> wanted.reader_id
  and m.read_at = timestamptz 'epoch' + wanted.read_at * interval '1 ms';

-- name: older_identities
-- As one value, `known_ids.ID_BYTES` each: thousands of records would be ten times the work.
select string_agg(uuid_send(sender_id) || uuid_send(coalesce(client_message_id, id)), ''::bytea)
from (
    select sender_id, client_message_id, id
    from messages
    where conversation_id = $1 and seq < $2
    order by seq desc
    limit $3
) as older;

-- name: heads_of_users
select c.user1_id as user_id, c.id, c.head
from conversations as c
where c.user1_id = any($1::uuid[]) and c.archived_at is null
union all
select c.user2_id, c.id, c.head
from conversations as c
where c.user2_id = any($1::uuid[]) and c.archived_at is null;

-- name: unread_of_users
-- Of conversations that are not archived; with the head at which it was counted.
select wanted.user_id, c.id, c.head, unread_count(c.id, wanted.user_id) as unread
from unnest($1::uuid[]) as wanted(user_id)
join conversations as c on c.user1_id = wanted.user_id or c.user2_id = wanted.user_id
where c.archived_at is null;

-- name: membership
select user1_id, user2_id, archived_at is not null as is_archived, head
from conversations
where id = $1;

-- name: changed_after
select id, conversation_id, sender_id, case when deleted_at is null then content end as content,
       status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq, client_message_id
from messages_changed_after($1, $2, $3);
