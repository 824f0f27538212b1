-- The folders outside of the archive that a finished task's result depends on, by URL, with a digest of what lay in each
-- when somebody last looked. `inputs` has the digests that the result was made with.
ALTER TABLE tasks ADD COLUMN seen_references jsonb;

-- As before, and work whose reference folders were changed is stale too.
CREATE OR REPLACE VIEW done_tasks AS
SELECT t.id AS task_id, t.job_id, t.volume_id, t.manifest_etag, array_remove(ARRAY[
    CASE WHEN t.manifest_etag <> v.manifest_etag THEN 'manifest' END,
    CASE WHEN t.config_hash NOT IN (j.config_hash, '') THEN 'config' END,
    CASE WHEN t.config_hash <> '' AND t.models <> j.models THEN 'model' END,
    CASE WHEN t.config_hash <> '' AND t.code_version <> j.code_version THEN 'code' END,
    CASE WHEN t.config_hash <> '' AND (EXISTS (
        SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
        JOIN tasks dt ON dt.job_id = d.id AND dt.volume_id = t.volume_id
        WHERE jd.job_id = t.job_id AND dt.state = 'done' AND dt.manifest_etag = t.manifest_etag
          AND dt.artefact_key IS DISTINCT FROM (t.inputs ->> d.name)
          AND NOT EXISTS (SELECT 1 FROM tasks newer
                          WHERE newer.job_id = dt.job_id AND newer.volume_id = dt.volume_id AND newer.id > dt.id
                            AND newer.state = 'done' AND newer.manifest_etag = dt.manifest_etag)
    ) OR EXISTS (
        SELECT 1 FROM jsonb_object_keys(t.inputs) used (name)
        WHERE strpos(used.name, '://') = 0  -- names a job, not a folder
          AND NOT EXISTS (SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
                          WHERE jd.job_id = t.job_id AND d.name = used.name)
    )) THEN 'dependency' END,
    CASE WHEN t.config_hash <> '' AND EXISTS (
        SELECT 1 FROM jsonb_each_text(t.seen_references) seen
        WHERE seen.value IS DISTINCT FROM (t.inputs ->> seen.key)
    ) THEN 'reference' END], NULL) AS stale
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE t.state = 'done';
