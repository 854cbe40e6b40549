-- Readings, late changes, search and the chained audit log.

-- ---------------------------------------------------------------- readings

-- Up to where all of the other's messages are READ or deleted: what is unread lies beyond, so that
-- counting it does not read a long conversation from its beginning.
ALTER TABLE conversations
    ADD COLUMN user1_read_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN user2_read_seq bigint NOT NULL DEFAULT 0,
    -- The entry that archived it.
    ADD COLUMN archived_seq bigint;

CREATE FUNCTION unread_count(conversation uuid, reader uuid) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*)
    FROM conversations AS c
    JOIN messages AS m ON m.conversation_id = c.id
    WHERE c.id = conversation
      AND m.seq > CASE WHEN c.user1_id = reader THEN c.user1_read_seq ELSE c.user2_read_seq END
      AND m.sender_id <> reader
      AND m.status <> 'READ'
      AND m.deleted_at IS NULL
$$;

-- ---------------------------------------------------------------- what changed after a number

-- SYNC asks for every message that was created or changed after a number. An index on
-- messages.changed_seq would end HOT updates (0001), so: most changes follow their message within
-- a few entries and are found by looking 256 numbers back; only later ones are listed here, by
-- whoever writes them. A row whose message has changed again since says nothing.
CREATE TABLE late_changes (
    conversation_id uuid   NOT NULL,
    changed_seq     bigint NOT NULL,
    message_id      uuid   NOT NULL,
    PRIMARY KEY (conversation_id, changed_seq, message_id)
);

-- Whole entries, in order, until there are `most` messages (at least 1); fewer: nothing more is
-- stored. The next page is what changed after the last one's changed_seq. What is read and not
-- returned lies further on in the log, so that reading all pages costs what they hold.
CREATE FUNCTION messages_changed_after(conversation uuid, after bigint, most integer)
RETURNS SETOF messages
LANGUAGE plpgsql STABLE AS $$
DECLARE
    newest bigint := (SELECT head FROM conversations WHERE id = conversation);
    furthest bigint := least(newest, late_page_end(conversation, after, most));
    -- The number up to which we look, further each time, as a page may begin with many messages
    -- that changed much later.
    width bigint := greatest(most, 256);
    bound bigint;
    last_of_page bigint;
BEGIN
    IF newest IS NULL OR after >= newest THEN
        RETURN;
    END IF;
    LOOP
        bound := least(after + width, furthest);
        SELECT found.changed_seq INTO last_of_page
        FROM messages_changed_within(conversation, after, bound) AS found
        ORDER BY found.changed_seq
        OFFSET most - 1 LIMIT 1;
        EXIT WHEN last_of_page IS NOT NULL OR bound >= furthest;
        width := width * 4;
    END LOOP;
    RETURN QUERY
        SELECT * FROM messages_changed_within(conversation, after, coalesce(last_of_page, bound))
        ORDER BY changed_seq, seq;
END
$$;

-- Where late changes alone fill a page; NULL when they don't. Sorting is off, as a planner that
-- knows little of late_changes would look up and sort all of the conversation's.
CREATE FUNCTION late_page_end(conversation uuid, after bigint, most integer) RETURNS bigint
LANGUAGE sql STABLE SET enable_sort = off AS $$
    SELECT late.changed_seq FROM late_changes AS late
    CROSS JOIN LATERAL (SELECT changed_seq FROM messages WHERE id = late.message_id OFFSET 0) AS m
    WHERE late.conversation_id = conversation AND late.changed_seq > after
      AND m.changed_seq = late.changed_seq
    ORDER BY late.changed_seq
    OFFSET most - 1 LIMIT 1
$$;

