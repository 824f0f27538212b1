"""The guards of the program, each taken away by a small edit, and the tests that must notice.

The first twelve are the guards without which a queue of tasks is not safe; the others are those that this one adds.
"""

from tests.mutants.dependencies import DEPENDENCIES
from tests.mutants.earlier import EARLIER
from tests.mutants.exports import EXPORTS
from tests.mutants.limits import LIMITS
from tests.mutants.moving_in import MOVING_IN
from tests.mutants.mutant import Edit, Mutant
from tests.mutants.pages import PAGES
from tests.mutants.sources import SOURCES as MORE_SOURCES
from tests.mutants.surroundings import SURROUNDINGS
from tests.mutants.web import WEB
from tests.mutants.words import WORDS

MODEL = "tests/model/test_life_of_a_task.py"
STORE = "tests/integration/test_db.py"
RUNTIME = "tests/integration/test_worker_runtime.py"
ENQUEUE = "tests/integration/test_enqueue.py"
LEASE = "tests/unit/core/test_lease.py"
OUTLETS = "tests/unit/test_cli_outlets.py"
SIGNALS = "tests/unit/test_cli_signals.py"
SUPERVISION = "tests/integration/test_supervision.py"
AWAY = "tests/integration/test_away.py"
FOREIGN = "tests/integration/test_ours_and_foreign.py"
MARKS = "tests/unit/core/test_ownership.py"
STORES = "tests/conformance/test_stores.py"
AUDIT = "tests/integration/test_audit.py"
ALONE = "tests/integration/test_alone_on_its_data.py"

FRESH = "tests/unit/test_fresh_machine.py"
RIGHTS = "tests/integration/test_worker_rights.py"
ENV_FILE = "tests/unit/test_env_file.py"

SETUP = "orch/machines/setup.py"
TASKS = "io/postgres/tasks.sql"
UPKEEP = "io/postgres/upkeep.sql"
BACKLOG_SQL = "io/postgres/backlog.sql"


