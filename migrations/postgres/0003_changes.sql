-- How far a job is, as its worker tells twice a second; null until one has begun.
ALTER TABLE jobs ADD COLUMN stage text, ADD COLUMN stage_fraction real, ADD COLUMN fraction real;

-- Whoever listens on the channel `heimdex` hears which video changed: LIBRARY VIDEO.
CREATE FUNCTION tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('heimdex', OLD.library_id || ' ' || OLD.video_id);
    ELSE
        PERFORM pg_notify('heimdex', NEW.library_id || ' ' || NEW.video_id);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_change AFTER INSERT OR DELETE OR UPDATE OF state, title, description ON videos
    FOR EACH ROW EXECUTE FUNCTION tell_change();

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE ON stages
    FOR EACH ROW EXECUTE FUNCTION tell_change();

-- A worker's word that it is still there is no change.
CREATE TRIGGER tell_change AFTER INSERT OR DELETE OR UPDATE OF state, fraction ON jobs
    FOR EACH ROW EXECUTE FUNCTION tell_change();