-- The second part is what the first cannot see: who changed after `after` and is older than 256
-- numbers before it has changed late. OFFSET 0 makes it a look-up by id for each, whatever the
-- planner thinks of the tables.
CREATE FUNCTION messages_changed_within(conversation uuid, after bigint, bound bigint)
RETURNS SETOF messages
LANGUAGE sql STABLE AS $$
    SELECT m.* FROM messages AS m
    WHERE m.conversation_id = conversation
      AND m.seq > after - 256 AND m.seq <= bound
      AND m.changed_seq > after AND m.changed_seq <= bound
    UNION ALL
    SELECT m.* FROM late_changes AS late
    CROSS JOIN LATERAL (SELECT * FROM messages WHERE id = late.message_id OFFSET 0) AS m
    WHERE late.conversation_id = conversation
      AND late.changed_seq > after AND late.changed_seq <= bound
      AND m.changed_seq = late.changed_seq
      AND m.seq <= after - 256
$$;

-- ---------------------------------------------------------------- search

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- Scripts without spaces: each of their characters counts as a word, and a run of them is a phrase.
CREATE FUNCTION spaced(content text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(content,
        '([\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF])',
        ' \1 ', 'g')
$$;

CREATE FUNCTION search_words(content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('simple', spaced(content))
$$;

-- The messages of conversations that somebody has searched. Indexing costs 0.25 ms a message, ten
-- times its insertion, so it is not done for those whom nobody searches, nor while they arrive:
-- conversations.indexed_seq says how far it has come, and a search reads the rest as it is.
CREATE TABLE indexed_messages (
    message_id      uuid        PRIMARY KEY REFERENCES messages (id),
    conversation_id uuid        NOT NULL,
    sender_id       uuid        NOT NULL,
    created_at      timestamptz NOT NULL,
    content         text        NOT NULL
);
CREATE INDEX indexed_messages_words ON indexed_messages
    USING gin (conversation_id, search_words(content));
CREATE INDEX indexed_messages_parts ON indexed_messages
    USING gin (conversation_id, content gin_trgm_ops);

ALTER TABLE conversations ADD COLUMN indexed_seq bigint NOT NULL DEFAULT 0;

-- ---------------------------------------------------------------- the audit log

-- squawk-ignore ban-drop-not-null
ALTER TABLE audit_log ALTER COLUMN actor_id DROP NOT NULL;

CREATE FUNCTION audit_hash(entry audit_log) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(coalesce(entry.previous_hash, '\x') || convert_to(jsonb_build_array(
        entry.id, extract(epoch FROM entry.at), entry.actor_id, entry.action,
        entry.conversation_id, entry.message_id, entry.detail)::text, 'UTF8'))
$$;

-- Each row's hash covers the one before, so that none can be changed, taken out or put in without
-- breaking the chain. Numbers are given under the lock: the chain's order is the ids'.
CREATE FUNCTION chain_audit_log() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    newest audit_log;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_log'));
    SELECT * INTO newest FROM audit_log ORDER BY id DESC LIMIT 1;
    NEW.id := coalesce(newest.id, 0) + 1;
    NEW.previous_hash := newest.hash;
    NEW.hash := audit_hash(NEW);
    RETURN NEW;
END
$$;
CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION chain_audit_log();

CREATE FUNCTION keep_audit_log() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append only';
END
$$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION keep_audit_log();
CREATE TRIGGER audit_log_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();

-- ---------------------------------------------------------------- what is searched for

-- Words and "phrases" as websearch_to_tsquery reads them; a lexeme outside phrases also as a prefix.
CREATE FUNCTION search_query(asked text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$
    SELECT coalesce(string_agg(
        part[1] || CASE WHEN part[1] ~ $r$^'([^']|'')*'\Z$r$ THEN ':*' ELSE '' END, '' ORDER BY place
    ), '')::tsquery
    -- Either lexemes that follow each other, or what stands between.
    FROM regexp_matches(websearch_to_tsquery('simple', spaced(asked))::text,
        $r$('(?:[^']|'')*'(?: <(?:-|\d+)> '(?:[^']|'')*')*|[^']+)$r$, 'g')
        WITH ORDINALITY AS t (part, place)
$body$;
