-- Who this database is, whatever server or name it is moved to: artefacts carry it, and those of others are left alone.
CREATE TABLE database_identity (
    identity uuid NOT NULL DEFAULT gen_random_uuid(),
    single   boolean NOT NULL DEFAULT true,
    CONSTRAINT database_identity_pk PRIMARY KEY (single),
    CONSTRAINT database_identity_single_ck CHECK (single)
);
INSERT INTO database_identity DEFAULT VALUES;

-- Artefacts of the time before name their task alone.
CREATE INDEX tasks_uid_ix ON tasks (uid);

-- What somebody asked for where an artefact of others is in the way: `adopt_foreign` takes it as it is; `replace_foreign`
-- is the ETag of the `success.json` that was shown and may be replaced.
ALTER TABLE tasks ADD COLUMN adopt_foreign boolean NOT NULL DEFAULT false;
ALTER TABLE tasks ADD COLUMN replace_foreign text;