_READ_BACK = "if not whole or not are_rows_of(names, [page.filename for page in self._manifest.pages]):"
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
                "core/life/acknowledging.py",
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
                UPKEEP,
                "t.state = 'running' AND t.lease_expires_at < clock_timestamp()\n  AND (%(task_id)s",
                "t.state = 'running' AND t.started_at < clock_timestamp() - interval '2 hours'\n  AND (%(task_id)s",
            ),
            Edit(
                TASKS,
                "extract(epoch FROM t.lease_expires_at - clock_timestamp())::float8 AS lease_left",
                "extract(epoch FROM t.started_at + interval '2 hours' - clock_timestamp())::float8 AS lease_left",
            ),
        ),
        ("tests/integration/test_db.py::TestMaintenance::test_expired_lease_is_set_back", MODEL),
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
                "            with connection:\n                limit(",
                "            with suppress(psycopg.Error):\n                limit(",
            ),
            Edit(
                "io/postgres/database.py",
                "                yield connection\n        finally:\n",
                "            try:\n                yield connection\n            finally:\n"
                "                connection.commit()\n        finally:\n",
            ),
            Edit(
                "io/postgres/database.py",
                "from contextlib import contextmanager\n",
                "from contextlib import contextmanager, suppress\n",
            ),
        ),
        ("tests/integration/test_db_faults.py::TestRollback",),
    ),
    Mutant(
        "torn-jpeg-is-fine",
        "the decoder stops at the first damage instead of painting grey",
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
                "core/life/lease.py",
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
                "core/life/publishing.py",
                "if found is None or not self._is_good(found, pinned):",
                "if found is None or pinned:",
            ),
        ),
        (f"{RUNTIME}::test_a_valid_artefact_is_adopted_when_the_database_forgot_it", MODEL),
    ),
    Mutant(
        "row-after-send",
        "enqueueing commits the tasks before it sends their messages",
        (
            Edit(
                "orch/backlog/enqueue.py",
                "        for portion in batches(volumes, _VOLUMES_AT_ONCE):\n",
                "        messages = [TaskMessage(v.w_id, v.i_id, job_name, v.source) for v in volumes]\n"
                "        self._queues(job_name).send(messages)\n"
                "        for portion in batches(volumes, _VOLUMES_AT_ONCE):\n",
            ),
            Edit("orch/backlog/enqueue.py", "import QueueFactory\n", "import QueueFactory, TaskMessage\n"),
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
                "io/postgres/tasks.py",
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
                "io/postgres/tasks.py",
                '            if connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease}).rowcount != 1:\n'
                "                raise _lost(claim)\n            yield",
                '            connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease})\n            yield',
            ),
        ),
        (MODEL,),
    ),
    Mutant(
        "no-margin",
        "a worker lets its lease go a quarter before the database does",
        (Edit("core/life/lease.py", "_MARGIN = 0.25", "_MARGIN = -0.25"),),
        (LEASE, MODEL),
    ),
    Mutant(
        "deadline-from-after-the-renewal",
        "the lease's deadline is counted from before the renewal was sent",
        (
            Edit(
                "core/life/lease.py",
                "self._deadline = sent_at + self._seconds * (1 - _MARGIN)",
                "self._deadline = self._clock() + self._seconds * (1 - _MARGIN)",
            ),
        ),
        (LEASE,),
    ),
    Mutant(
        "lost-lease-goes-on",
        "who lost the lease stops at the next page",
        (Edit("core/life/stop.py", "        if self._lease.lost:\n            return StopReason.LEASE_LOST\n", ""),),
        (LEASE,),
    ),
    Mutant(
        "enqueued-twice",
        "a volume has one unfinished task of a job at most",
        (
            Edit(
                "io/postgres/migrations/0001_initial.sql",
                "CREATE UNIQUE INDEX tasks_unfinished_uq",
                "CREATE INDEX tasks_unfinished_uq",
            ),
            Edit(BACKLOG_SQL, "ELSE 'unfinished' END", "ELSE 'new' END"),
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
        (
            "tests/integration/test_worker_runtime.py::test_a_stop_keeps_finished_pages_gives_the_task_back_and_the_next_attempt_goes_on",
            MODEL,
        ),
    ),
    Mutant(
        "crash-is-free",
        "an attempt whose lease ran out is charged, so that a task that kills its workers comes to an end",
        (
            Edit(
                "io/postgres/upkeep.py",
                "        retryable=True,\n",
                "        retryable=True,\n        charged=False,\n",
            ),
        ),
        (f"{STORE}::TestClaim",),
    ),
    Mutant(
        "signals-within-signals",
        "a signal that comes while one is passed on waits for no lock that this one holds",
        (Edit("cli/process/signals.py", "        if request.passing_on:\n", "        if False:\n"),),
        ("tests/unit/test_cli_signals.py::test_a_signal_that_comes_while_one_is_passed_on_waits_for_no_lock",),
    ),
    Mutant(
        "empty-for-all",
        "a slot that finds nothing left to do ends itself, and no other one that has just received the last message",
        (
            Edit(
                "core/life/worker_runtime.py",
                "            return False\n        self._poll(_POLL_UNTIL_EMPTY)",
                "            self._stop.request(StopReason.EMPTY)\n        self._poll(_POLL_UNTIL_EMPTY)",
            ),
        ),
        (f"{RUNTIME}::test_a_slot_that_finds_nothing_left_to_do_ends_alone",),
    ),
    Mutant(
        "pages-not-counted",
        "an artefact has one row per page of its manifest",
        (
            Edit("core/life/computing.py", "    if left:\n", "    if False:\n"),
            Edit("io/artefacts/parts.py", "if there != list(range(start, end)):", "if False:"),
            Edit("io/artefacts/attempt_files.py", _READ_BACK, "if False:"),
        ),
        (f"{RUNTIME}::test_a_job_that_leaves_a_page_out_publishes_nothing",),
    ),
    Mutant(
        "rows-not-read-back",
        "the Parquet file is reopened and held against the manifest before it is put",
        (Edit("io/artefacts/attempt_files.py", _READ_BACK, "if False:"),),
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
                "core/life/computing.py",
                "resolved.source.manifest_etag(resolved.claim.volume) or manifest.etag",
                "manifest.etag",
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
                BACKLOG_SQL,
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
                "io/postgres/migrations/0008_optional_dependencies.sql",
                "made.state = 'done'\n      AND made.manifest_etag = coalesce(v.manifest_etag, made.manifest_etag));",
                "made.state = 'done');",
            ),
        ),
        (f"{STORE}::TestStampManifest",),
    ),
    Mutant(
        "nobody-rescues-expired-leases",
        "maintenance sets tasks back whose lease ran out",
        (Edit("io/postgres/upkeep.py", "            expire(connection, job.id, grace=self._outage_grace)\n", ""),),
        ("tests/integration/test_db.py::TestMaintenance::test_expired_lease_is_set_back", MODEL),
    ),
    Mutant(
        "nobody-sends-again",
        "maintenance sends the message of a task again that was dispatched long ago",
        (
            Edit(
                UPKEEP,
                "AND (t.dispatched_at IS NULL OR t.dispatched_at < clock_timestamp() - make_interval("
                "secs => %(redispatch_after)s))",
                "AND t.dispatched_at IS NULL AND %(redispatch_after)s > 0",
            ),
        ),
        ("tests/integration/test_worker_runtime.py::test_lost_messages_are_sent_again", MODEL),
    ),
    Mutant(
        "marked-before-sent",
        "a task counts as dispatched only when its message is sent",
        (
            Edit(
                "core/life/housekeeping.py",
                "            self._queue.send(messages)\n            self._store.mark_dispatched(messages)\n",
                "            self._store.mark_dispatched(messages)\n",
            ),
        ),
        ("tests/integration/test_worker_runtime.py::test_lost_messages_are_sent_again", MODEL),
    ),
    Mutant(
        "artefacts-not-looked-at",
        "a finished task whose artefact is gone is queued again",
        (Edit("core/life/housekeeping.py", "        if fault:\n", "        if fault and False:\n"),),
        (f"{RUNTIME}::test_maintenance_makes_a_lost_artefact_again",),
    ),
    Mutant(
        "sweep-takes-newer-files",
        "litter is swept only of attempts older than the published one",
        (
            Edit(
                "io/artefacts/holdings.py",
                "past = max(ended, success.attempt - 1)",
                "past = max(ended, success.attempt + 9)",
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
                "core/life/standings.py",
                "            self._set(claim.token, Standing(claim, self._clock(), unrecorded=True))\n",
                "            self._set(claim.token, None)\n",
            ),
        ),
        ("tests/unit/core/test_flight.py", "tests/integration/test_deaths.py"),
    ),
    Mutant(
        "stop-waits-for-the-database",
        "a stop ends the waiting for a database",
        (
            Edit(
                "core/life/patience.py",
                "not isinstance(error, DatabaseRefused) and not self.in_vain()",
                "not isinstance(error, DatabaseRefused)",
            ),
        ),
        ("tests/unit/core/test_job_workers.py",),
    ),
    Mutant(
        "kit-of-anybody",
        "a machine runs the kit that its user data names, and no other",
        (Edit(SETUP, "SHA256SUMS' | sha256sum --check --status ||", "SHA256SUMS' >/dev/null ||"),),
        (f"{FRESH}::test_a_kit_that_was_changed_is_refused_before_anything_of_it_runs",),
    ),
    Mutant(
        "kit-files-unchecked",
        "a machine runs no file of the kit that has another digest",
        (Edit(SETUP, "sha256sum --check --strict --quiet SHA256SUMS ||", "true ||"),),
        (f"{FRESH}::test_a_kit_that_was_changed_is_refused_before_anything_of_it_runs",),
    ),
    Mutant(
        "kit-where-workers-write",
        "the kit lies in another bucket than workers write",
        (Edit("cli/scale/machines.py", ".netloc == urlsplit(settings.dest_url).netloc", '.netloc == "nowhere"'),),
        ("tests/unit/test_config.py::test_machines_do_not_run_what_they_can_write",),
    ),
    Mutant(
        "machines-as-the-operator",
        "machines connect to the database as a user of their own",
        (Edit("cli/scale/machines.py", "settings.sql_user == settings.ec2_sql_user", "settings.ec2_sql_user is None"),),
        ("tests/unit/test_config.py::test_machines_do_not_connect_as_the_operator",),
    ),
    Mutant(
        "rights-not-asked-for",
        "a worker that lacks a right learns which at its start",
        (Edit("core/records/checks.py", "    if found.missing:\n", "    if found.missing and not found.exists:\n"),),
        (f"{RIGHTS}::test_a_worker_whose_user_lacks_a_right_learns_which",),
    ),
    Mutant(
        "members-are-no-owners",
        "a member of the owner counts as the owner",
        (Edit("io/postgres/rights.sql", "pg_has_role(r.oid, t.relowner, 'MEMBER')", "r.oid = t.relowner"),),
        (f"{RIGHTS}::test_a_member_of_the_owner_counts_as_the_owner",),
    ),
    Mutant(
        "env-file-mixed",
        "settings of a group come from the environment or from .env, not from both",
        (Edit("settings/env_file.py", "        if beside:\n", "        if beside and not group:\n"),),
        (f"{ENV_FILE}::test_what_belongs_together_comes_from_one_place",),
    ),
    Mutant(
        "env-file-points",
        ".env does not say where secrets come from or go to, nor what runs",
        (Edit("settings/env_file.py", "        if name in NEVER:\n", "        if name in NEVER and not name:\n"),),
        (f"{ENV_FILE}::test_what_reaches_beyond_the_file_is_never_taken_from_it",),
    ),
    Mutant(
        "env-file-of-anybody",
        ".env belongs to its reader or to root",
        (Edit("settings/env_file.py", "    if strangers:\n", "    if strangers and not found:\n"),),
        (f"{ENV_FILE}::test_a_file_of_somebody_else_is_refused",),
    ),
    Mutant(
        "env-file-writable",
        "nobody else may write .env",
        (Edit("settings/env_file.py", "(stat.S_IWGRP | stat.S_IWOTH)", "0"),),
        (f"{ENV_FILE}::test_a_file_that_others_may_write_is_refused",),
    ),
    Mutant(
        "env-file-expands",
        "nothing of the environment gets into a value of .env",
        (Edit("settings/env_file.py", "= line.value\n", "= os.path.expandvars(line.value or '')\n"),),
        (f"{ENV_FILE}::test_a_whole_group_may_come_from_the_file",),
    ),
    Mutant(
        "values-steer-terminals",
        "no setting holds control characters",
        (Edit("settings/config.py", "if not all(text.isprintable() for text in _texts(value))", "if value is ..."),),
        (f"{ENV_FILE}::test_no_value_steers_the_terminal",),
    ),
    Mutant(
        "decoders-write-files",
        "a page that takes a decoder over writes no file",
        (Edit("jobs/decoders/limits.py", "(resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)", "(resource.RLIMIT_CORE,)"),),
        ("tests/unit/test_decoder_pool.py::test_a_page_that_takes_a_decoder_over_writes_no_file",),
    ),
    Mutant(
        "code-of-the-current-folder",
        "a worker process imports nothing from the folder that it was started in",
        (Edit("cli/worker/supervision.py", '    os.environ["PYTHONSAFEPATH"] = "1"\n', ""),),
        ("tests/integration/test_supervision.py::test_no_process_runs_code_that_lies_in_the_current_folder",),
    ),
    Mutant(
        "worker-outlives-its-job",
        "a worker whose job was deleted ends, and takes no messages of the next job of the name",
        (Edit("core/life/housekeeping.py", "                self._on_deleted()\n", "                pass\n"),),
        (f"{RUNTIME}::test_a_worker_whose_job_was_deleted_ends_and_takes_nothing_of_the_next_of_its_name",),
    ),
    Mutant(
        "first-process-hears-ctrl-c",
        "the first process that a worker starts is not reached by Ctrl-C before it can ignore it",
        (Edit("cli/worker/supervision.py", "        resource_tracker.ensure_running()\n", ""),),
        (f"{SUPERVISION}::test_the_first_process_that_is_started_is_not_reached_by_the_terminal_before_it_can_say_so",),
    ),
    Mutant(
        "report-read-too-late",
        "a worker's report is read while its process lives",
        (
            Edit(
                "cli/worker/supervision.py",
                "wait([*telling, *(child.process.sentinel for child in self._children)], _LOOK_EVERY)",
                "wait([child.process.sentinel for child in self._children], _LOOK_EVERY)",
            ),
        ),
        (f"{SUPERVISION}::test_a_report_is_read_while_its_process_lives",),
    ),
    Mutant(
        "cut-report-is-a-fault",
        "a process that dies in the middle of its report is one that died",
        (
            Edit(
                "cli/worker/supervision.py",
                "            except OSError as error:",
                "            except TypeError as error:",
            ),
        ),
        (f"{SUPERVISION}::test_a_process_that_dies_while_it_sends_its_report_is_one_that_died",),
    ),
    Mutant(
        "late-not-killed",
        "a process that goes on after the grace is killed",
        (Edit("cli/worker/supervision.py", "            _signal(child, signal.SIGKILL)\n", ""),),
        (f"{SUPERVISION}::test_a_process_that_goes_on_after_the_grace_is_killed_and_its_task_not_charged",),
    ),
    Mutant(
        "late-charged",
        "a task whose worker was killed by its parent is not charged",
        (Edit("orch/runs/post_mortem.py", "    charged=False,\n", ""),),
        ("tests/integration/test_deaths.py",),
    ),
    Mutant(
        "uncharged-deaths-count",
        "only deaths that are charged leave a page out",
        (Edit("io/postgres/deaths.sql", " AND a.charged\n", "\n"),),
        ("tests/integration/test_deaths.py",),
    ),
    Mutant(
        "stopped-not-continued",
        "a process that stands still goes on to hear that it is to end",
        (Edit("cli/worker/supervision.py", "                _signal(child, signal.SIGCONT)\n", ""),),
        (f"{SUPERVISION}::test_a_stopped_process_goes_on_to_hear_that_it_is_to_end",),
    ),
    Mutant(
        "failed-tasks-held",
        "a task that is at its end is only counted",
        (
            Edit(
                "core/life/worker_runtime.py",
                "if end.failure is None or end.outcome is AttemptOutcome.TERMINAL_FAILED:",
                "if end.failure is None:",
            ),
        ),
        ("tests/unit/core/test_tally.py",),
    ),
    Mutant(
        "second-signal-interrupts",
        "signals that follow the first disturb nobody who closes things",
        (Edit("cli/process/interrupts.py", "if time.monotonic() >= self._deaf_until:", "if time.monotonic() >= 0.0:"),),
        (SIGNALS,),
    ),
    Mutant(
        "lost-interrupt-stays-lost",
        "an interrupt that a destructor swallows comes again",
        (Edit("cli/process/interrupts.py", "    sys.unraisablehook = INTERRUPTS.lost\n", ""),),
        (f"{SIGNALS}::test_an_interrupt_that_a_destructor_swallows_comes_again",),
    ),
    Mutant(
        "deaf-while-importing",
        "a signal while modules are imported ends the program in order",
        (Edit("cli/main.py", "        interrupts.exit_at_once(interrupted)\n", ""),),
        (f"{SIGNALS}::test_a_signal_while_modules_are_imported",),
    ),
    Mutant(
        "python-leaves",
        "a signal on the way out changes no exit code",
        (
            Edit(
                "cli/process/interrupts.py",
                'all that it printed is printed."""\n    os._exit(code)',
                'over."""\n    sys.exit(code)',
            ),
        ),
        (f"{SIGNALS}::test_a_signal_on_the_way_out_changes_no_exit_code",),
    ),
    Mutant(
        "server-hears-ctrl-c",
        "Ctrl-C at a terminal does not reach what stops the embedded server",
        (Edit("io/postgres/embedded/programs.py", "            start_new_session=True,\n", ""),),
        ("tests/integration/test_embedded.py::TestPrograms::test_ctrl_c_at_a_terminal_does_not_reach_them",),
    ),
    Mutant(
        "stop-forgotten",
        "a task that began to stop has stopped, whatever is renewed then",
        (
            Edit(
                "core/life/stop.py",
                "self._answer = self._answer or self._reason_now()",
                "self._answer = self._reason_now()",
            ),
        ),
        (LEASE,),
    ),
    Mutant(
        "gone-reader-is-a-fault",
        "what nobody can read any more goes nowhere",
        (Edit("cli/terminal/outlets.py", "except BrokenPipeError:", "except TypeError:"),),
        (OUTLETS,),
    ),
    Mutant(
        "unread-log-stops-all",
        "a log that nobody reads holds nobody up",
        (
            Edit(
                "cli/terminal/outlets.py",
                "if not _is_ready(self._descriptor, 0.0 if self._dropped else self._patience):",
                "if self._patience < 0:",
            ),
        ),
        (OUTLETS,),
    ),
    Mutant(
        "shortage-is-a-page-error",
        "what ran out on the machine is no page's error",
        (Edit("jobs/pipeline/steps.py", "raise shortage_of(error) or PageError(", "raise PageError("),),
        ("tests/unit/test_pipeline.py",),
    ),
    Mutant(
        "small-address-space",
        "an address space that is too small is reported before libraries crash",
        (Edit("cli/commands.py", "    require_address_space(LEAST_ADDRESS_SPACE)\n", ""),),
        ("tests/acceptance/test_cli_limits.py::test_a_small_address_space_is_reported_before_libraries_crash",),
    ),
    Mutant(
        "threads-not-tried",
        "threads that the system does not grant are reported before libraries crash",
        (Edit("cli/commands.py", "    require_threads()\n", ""),),
        (
            "tests/unit/test_cli_main.py::test_threads_that_the_system_does_not_grant_are_reported_before_libraries_crash",
        ),
    ),
    Mutant(
        "folder-gone-is-a-fault",
        "a current folder that is gone is reported as such",
        (Edit("cli/process/surroundings.py", "and _current_folder_is_gone():", "and False:"),),
        ("tests/acceptance/test_cli_limits.py::test_a_command_that_needs_the_current_folder_says_that_it_is_gone",),
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
        "language-model-decides-all",
        "what the network is sure of is not for the language model to change",
        (Edit("jobs/ocrv1/decoding/likely_text.py", "\nSURE = 0.98\n", "\nSURE = 2.0\n"),),
        ("tests/unit/ocrv1/test_bec.py::test_the_language_model_leaves_what_is_sure",),
    ),
    Mutant(
        "blank-windows-read",
        "a line without ink is not read, whatever its neighbours leave in its window",
        (Edit("jobs/ocrv1/cut/line_windows.py", "if inked and has_contrast(line, int(threshold))", "if True"),),
        ("tests/unit/ocrv1/test_bec.py::test_windows_without_ink_in_their_line_are_none_and_high_ones_are_shrunk",),
    ),
    Mutant(
        "languages-write-files",
        "a language of Tesseract has no file written, read or shown",
        (Edit("jobs/ocrv1/engines/traineddata.py", "elif _REACHES_OUT.search(name):", "elif False:"),),
        ("tests/unit/ocrv1/test_traineddata.py",),
    ),
    Mutant(
        "report-unescaped",
        "names and texts of others cannot become markup of a report",
        (Edit("jobs/evalv1/report/html.py", "autoescape=True", "autoescape=False"),),
        ("tests/unit/evalv1/test_plots.py::test_names_are_escaped",),
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
        (
            Edit(
                "io/artefacts/artefacts.py",
                "return self._objects.read(success_key(location), limit=MOST_BYTES)",
                "return self._objects.read(success_key(location))",
            ),
        ),
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
        "finished-work-by-name-alone",
        "a finished artefact whose file has another size is made again by the next run",
        (
            Edit(
                "io/artefacts/artefacts.py",
                "sizes.get(file.key) == file.size for file in (*",
                "file.key in sizes for file in (*",
            ),
        ),
        (STORES,),
    ),
    Mutant(
        "paths-of-letters-only",
        "a folder whose path is no UTF-8 is found again",
        (Edit("io/stores/storage.py", '.path, errors="surrogateescape")', ".path)"),),
        ("tests/unit/test_names_of_bytes.py",),
    ),
    Mutant(
        "missing-at-the-first-look",
        "a volume that is missing is looked for by a second attempt before it fails for good",
        (Edit("core/life/resolving.py", "if claim.last_failure == error.code:", "if error.code:"),),
        (f"{AWAY}::TestVolume",),
    ),
    Mutant(
        "second-look-after-an-interruption",
        "a look counts as the second one only right after the first",
        (Edit(TASKS, " AND before.code = t.failure_code", ""),),
        (f"{AWAY}::TestVolume",),
    ),
    Mutant(
        "volume-away-is-pages-missing",
        "pages are missing only in a volume that is still there",
        (
            Edit(
                "core/life/computing.py",
                "        etag = source.manifest_etag(claim.volume)\n",
                "        etag = source.manifest_etag(claim.volume) or resolved.manifest.etag\n",
            ),
        ),
        (f"{AWAY}::TestVolume",),
    ),
    Mutant(
        "missing-page-at-the-first-look",
        "a page that could not be found is missing only when the folder does not list it either",
        (Edit("core/life/missing_pages.py", "        if back:\n", "        if not names:\n"),),
        ("tests/unit/core/test_missing_pages.py",),
    ),
    Mutant(
        "store-unseen",
        "nothing counts as missing before the store was seen to be there",
        (
            Edit(
                "io/stores/objects.py", "        self.check_there()\n        return look()\n", "        return look()\n"
            ),
        ),
        ("tests/unit/test_storage.py::TestMissing",),
    ),
    Mutant(
        "missing-once",
        "what is missing is looked for again when the store was seen to be there",
        (
            Edit(
                "io/stores/objects.py",
                "        self.check_there()\n        return look()\n",
                "        self.check_there()\n        return found\n",
            ),
        ),
        ("tests/unit/test_storage.py::TestMissing",),
    ),
    Mutant(
        "any-folder-will-do",
        "a folder in whose place another one is takes nothing and lacks nothing",
        (Edit("io/stores/folders.py", "        if not same:\n", "        if not same and False:\n"),),
        ("tests/unit/test_storage.py::TestFolders",),
    ),
    Mutant(
        "listed-and-missing",
        "a manifest that is listed is not missing",
        (
            Edit(
                "io/sources/bdrc.py",
                "        if any(entry.name == _MANIFEST",
                "        if False and any(entry.name == _MANIFEST",
            ),
        ),
        ("tests/unit/test_sources.py::TestBdrc",),
    ),
    Mutant(
        "missing-is-the-volumes-fault",
        "a worker that misses many volumes stops itself, though that ended their tasks",
        (
            Edit(
                "core/life/worker_runtime.py",
                "if end.failure and end.failure.code in NOT_THERE:",
                "if end.failure and not end.failure.code:",
            ),
        ),
        (f"{AWAY}::TestManyAtOnce",),
    ),
    Mutant(
        "redo-in-an-empty-store",
        "maintenance redoes nothing before the destination was seen to be there",
        (
            Edit(
                "core/life/housekeeping.py",
                "        self._artefacts.check_there()\n        # As for tasks",
                "        # As for tasks",
            ),
        ),
        (f"{AWAY}::TestDestination",),
    ),
    Mutant(
        "redo-of-everything",
        "maintenance redoes nothing when all artefacts of a round are gone",
        (
            Edit(
                "core/life/housekeeping.py",
                "if len(faulty) == len(looked_at) >= ",
                "if len(faulty) < len(looked_at) >= ",
            ),
        ),
        (f"{AWAY}::TestDestination",),
    ),
    Mutant(
        "work-into-an-empty-store",
        "a worker does not begin where all that was finished is gone",
        (Edit("core/life/worker_runtime.py", "            self._maintenance.check_destination()\n", ""),),
        (f"{AWAY}::TestDestination",),
    ),
    Mutant(
        "audit-redoes-in-an-empty-store",
        "an audit redoes nothing before the destination was seen to be there",
        (Edit("orch/audit/repairs.py", "        self._artefacts.check_there()\n        return", "        return"),),
        (f"{AWAY}::TestDestination",),
    ),
    Mutant(
        "truth-of-an-unmounted-disk",
        "an empty store of references is away, not without references",
        (Edit("core/job_types/references.py", "store.surely(lambda: store.list(path))", "store.list(path)"),),
        ("tests/unit/core/test_references.py",),
    ),
    Mutant(
        "disk-away-is-the-pages-fault",
        "a disk that is away while a page is worked on is no page error",
        (Edit("core/shortages.py", "(_MEMORY, _FILES, _PROCESSES, _DISK)", "(_MEMORY, _FILES, _PROCESSES)"),),
        ("tests/unit/test_pipeline.py",),
    ),
    Mutant(
        "foreign-is-ours",
        "an artefact is ours only with the identity of our database",
        (Edit("core/ownership.py", "return mark.database == self.identity", "return True"),),
        (MARKS, f"{FOREIGN}::TestTwoDatabases::test_neither_harms_what_the_other_published"),
    ),
    Mutant(
        "any-format-is-ours",
        "an artefact is ours only with our format",
        (Edit("core/ownership.py", "if mark.format != FORMAT:", "if mark.format is None:"),),
        (MARKS,),
    ),
    Mutant(
        "earlier-versions-are-foreign",
        "an artefact of our format and of a task that we know is ours, also without an identity",
        (
            Edit(
                "core/ownership.py",
                "return mark.task_uid is not None and self.has_task(mark.task_uid)",
                "return False",
            ),
        ),
        (f"{FOREIGN}::TestOlderVersionOfThisProgram",),
    ),
    Mutant(
        "sweep-takes-files-of-others",
        "only attempt files with our tag are litter",
        (Edit("io/artefacts/names.py", "if found and found[2] == owner.tag else None", "if found else None"),),
        ("tests/conformance/test_stores.py",),
    ),
    Mutant(
        "parts-of-others-removed",
        "only part files with our tag are removed",
        (
            Edit(
                "io/artefacts/names.py",
                "if found is None or found[2] != owner.tag:",
                "if found is None:",
            ),
        ),
        ("tests/conformance/test_stores.py",),
    ),
    Mutant(
        "sweep-beside-foreign",
        "beside somebody else's success.json nothing is swept",
        (Edit("io/artefacts/holdings.py", " or not owner.owns(success.mark)", ""),),
        ("tests/conformance/test_stores.py",),
    ),
    Mutant(
        "foreign-taken-back",
        "a success.json is taken back only if it says that it is ours",
        (Edit("io/artefacts/artefacts.py", " or not self._owner.owns(mark_of(blob.data))", ""),),
        ("tests/conformance/test_stores.py",),
    ),
    Mutant(
        "foreign-adopted-unasked",
        "an artefact of others is adopted only when that is asked for",
        (
            Edit(
                "core/life/publishing.py",
                "return pinned.claim.adopt_foreign and self._is_as_wanted(found, pinned)",
                "return pinned.claim.task_id > 0 and self._is_as_wanted(found, pinned)",
            ),
        ),
        (f"{FOREIGN}::TestTwoDatabases",),
    ),
    Mutant(
        "foreign-replaced-unasked",
        "an artefact of others is not replaced by a redo",
        (
            Edit(
                "core/life/publishing.py",
                "        if not self._is_taken_over(found, pinned):\n"
                "            raise foreign_artefact(found, pinned.claim)\n        return True",
                "        return self._is_taken_over(found, pinned)",
            ),
        ),
        (f"{FOREIGN}::TestEarlierSystem", MODEL),
    ),
    Mutant(
        "replaces-what-was-not-shown",
        "a foreign success.json is replaced only while it is the one that was shown",
        (
            Edit(
                "core/life/publishing.py",
                "if found.etag == pinned.claim.replace_foreign:",
                "if pinned.claim.replace_foreign:",
            ),
        ),
        (f"{FOREIGN}::TestTwoDatabases::test_one_that_changed_since_it_was_shown_stays",),
    ),
    Mutant(
        "theirs-taken-for-the-result",
        "who finds another's success.json at the commit does not call it his",
        (
            Edit(
                "core/life/publishing.py",
                "if not self._artefacts.owns(held) and not self._is_taken_over(held, pinned):",
                "if False:",
            ),
        ),
        (f"{FOREIGN}::TestTwoDatabases::test_who_comes_second_to_the_commit_publishes_nothing",),
    ),
    Mutant(
        "identity-changed-with-tasks",
        "a database that has tasks takes no other identity",
        (Edit("io/postgres/identity.sql", " WHERE NOT EXISTS (SELECT 1 FROM tasks)", ""),),
        (f"{FOREIGN}::TestIdentity",),
    ),
    Mutant(
        "refused-delete-stops",
        "a store that deletes nothing stops neither workers nor audits",
        (
            Edit(
                "io/artefacts/removal.py",
                "            if error.code != DENIED:\n                raise\n",
                "            raise\n",
            ),
        ),
        ("tests/integration/test_s3_locks.py",),
    ),
    Mutant(
        "refused-replacement-tried-for-ever",
        "a success.json that may not be replaced ends the task",
        (
            Edit(
                "io/artefacts/artefacts.py",
                "            if error.code != DENIED:\n                raise\n",
                "            raise\n",
            ),
        ),
        ("tests/integration/test_s3_locks.py",),
    ),
    Mutant(
        "file-of-others-written-over",
        "pictures and reports take the place of our own alone",
        (Edit("io/own_files.py", "if file.exists() and not _may_go(file, or_same):", "if False:"),),
        ("tests/unit/test_own_files.py",),
    ),
    Mutant(
        "lock-file-of-others-emptied",
        "a workspace's lock is written only into a file of ours",
        (Edit("io/workspace.py", "            self._refuse_foreign(file)\n", ""),),
        ("tests/unit/test_workspace.py",),
    ),
    *DEPENDENCIES,
    *LIMITS,
    *MOVING_IN,
    *WORDS,
    *PAGES,
    *EXPORTS,
    *EARLIER,
    *WEB,
    *SURROUNDINGS,
    *MORE_SOURCES,
    Mutant(
        "server-without-lock",
        "all processes of an embedded server hold its lock",
        (Edit("io/postgres/embedded/server.py", "(*opened, lock.fileno()))", "(*opened,))"),),
        (f"{ALONE}::TestLock",),
    ),
    Mutant(
        "pid-file-removed-on-a-guess",
        "PostgreSQL's own interlock is removed only where its server is known to be dead",
        (
            Edit(
                "io/postgres/embedded/interlock.py",
                "        if self.may_be_unseen():\n            return\n        sockets",
                "        sockets",
            ),
        ),
        ("tests/integration/test_embedded_of_before.py",),
    ),
    Mutant(
        "another-host-taken-over",
        "a network folder that another machine did not close is refused",
        (Edit("io/postgres/embedded/interlock.py", " and not self._is_on_local_disk():", " and not self._data:"),),
        (f"{ALONE}::TestHosts",),
    ),
    Mutant(
        "copy-taken",
        "a copy of data in use is refused",
        (
            Edit(
                "io/postgres/embedded/interlock.py",
                'if left and left.pop("data") != self._identity():',
                'if left and not left.pop("data"):',
            ),
        ),
        (f"{ALONE}::TestCopies",),
    ),
    Mutant(
        "hard-links-taken",
        "a folder that shares its files with another is refused",
        (Edit("io/postgres/embedded/cluster.py", "st_nlink > 1", "st_nlink < 1"),),
        (f"{ALONE}::TestCopies",),
    ),
    Mutant(
        "other-data-entered",
        "a server at the socket has to work on the data of this folder",
        (
            Edit(
                "io/postgres/embedded/access.py",
                'if found["record"].splitlines()[:3] != self',
                'if not found["record"] and self',
            ),
        ),
        (f"{ALONE}::TestCopies",),
    ),
    Mutant(
        "unseen-server-started-over",
        "where others are in and no server is reached, none is started",
        (
            Edit(
                "io/postgres/embedded/embedded.py",
                "            if not alone:\n",
                "            if not alone and mending:\n",
            ),
        ),
        ("tests/integration/test_embedded_of_before.py",),
    ),
    Mutant(
        "locks-believed",
        "a lock that keeps nobody out is found out",
        (Edit("core/locks.py", "    if not is_locked(path):\n", "    if not path:\n"),),
        ("tests/unit/core/test_locks.py",),
    ),
    Mutant(
        "server-outlives-its-users",
        "an embedded server is stopped when its last user is gone, also by a kill",
        (
            Edit(
                "io/postgres/embedded/keeper.py",
                "    _thread.start_new_thread(_stop_when_unused, (users, server))\n",
                "",
            ),
        ),
        ("tests/integration/test_keeper.py",),
    ),
    Mutant(
        "others-data-touched",
        "a database of another user is refused, for root too",
        (Edit("io/postgres/embedded/cluster.py", "        self._refuse_foreign()\n", ""),),
        ("tests/integration/test_embedded_rights.py::TestOwner",),
    ),
    Mutant(
        "everybody-logs-in",
        "the system says who logs in to an embedded server",
        (Edit("io/postgres/embedded/cluster.py", '"peer map=bec" if name else "trust"', '"trust"'),),
        ("tests/integration/test_embedded_rights.py::TestLogin",),
    ),
    Mutant(
        "any-server-believed",
        "the server at a socket has to be run by the owner of the data",
        (Edit("io/postgres/embedded/access.py", ", **self._peer()}", "}"),),
        ("tests/integration/test_embedded_rights.py::TestLogin",),
    ),
    Mutant(
        "sidecars-swept",
        "sidecar files that success.json names are no litter",
        (
            Edit(
                "io/artefacts/holdings.py",
                "named = {file.key for file in (*success.files, *success.sidecars)}",
                "named = {file.key for file in success.files}",
            ),
        ),
        (STORES,),
    ),
    Mutant(
        "sidecars-unverified",
        "an artefact is whole only with its sidecar files",
        (Edit("io/artefacts/artefacts.py", "return whole and self._has_sidecars(success)", "return whole"),),
        (STORES,),
    ),
    Mutant(
        "sidecars-not-listed",
        "an audit looks for each sidecar file, and at its size",
        (
            Edit(
                "orch/audit/places.py",
                "for file in (*success.files, *success.sidecars):",
                "for file in success.files:",
            ),
        ),
        (f"{AUDIT}::test_damage_is_found_by_its_code_and_mended_by_a_worker",),
    ),
    Mutant(
        "sidecars-not-hashed",
        "a deep audit holds each sidecar file to its digest",
        (
            Edit(
                "orch/audit/places.py",
                "if self._artefacts.digest(sidecar) != (sidecar.size, sidecar.sha256):",
                "if not sidecar.key:",
            ),
        ),
        (f"{AUDIT}::test_damage_is_found_by_its_code_and_mended_by_a_worker",),
    ),
    Mutant(
        "sidecars-anywhere",
        "a success.json names only sidecar files of its own artefact",
        (
            Edit(
                "io/artefacts/success_json.py",
                'if not is_sidecar_folder(folder, location) or name in {"", ".", ".."}:',
                "if not key:",
            ),
        ),
        (STORES,),
    ),
    Mutant(
        "sidecars-of-any-name",
        "a sidecar file has a safe name",
        (Edit("io/artefacts/sidecars.py", 'check_name("sidecar file", name)', "name"),),
        (STORES,),
    ),
    Mutant(
        "sidecars-named-as-staged",
        "no sidecar file has a name that a folder does not list",
        (Edit("io/artefacts/sidecars.py", "if _STAGED.search(check", "if not (check"),),
        (STORES,),
    ),
    Mutant(
        "two-sidecars-of-one-name",
        "a name stands for one sidecar file",
        (Edit("io/artefacts/sidecars.py", "        if known == sidecar:\n", "        if known:\n"),),
        (STORES,),
    ),
    Mutant(
        "sidecars-without-limit",
        "there are not more sidecar files than success.json can name",
        (Edit("io/artefacts/sidecars.py", "full = len(self._kept) >= MOST_FILES", "full = False"),),
        (STORES,),
    ),
    Mutant(
        "sidecar-of-others-taken-for-ours",
        "what lies under the key of a sidecar file is ours only with its content",
        (
            Edit(
                "io/artefacts/sidecars.py",
                "if there is None or there.data != data:",
                "if there is None:",
            ),
        ),
        (STORES,),
    ),
    Mutant(
        "rows-stand-without-sidecars",
        "a row is taken over only with its sidecar files",
        (Edit("io/artefacts/parts.py", "        if lost:\n", "        if lost and False:\n"),),
        (STORES,),
    ),
    Mutant(
        "sidecars-of-others-taken-over",
        "a part file names no sidecar files but those of our attempts",
        (
            Edit(
                "io/artefacts/sidecars.py",
                "if attempt_of(file.key, self._location, self._owner) is None:",
                "if not file.key:",
            ),
        ),
        (STORES,),
    ),
    Mutant(
        "rows-kept-before-sidecars",
        "a row is kept only after the sidecar files of its page are in the store",
        (
            Edit(
                "io/artefacts/parts.py",
                "        self._sidecars.settle()\n        named",
                "        named",
            ),
        ),
        ("tests/unit/test_artefacts.py::test_a_row_is_kept_after_the_sidecar_files_of_its_page",),
    ),
    Mutant(
        "one-record-for-two-attempts",
        "an attempt that ends takes only itself from the record, not a newer one at its task",
        (
            Edit(
                "core/life/standings.py",
                "before = self._by_token.pop(token, None)",
                "before = self._by_token.popitem()[1] if self._by_token else None",
            ),
        ),
        ("tests/unit/core/test_flight.py",),
    ),
)
