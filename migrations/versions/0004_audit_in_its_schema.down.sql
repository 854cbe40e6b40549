ALTER FUNCTION chain_audit_log() RESET search_path;
ALTER FUNCTION audit_hash(audit_log) RESET search_path;
