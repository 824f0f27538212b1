"""The guards of the program, each taken away by a small edit, and the tests that must notice.

The first twelve are the guards without which a queue of tasks is not safe; the others are those that this one adds.
"""

from dataclasses import dataclass

MODEL = "tests/model/test_life_of_a_task.py"
STORE = "tests/integration/test_db.py"
RUNTIME = "tests/integration/test_worker_runtime.py"
ENQUEUE = "tests/integration/test_enqueue.py"
LEASE = "tests/unit/core/test_lease.py"

TASKS = "io/postgres/sql/tasks.sql"
ENQUEUE_SQL = "io/postgres/sql/enqueue.sql"


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file of the package, and what replaces it. `file` is below `bec_orch/`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """The program without one guard. One of `tests` (files or ids) must fail."""

    name: str
    guard: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


_FENCE_READ = "WHERE id = %(task_id)s AND attempt = %(attempt)s AND token = %(token)s\nFOR NO KEY UPDATE"
_FENCE_RENEW = "WHERE id = %(task_id)s AND attempt = %(attempt)s AND token = %(token)s AND state = 'running'"

MUTANTS = (
    Mutant(
        "no-token",
        "every later write of a claim carries its token",
        (
            Edit(TASKS, _FENCE_READ, "WHERE id = %(task_id)s AND attempt = %(attempt)s\nFOR NO KEY UPDATE"),
            Edit(TASKS, _FENCE_RENEW, "WHERE id = %(task_id)s AND attempt = %(attempt)s AND state = 'running'"),
        ),
        (f"{STORE}::TestCommit",),
    ),
    Mutant(
        "no-fence-in-writes",
        "every later write of a claim carries its attempt and token",
        (
            Edit(TASKS, _FENCE_READ, "WHERE id = %(task_id)s\nFOR NO KEY UPDATE"),
            Edit(TASKS, _FENCE_RENEW, "WHERE id = %(task_id)s AND state = 'running'"),
        ),
        (MODEL,),
    ),
    Mutant(
        "delete-on-active-elsewhere",
        "a message is deleted only on a final state, not because another worker seems to be at it",
        (
            Edit(
                "core/task_run.py",
                "if refused.refusal is Refusal.FINAL:",
                "if refused.refusal in {Refusal.FINAL, Refusal.BUSY}:",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "success-without-if-none-match",
        "success.json is created only where there is none",
        (
            Edit(
                "io/stores/objects.py",
                'obstore.put(self._store, key, data, mode="create")',
                "obstore.put(self._store, key, data)",
            ),
        ),
        ("tests/conformance/test_stores.py", "tests/unit/test_storage.py"),
    ),
    Mutant(
        "success-before-parquet",
        "success.json is the last thing that is put",
        (
            Edit(
                "io/artefacts/attempt_files.py",
                "        if not self._objects.create(self._file_key, path):\n            self._check_ours(file)\n",
                "",
            ),
            Edit(
                "io/artefacts/attempt_files.py",
                "        self._parts.discard()\n",
                '        self._objects.create(self._file_key, self._folder.path / "artefact.parquet")\n'
                "        self._parts.discard()\n",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "takeover-by-age",
        "a task is taken over when its lease ran out, not when it runs for long",
        (
            Edit(
                TASKS,
                "t.state = 'running' AND t.lease_expires_at < clock_timestamp()\n      AND (%(task_id)s",
                "t.state = 'running' AND t.started_at < clock_timestamp() - interval '2 hours'\n      AND (%(task_id)s",
            ),
            Edit(
                TASKS,
                "extract(epoch FROM t.lease_expires_at - clock_timestamp())::float8 AS lease_left",
                "extract(epoch FROM t.started_at + interval '2 hours' - clock_timestamp())::float8 AS lease_left",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "transient-is-terminal",
        "a fault of network, database or disk never ends a task",
        (
            Edit(
                "errors.py",
                '    default_code = "E_RETRYABLE"\n    retryable = True\n',
                '    default_code = "E_RETRYABLE"\n    retryable = False\n',
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "no-rollback",
        "a transaction that raises is rolled back",
        (
            Edit(
                "io/postgres/database.py",
                "            with connection:\n                yield connection\n",
                "            try:\n                yield connection\n            finally:\n"
                "                connection.commit()\n",
            ),
        ),
        ("tests/integration/test_db_faults.py::TestRollback",),
    ),
    Mutant(
        "torn-jpeg-is-fine",
        "the decoder gives up at the first damage instead of painting grey",
        (
            Edit(
                "jobs/formats/jpeg.py",
                "simplejpeg.decode_jpeg(data, space, **size)",
                "simplejpeg.decode_jpeg(data, space, strict=False, **size)",
            ),
        ),
        ("tests/unit/test_images.py",),
    ),
    Mutant(
        "heartbeat-between-tasks-only",
        "the lease is renewed while the task runs",
        (
            Edit(
                "core/lease.py",
                "while not self._superseded and not self._closed.wait(wait):",
                "while not self._superseded and not self._closed.wait():",
            ),
        ),
        (LEASE,),
    ),
    Mutant(
        "database-not-repaired-from-artefacts",
        "work that is published is adopted, not done again",
        (
            Edit(
                "core/attempt.py",
                "if found is not None and self._is_good(found, manifest, key):",
                "if found is not None and False:",
            ),
        ),
        (f"{RUNTIME}::test_a_valid_artefact_is_adopted_when_the_database_forgot_it", MODEL),
    ),
    Mutant(
        "row-after-send",
        "enqueueing commits the tasks before it sends their messages",
        (
            Edit(
                "orch/enqueue.py",
                '        with self._database.transaction(f"enqueue volumes for {clean_text(job_name)}") as connection:\n',
                "        self._queues(job_name).send([message_of(dataclasses.asdict(v), job_name) for v in known])\n"
                '        with self._database.transaction(f"enqueue volumes for {clean_text(job_name)}") as connection:\n',
            ),
            Edit("orch/enqueue.py", "import psycopg\n", "import dataclasses\n\nimport psycopg\n"),
        ),
        (f"{ENQUEUE}::TestOutbox",),
    ),
    Mutant(
        "clock-of-the-worker",
        "leases are judged by the database's clock",
        (
            Edit(
                TASKS,
                "extract(epoch FROM t.lease_expires_at - clock_timestamp())::float8 AS lease_left",
                "extract(epoch FROM t.lease_expires_at)::float8 AS lease_ends",
            ),
            Edit(
                "io/postgres/db.py",
                '        if task is None or task["state"] in',
                "        if task is not None:\n            import time\n\n"
                '            task["lease_left"] = (task["lease_ends"] or 0) - time.time()\n'
                '        if task is None or task["state"] in',
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "no-fence-before-success",
        "success.json is put only while the claim is known to be ours",
        (
            Edit(
                "io/postgres/db.py",
                '            if connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease}).rowcount != 1:\n'
                "                raise _lost(claim)\n            yield",
                '            connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease})\n            yield',
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "no-margin",
        "a worker gives its lease up a quarter before the database does",
        (Edit("core/lease.py", "_MARGIN = 0.25", "_MARGIN = -0.25"),),
        (LEASE, MODEL),
    ),
    Mutant(
        "deadline-from-after-the-renewal",
        "the lease's deadline is counted from before the renewal was sent",
        (
            Edit(
                "core/lease.py",
                "self._deadline = sent_at + self._seconds * (1 - _MARGIN)",
                "self._deadline = self._clock() + self._seconds * (1 - _MARGIN)",
            ),
        ),
        (LEASE,),
    ),
    Mutant(
        "lost-lease-goes-on",
        "who lost the lease stops at the next page",
        (Edit("core/stop.py", "        if self._lease.lost:\n            return LEASE_LOST\n", ""),),
        (LEASE,),
    ),
    Mutant(
        "enqueued-twice",
        "a volume has one unfinished task of a job at most",
        (
            Edit(
                "io/postgres/sql/migrations/0001_initial.sql",
                "CREATE UNIQUE INDEX tasks_unfinished_uq",
                "CREATE INDEX tasks_unfinished_uq",
            ),
            Edit(ENQUEUE_SQL, "ELSE 'unfinished' END", "ELSE 'new' END"),
        ),
        (f"{ENQUEUE}::TestWhatGetsATask",),
    ),
    Mutant(
        "stop-is-charged",
        "giving a task back costs it none of its attempts",
        (
            Edit(
                TASKS,
                "SET state = 'queued', lease_expires_at = NULL, dispatched_at = clock_timestamp(), updated_at",
                "SET state = 'queued', charged = charged + 1, lease_expires_at = NULL, dispatched_at = clock_timestamp(),"
                " updated_at",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "crash-is-free",
        "an attempt whose lease ran out is charged, so that a task that kills its workers comes to an end",
        (Edit(TASKS, "SELECT t.id, t.attempt, t.charged + 1 AS charged", "SELECT t.id, t.attempt, t.charged"),),
        (f"{STORE}::TestClaim",),
    ),
    Mutant(
        "pages-not-counted",
        "an artefact has one row per page of its manifest",
        (
            Edit("core/attempt.py", "if pages.total != len(manifest.pages):", "if False:"),
            Edit(
                "io/artefacts/parts.py", 'if rows.column("page").to_pylist() != list(range(start, end)):', "if False:"
            ),
            Edit("io/artefacts/attempt_files.py", "        self._check(path)\n", ""),
        ),
        (f"{RUNTIME}::test_a_job_that_leaves_a_page_out_publishes_nothing",),
    ),
    Mutant(
        "rows-not-read-back",
        "the Parquet file is reopened and held against the manifest before it is put",
        (Edit("io/artefacts/attempt_files.py", "        self._check(path)\n", ""),),
        ("tests/unit/test_artefacts.py",),
    ),
    Mutant(
        "cut-jpeg-is-fine",
        "a JPEG without its end marker is an error",
        (
            Edit(
                "jobs/formats/jpeg.py",
                "if data.rfind(_END_OF_IMAGE, scan) < 0:",
                "if False:",
            ),
            Edit(
                "jobs/formats/jpeg.py",
                "simplejpeg.decode_jpeg(data, space, **size)",
                "simplejpeg.decode_jpeg(data, space, strict=False, **size)",
            ),
        ),
        ("tests/unit/test_images.py",),
    ),
    Mutant(
        "manifest-not-asked-again",
        "what ran on a manifest that was replaced meanwhile is not published as today's",
        (
            Edit(
                "core/attempt.py",
                "self._stamp(source.manifest_etag(self._claim.volume) or manifest.etag, len(manifest.pages))",
                "self._stamp(manifest.etag, len(manifest.pages))",
            ),
        ),
        (f"{RUNTIME}::test_a_manifest_that_changes_during_the_run_makes_a_new_task_and_no_old_artefact",),
    ),
    Mutant(
        "parts-of-any-config",
        "finished pages are taken over only from attempts with the same config, model and code",
        (Edit("io/artefacts/parts.py", "key.config_hash", "'any'"),),
        ("tests/conformance/test_stores.py",),
    ),
    Mutant(
        "attempts-begin-anew",
        "attempt numbers go on over the tasks of a volume, so that no two want one key",
        (
            Edit(
                ENQUEUE_SQL,
                "(SELECT coalesce(max(t.attempt), 0)\n        FROM volumes w",
                "(SELECT 0 * coalesce(max(t.attempt), 0)\n        FROM volumes w",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "dependency-of-any-version",
        "a task waits for its dependency to be done for the same version of the volume",
        (
            Edit(
                "io/postgres/sql/migrations/0002_missing_dependencies.sql",
                "made.state = 'done'\n      AND made.manifest_etag = coalesce(v.manifest_etag, made.manifest_etag));",
                "made.state = 'done');",
            ),
        ),
        (f"{STORE}::TestStampManifest",),
    ),
    Mutant(
        "nobody-rescues-expired-leases",
        "maintenance sets tasks back whose lease ran out",
        (Edit("io/postgres/db.py", "            self._expire(connection, job.id, None)\n", ""),),
        (MODEL,),
    ),
    Mutant(
        "nobody-sends-again",
        "maintenance sends the message of a task again that was dispatched long ago",
        (
            Edit(
                TASKS,
                "AND (t.dispatched_at IS NULL OR t.dispatched_at < clock_timestamp() - make_interval("
                "secs => %(redispatch_after)s))",
                "AND t.dispatched_at IS NULL AND %(redispatch_after)s > 0",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "marked-before-sent",
        "a task counts as dispatched only when its message is sent",
        (
            Edit(
                "core/housekeeping.py",
                "            self._parts.queues(self._parts.job.name).send(messages)\n"
                "            self._parts.store.mark_dispatched(messages)\n",
                "            self._parts.store.mark_dispatched(messages)\n",
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "artefacts-not-looked-at",
        "a finished task whose artefact is gone is queued again",
        (Edit("core/housekeeping.py", "        if fault:\n", "        if fault and False:\n"),),
        (f"{RUNTIME}::test_maintenance_makes_a_lost_artefact_again",),
    ),
    Mutant(
        "sweep-takes-newer-files",
        "litter is swept only of attempts older than the published one",
        (
            Edit(
                "io/artefacts/holdings.py",
                "if _attempt_of(key) < success.attempt or _attempt_of(key) <= ended]",
                "if _attempt_of(key) != success.attempt or ended < 0]",
            ),
        ),
        ("tests/conformance/test_stores.py",),
    ),
    Mutant(
        "no-mending",
        "an embedded database that died is started again, and its full disk ends the program",
        (
            Edit(
                "io/postgres/database.py", "            if self._on_fault:\n                self._on_fault(error)\n", ""
            ),
        ),
        ("tests/integration/test_embedded.py::TestMending",),
    ),
    Mutant(
        "refused-end-forgotten",
        "an attempt whose end the database refused stays on the flight record",
        (
            Edit(
                "core/flight.py",
                "            self._set(replace(flight, unrecorded=True))\n",
                "            self._remove(claim.task_id)\n",
            ),
        ),
        ("tests/unit/core/test_flight.py", "tests/integration/test_deaths.py"),
    ),
    Mutant(
        "stop-waits-for-the-database",
        "a stop ends the waiting for a database",
        (
            Edit(
                "core/patience.py",
                "not isinstance(error, DatabaseRefused) and not in_vain()",
                "not isinstance(error, DatabaseRefused)",
            ),
        ),
        ("tests/unit/core/test_job_workers.py",),
    ),
    Mutant(
        "models-opened-untried",
        "a model that a config names is tried in a process of its own before a worker opens it",
        (
            Edit("jobs/ldv1/worker.py", "        if folder:\n", "        if folder and not folder:\n"),
            Edit("jobs/ocrv1/worker.py", "    if named is None:\n", "    if named is None or True:\n"),
        ),
        ("tests/unit/test_model_trial.py",),
    ),
    Mutant(
        "trial-without-end",
        "the trial of a model is limited in time",
        (
            Edit("jobs/shared/trial_child.py", "    _set_limit(resource.RLIMIT_CPU, seconds)\n", ""),
            Edit("jobs/shared/trial.py", "        timeout=SECONDS,\n", "        timeout=60,\n"),
        ),
        ("tests/unit/test_model_trial.py::test_a_graph_that_never_ends_is_ended",),
    ),
    Mutant(
        "weights-from-anywhere",
        "a model is one file: what its digest is of",
        (
            Edit(
                "jobs/shared/model_session.py",
                "onnxruntime.InferenceSession(data, options",
                "onnxruntime.InferenceSession(str(path), options",
            ),
        ),
        ("tests/unit/test_model_trial.py::test_weights_in_other_files_are_not_read",),
    ),
    Mutant(
        "nan-is-an-empty-page",
        "values that are no numbers are a fault, not a page without text",
        (Edit("jobs/shared/model_session.py", "if np.isnan(output.max()):", "if False:"),),
        ("tests/unit/test_model_trial.py::test_values_that_are_no_numbers_are_a_fault_of_the_task_and_no_empty_page",),
    ),
    Mutant(
        "languages-write-files",
        "a language of Tesseract has no file written, read or shown",
        (Edit("jobs/ocrv1/traineddata.py", "elif _REACHES_OUT.search(name):", "elif False:"),),
        ("tests/unit/ocrv1/test_traineddata.py",),
    ),
    Mutant(
        "parquet-of-any-size",
        "a Parquet file is not decoded before the headers of its pages were found to be bearable",
        (Edit("io/artefacts/parquet.py", "    check_sizes(parquet, file, columns)\n", ""),),
        ("tests/unit/test_parquet_bounds.py",),
    ),
    Mutant(
        "footer-of-any-size",
        "a Parquet footer is not read before its length is known",
        (Edit("io/artefacts/parquet.py", "    check_footer(file, size)\n", ""),),
        ("tests/unit/test_parquet_bounds.py",),
    ),
    Mutant(
        "texts-counted-once",
        "a text of a dictionary counts as often as it stands in the column",
        (
            Edit(
                "io/artefacts/parquet_bounds.py",
                "if values * longest > MOST_TEXT_BYTES:",
                "if longest > MOST_TEXT_BYTES:",
            ),
        ),
        ("tests/unit/test_parquet_bounds.py",),
    ),
    Mutant(
        "success-of-any-size",
        "no success.json of megabytes is read",
        (Edit("io/artefacts/artefacts.py", ", limit=MOST_BYTES)", ")"),),
        ("tests/unit/test_parquet_bounds.py::test_a_success_json_that_is_made_to_do_harm_is_broken",),
    ),
    Mutant(
        "addresses-in-messages",
        "no message or fingerprint depends on where an object lies in memory",
        (
            Edit(
                "core/wording.py",
                '_ADDRESS.sub("0x…", _OBJECT.sub(r"a \\1", " ".join(line.split())))',
                '" ".join(line.split())',
            ),
        ),
        ("tests/unit/core/test_wording.py",),
    ),
    Mutant(
        "bytes-become-letters",
        "a line of a list that is no UTF-8 names no volume",
        (Edit("cli/queue/enqueue.py", 'errors="surrogateescape"', 'errors="replace"'),),
        ("tests/unit/test_names_of_bytes.py",),
    ),
    Mutant(
        "paths-of-letters-only",
        "a folder whose path is no UTF-8 is found again",
        (Edit("io/stores/storage.py", 'unquote(parts.path, errors="surrogateescape")', "unquote(parts.path)"),),
        ("tests/unit/test_names_of_bytes.py",),
    ),
)
