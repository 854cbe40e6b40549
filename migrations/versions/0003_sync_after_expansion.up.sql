-- When a release to come adds a column to messages, SYNC must go on in sessions that are open: until
-- now they failed ("structure of query does not match function result type"), as a plan that was
-- kept knew the function's columns of before. One that names the table is made anew when the table
-- changes; so it is named, in a condition that costs nothing. All else is as in 0002.
CREATE OR REPLACE FUNCTION messages_changed_after(conversation uuid, after bigint, most integer)
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
        SELECT found.*
        FROM messages_changed_within(conversation, after, coalesce(last_of_page, bound)) AS found
        WHERE NOT EXISTS (SELECT FROM messages WHERE false)
        ORDER BY changed_seq, seq;
END
$$;
