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
        SELECT * FROM messages_changed_within(conversation, after, coalesce(last_of_page, bound))
        ORDER BY changed_seq, seq;
END
$$;
