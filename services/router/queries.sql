-- name: conversations
select id, match_id, user1_id, user2_id, created_at, archived_at, head
from conversations
where id = any($1::uuid[]);

-- name: conversations_of_matches
select id, match_id, user1_id, user2_id, created_at, archived_at, head
from conversations
where match_id = any($1::uuid[]);

-- name: newest_messages
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at
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
       status, created_at, delivered_at
from messages
where id = any($1::uuid[])
union
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at
from unnest($2::uuid[], $3::uuid[]) as wanted(sender_id, identity)
join messages as m on m.sender_id = wanted.sender_id and m.client_message_id = wanted.identity
union
select m.conversation_id, m.id, m.sender_id, m.client_message_id, m.seq, m.changed_seq,
       m.status, m.created_at, m.delivered_at
from unnest($2::uuid[], $3::uuid[]) as wanted(sender_id, identity)
join messages as m on m.id = wanted.identity and m.sender_id = wanted.sender_id
where m.client_message_id is null;

-- name: older_identities
select sender_id, coalesce(client_message_id, id) as identity
from messages
where conversation_id = $1 and seq < $2
order by seq desc
limit $3;

-- name: heads_of_users
select c.user1_id as user_id, c.id, c.head
from conversations as c
where c.user1_id = any($1::uuid[]) and c.archived_at is null
union all
select c.user2_id, c.id, c.head
from conversations as c
where c.user2_id = any($1::uuid[]) and c.archived_at is null;
