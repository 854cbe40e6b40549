DROP TRIGGER audit_log_not_emptied ON audit_log;
DROP TRIGGER audit_log_append_only ON audit_log;
DROP TRIGGER audit_log_chain ON audit_log;
DROP FUNCTION keep_audit_log, chain_audit_log, audit_hash;
ALTER TABLE conversations
    DROP COLUMN indexed_seq,
    DROP COLUMN user1_read_seq, DROP COLUMN user2_read_seq, DROP COLUMN archived_seq;
DROP TABLE indexed_messages;
DROP FUNCTION search_query, search_words, spaced;
DROP FUNCTION messages_changed_after, messages_changed_within, late_page_end, unread_count;
DROP TABLE late_changes;
