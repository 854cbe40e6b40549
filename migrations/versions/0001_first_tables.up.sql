-- The tables of the service description with what the promises need besides (DESIGN.md, 3 and 7).
-- Users and matches belong to other services: no foreign keys to them.

CREATE TABLE conversations (
    id               uuid        PRIMARY KEY,
    match_id         uuid        NOT NULL CONSTRAINT conversations_match UNIQUE,
    user1_id         uuid        NOT NULL,
    user2_id         uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    archived_at      timestamptz,
    -- seq of the newest stored entry of the conversation's log.
    head             bigint      NOT NULL,
    last_message_id  uuid,
    last_message_seq bigint,
    last_activity_at timestamptz NOT NULL,
    CONSTRAINT conversations_two_users CHECK (user1_id <> user2_id)
)
-- Room for the next versions of a row on its own page: see below.
WITH (fillfactor = 80);

-- Nothing that a message changes in a conversation is indexed (head, newest message, activity),
-- so PostgreSQL updates the row in place (HOT) and leaves the indexes alone. Whoever lists a
-- user's conversations sorts some hundred rows by activity instead.
CREATE INDEX conversations_user1 ON conversations (user1_id);
CREATE INDEX conversations_user2 ON conversations (user2_id);

-- An enum's values are ordered as listed, so that "only rises" is greatest() (promise 7).
CREATE TYPE message_status AS ENUM ('SENT', 'DELIVERED', 'READ');

CREATE TABLE messages (
    id                uuid           PRIMARY KEY,
    -- Costs 3 us a row; without it messages of a refused conversation would be rows nobody sees.
    conversation_id   uuid           NOT NULL REFERENCES conversations (id),
    sender_id         uuid           NOT NULL,
    client_message_id uuid,
    -- NULL once deleted: the tombstone stays.
    content           text,
    status            message_status NOT NULL,
    created_at        timestamptz    NOT NULL,
    delivered_at      timestamptz,
    read_at           timestamptz,
    deleted_at        timestamptz,
    -- The message's own entry in the log, and the newest entry that changed it.
    seq               bigint         NOT NULL,
    changed_seq       bigint         NOT NULL,
    -- The fence: no two messages with one number, whatever any router did (promise 3).
    CONSTRAINT messages_fence UNIQUE (conversation_id, seq),
    CONSTRAINT messages_content CHECK (content IS NOT NULL OR deleted_at IS NOT NULL)
)
-- Every message is updated at least once, to DELIVERED. No column that changes is indexed, and
-- here is the room: the update stays on its page and touches none of the four indexes.
WITH (fillfactor = 85);

-- A message tried again is the same message (promise 4).
CREATE UNIQUE INDEX messages_client_id ON messages (sender_id, client_message_id)
    WHERE client_message_id IS NOT NULL;
CREATE INDEX messages_created ON messages (conversation_id, created_at);

-- Not written to the log: after a crash nobody is typing.
CREATE UNLOGGED TABLE typing_status (
    user_id         uuid        NOT NULL,
    conversation_id uuid        NOT NULL,
    started_at      timestamptz NOT NULL,
    CONSTRAINT typing_status_once UNIQUE (user_id, conversation_id)
);

CREATE TABLE audit_log (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    actor_id        uuid        NOT NULL,
    action          text        NOT NULL,
    conversation_id uuid,
    message_id      uuid,
    detail          jsonb       NOT NULL DEFAULT '{}',
    -- For a chain of hashes over the rows, which makes a later change of one visible.
    previous_hash   bytea,
    hash            bytea
);
