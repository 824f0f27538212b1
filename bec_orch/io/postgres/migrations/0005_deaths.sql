-- Attempts whose worker process died, and the pages (by index) that were in work when it did.
ALTER TABLE task_attempts ADD COLUMN died_at integer[];
ALTER TABLE task_attempts DROP CONSTRAINT task_attempts_outcome_ck;
ALTER TABLE task_attempts ADD CONSTRAINT task_attempts_outcome_ck CHECK (outcome IN
    ('done', 'adopted', 'retryable_failed', 'terminal_failed', 'interrupted', 'lease_lost', 'superseded', 'died'));
