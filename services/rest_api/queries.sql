-- What the REST API reads of PostgreSQL. It never writes.

-- name: conversation
select id, match_id, user1_id, user2_id, created_at, archived_at, head
from conversations
where id = %(conversation_id)s;

-- name: heads
select id, head
from conversations
where id = any(%(ids)s);

-- name: newest_conversations
-- All of the user's are read and sorted: some hundreds. Their activity isn't indexed, see migrations.
select last_activity_at, id
from conversations
where (user1_id = %(user_id)s or user2_id = %(user_id)s)
  and (last_activity_at, id) < (%(at)s, %(conversation_id)s)
  and (%(archived)s::boolean is null or (archived_at is not null) = %(archived)s)
order by last_activity_at desc, id desc
limit %(limit)s;

-- name: conversations_for_user
select c.id, c.match_id, c.user1_id, c.user2_id, c.created_at, c.archived_at, c.head,
       c.last_activity_at, unread.number,
       m.id, m.conversation_id, m.sender_id,
       case when m.deleted_at is null then m.content end,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at, m.seq, m.changed_seq,
       m.client_message_id
from conversations as c
left join messages as m on m.id = c.last_message_id
cross join lateral (
    select count(*)
    from messages as u
    where u.conversation_id = c.id
      and u.sender_id <> %(user_id)s
      and u.status <> 'READ'
      and u.deleted_at is null
) as unread(number)
where c.id = any(%(ids)s);

-- name: messages_before
select id, conversation_id, sender_id, case when deleted_at is null then content end,
       status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq, client_message_id
from messages
where conversation_id = %(conversation_id)s and seq < %(seq)s
order by seq desc
limit %(limit)s;

-- name: messages_after
select id, conversation_id, sender_id, case when deleted_at is null then content end,
       status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq, client_message_id
from messages
where conversation_id = %(conversation_id)s and seq > %(seq)s
order by seq
limit %(limit)s;

-- name: message
select id, conversation_id, sender_id, case when deleted_at is null then content end,
       status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq, client_message_id
from messages
where id = %(message_id)s;

-- name: message_by_client_id
select id, conversation_id, sender_id, case when deleted_at is null then content end,
       status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq, client_message_id
from messages
where sender_id = %(sender_id)s and client_message_id = %(client_message_id)s;
