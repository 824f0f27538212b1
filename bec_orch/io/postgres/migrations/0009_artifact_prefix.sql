-- The folder of the destination in which a job's artefacts lie, where it is not named like the job. No two jobs share one.
ALTER TABLE jobs
    ADD COLUMN artifact_prefix text,
    ADD CONSTRAINT jobs_artifact_prefix_ck CHECK (artifact_prefix ~ '^[a-z0-9][a-z0-9_-]{0,59}$');
CREATE UNIQUE INDEX jobs_artifact_prefix_uq ON jobs (coalesce(artifact_prefix, name)) WHERE deleted_at IS NULL;

-- Versions are ETags without quotes, whoever hands them on: stores quote them, other programs' tables do not.
UPDATE volumes SET manifest_etag = btrim(manifest_etag, '"') WHERE left(manifest_etag, 1) = '"';
UPDATE tasks SET manifest_etag = btrim(manifest_etag, '"') WHERE left(manifest_etag, 1) = '"';
