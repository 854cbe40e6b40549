DROP TABLE audit_log;
DROP TABLE typing_status;
DROP TABLE messages;
DROP TYPE message_status;
DROP TABLE conversations;
