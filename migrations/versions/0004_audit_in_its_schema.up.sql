-- Whoever inserts into audit_log has a schema pg_temp, in which names of tables and types are looked
-- up first: a temporary table audit_log with one row was what the chain went on from, a temporary type
-- text changed what is hashed. So both functions have a search path of their own, with pg_temp last.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION chain_audit_log() SET search_path = pg_catalog, %I, pg_temp',
        current_schema());
    EXECUTE format(
        'ALTER FUNCTION audit_hash(audit_log) SET search_path = pg_catalog, %I, pg_temp',
        current_schema());
END
$$;
