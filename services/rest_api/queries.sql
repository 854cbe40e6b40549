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
  and (%(among)s::uuid[] is null or id = any(%(among)s))
order by last_activity_at desc, id desc
limit %(limit)s;

-- name: conversations_for_user
select c.id, c.match_id, c.user1_id, c.user2_id, c.created_at, c.archived_at, c.head,
       c.last_activity_at, unread_count(c.id, %(user_id)s),
       m.id, m.conversation_id, m.sender_id,
       case when m.deleted_at is null then m.content end,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at, m.seq, m.changed_seq,
       m.client_message_id
from conversations as c
left join messages as m on m.id = c.last_message_id
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

-- name: newest_messages
-- One statement, so that head and messages are of one moment.
select c.head, m.*
from conversations as c
left join lateral (
    select id, conversation_id, sender_id, case when deleted_at is null then content end,
           status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq,
           client_message_id
    from messages
    where conversation_id = c.id
    order by seq desc
    limit %(limit)s
) as m on true
where c.id = %(conversation_id)s
order by m.seq desc;

-- name: messages_changed_after
select id, conversation_id, sender_id, case when deleted_at is null then content end,
       status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq, client_message_id
from messages_changed_after(%(conversation_id)s, %(seq)s, %(limit)s);

-- name: unread
select c.id, unread.number
from conversations as c
cross join lateral (select unread_count(c.id, %(user_id)s)) as unread(number)
where (c.user1_id = %(user_id)s or c.user2_id = %(user_id)s)
  and c.archived_at is null
  and unread.number > 0;

-- name: searched
-- Where a search looks: the user's conversations, archived ones included; or the one that is asked.
-- `unindexed`: about how many messages the indexes lack (the log's entries beyond indexed_seq).
select id, indexed_seq, head - indexed_seq as unindexed
from conversations
where (user1_id = %(user_id)s or user2_id = %(user_id)s)
  and (%(conversation_id)s::uuid is null or id = %(conversation_id)s);

-- name: search_newest
-- The newest messages of each conversation, read as they are: whatever is common is found
-- here, without reading and sorting every message that has it. `horizon`: all that is newer was
-- read, from `top` on, `read` messages; null when nothing older was left out. More than `most` in
-- all: nothing counts as read, as we can't say which were left out.
with newest as materialized (
    select m.*
    from unnest(%(ids)s::uuid[]) as searched(id)
    cross join lateral (
        select * from messages
        where conversation_id = searched.id and created_at <= %(at)s and created_at > %(since)s
        order by created_at desc
        limit %(each)s
    ) as m
    limit %(most)s
),
cut as (
    select case when (select count(*) from newest) < %(most)s then max(oldest)
                else '9999-01-01'::timestamptz end as horizon
    from (select min(created_at) as oldest from newest
          group by conversation_id having count(*) = %(each)s) as cut_off
),
seen as (
    select cut.horizon, max(newest.created_at) as top, count(newest.id) as read
    from cut
    left join newest on cut.horizon is null or newest.created_at > cut.horizon
    group by cut.horizon
)
select seen.horizon, seen.top, seen.read, hit.*
from seen
left join lateral (
    select id, conversation_id, sender_id, content,
           status, created_at, delivered_at, read_at, deleted_at, seq, changed_seq,
           client_message_id
    from newest
    where (created_at, id) < (%(at)s, %(id)s)
      and (seen.horizon is null or created_at > seen.horizon)
      and deleted_at is null
      and (%(sender_id)s::uuid is null or sender_id = %(sender_id)s)
      and /* asked of content */
    order by created_at desc, id desc
    limit %(limit)s
) as hit on true
order by hit.created_at desc, hit.id desc;

-- name: search_all
-- By the indexes, and what they lack as it is. A hit that was deleted meanwhile comes without
-- content. What is in both, as it was indexed since `searched` was read, is one hit.
with found as (
    /* indexed */
    union
    select m.id, m.created_at
    from unnest(%(tails)s::uuid[], %(indexed)s::bigint[]) as searched(id, indexed_seq)
    cross join lateral (
        select * from messages
        where conversation_id = searched.id and seq > searched.indexed_seq
        offset 0  -- by the index, conversation by conversation: not all messages of everybody
    ) as m
    where (m.created_at, m.id) < (%(at)s, %(id)s) and m.created_at > %(since)s
      and m.deleted_at is null
      and (%(sender_id)s::uuid is null or m.sender_id = %(sender_id)s)
      and /* asked of m.content */
)
select m.id, m.conversation_id, m.sender_id, case when m.deleted_at is null then m.content end,
       m.status, m.created_at, m.delivered_at, m.read_at, m.deleted_at, m.seq, m.changed_seq,
       m.client_message_id
from (select * from found order by created_at desc, id desc limit %(limit)s) as page
join messages as m on m.id = page.id
order by m.created_at desc, m.id desc;

-- name: search_indexed
(select i.message_id as id, i.created_at
 from indexed_messages as i
 where i.conversation_id = any(%(ids)s)
   and (i.created_at, i.message_id) < (%(at)s, %(id)s) and i.created_at > %(since)s
   and (%(sender_id)s::uuid is null or i.sender_id = %(sender_id)s)
   and /* asked of i.content */
 order by i.created_at desc, i.message_id desc
 limit %(limit)s);

-- name: conversations_newest
-- Which of the conversations have it among their newest messages, and which have older ones.
select searched.id, bool_or(m.deleted_at is null and /* asked of m.content */), count(*) = %(each)s
from unnest(%(ids)s::uuid[]) as searched(id)
cross join lateral (
    select * from messages
    where conversation_id = searched.id
    order by created_at desc
    limit %(each)s
) as m
group by searched.id;

-- name: conversations_all
/* indexed */
union
select m.conversation_id
from unnest(%(tails)s::uuid[], %(indexed)s::bigint[]) as searched(id, indexed_seq)
cross join lateral (
    select * from messages
    where conversation_id = searched.id and seq > searched.indexed_seq
    offset 0  -- as in search_all
) as m
where m.deleted_at is null and /* asked of m.content */;

-- name: conversations_indexed
(select i.conversation_id
 from indexed_messages as i
 join messages as m on m.id = i.message_id
 where i.conversation_id = any(%(ids)s) and m.deleted_at is null and /* asked of i.content */);
