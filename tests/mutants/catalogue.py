"""The guards of the program, each taken away by a small edit, and the tests that must notice.

The first twelve are the guards without which a queue of tasks is not safe; the others are those that this one adds.
"""

from dataclasses import dataclass

MODEL = "tests/model/test_life_of_a_task.py"
STORE = "tests/integration/test_db.py"
RUNTIME = "tests/integration/test_worker_runtime.py"
ENQUEUE = "tests/integration/test_enqueue.py"
LEASE = "tests/unit/core/test_lease.py"
OUTLETS = "tests/unit/test_cli_outlets.py"
SIGNALS = "tests/unit/test_cli_signals.py"
SUPERVISION = "tests/integration/test_supervision.py"

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
        (f"{SUPERVISION}::test_a_process_that_dies_while_it_tells_its_report_is_one_that_died",),
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
        (Edit("orch/post_mortem.py", "    charged=False,\n", ""),),
        ("tests/integration/test_deaths.py",),
    ),
    Mutant(
        "uncharged-deaths-count",
        "only deaths that are charged leave a page out",
        (Edit("io/postgres/sql/deaths.sql", " AND a.charged\n", "\n"),),
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
                "core/worker_runtime.py",
                "if end.failure is None or end.outcome is AttemptOutcome.TERMINAL_FAILED:",
                "if end.failure is None:",
            ),
        ),
        ("tests/unit/core/test_tally.py",),
    ),
    Mutant(
        "second-signal-interrupts",
        "signals that follow the first disturb nobody who closes things",
        (Edit("cli/interrupts.py", "if time.monotonic() >= self._deaf_until:", "if time.monotonic() >= 0.0:"),),
        (SIGNALS,),
    ),
    Mutant(
        "lost-interrupt-stays-lost",
        "an interrupt that a destructor swallows comes again",
        (Edit("cli/interrupts.py", "    sys.unraisablehook = INTERRUPTS.lost\n", ""),),
        (f"{SIGNALS}::test_an_interrupt_that_a_destructor_swallows_comes_again",),
    ),
    Mutant(
        "deaf-while-importing",
        "a signal while modules are imported ends the program in order",
        (Edit("cli/main.py", "    interrupts.exit_at_once(interrupted)\n", ""),),
        (f"{SIGNALS}::test_a_signal_while_modules_are_imported",),
    ),
    Mutant(
        "python-leaves",
        "a signal on the way out changes no exit code",
        (
            Edit(
                "cli/interrupts.py",
                'all that it printed is printed."""\n    os._exit(code)',
                'over."""\n    sys.exit(code)',
            ),
        ),
        (f"{SIGNALS}::test_a_signal_on_the_way_out_changes_no_exit_code",),
    ),
    Mutant(
        "server-hears-ctrl-c",
        "Ctrl-C at a terminal does not reach what stops the embedded server",
        (Edit("io/postgres/programs.py", "            start_new_session=True,\n", ""),),
        ("tests/acceptance/test_cli_signals.py::test_no_number_of_signals_changes_how_a_run_ends",),
    ),
    Mutant(
        "stop-forgotten",
        "a task that began to stop has stopped, whatever is renewed then",
        (Edit("core/stop.py", "self._told = self._told or self._reason_now()", "self._told = self._reason_now()"),),
        (LEASE,),
    ),
    Mutant(
        "gone-reader-is-a-fault",
        "what nobody can read any more goes nowhere",
        (Edit("cli/outlets.py", "except BrokenPipeError:", "except TypeError:"),),
        (OUTLETS,),
    ),
    Mutant(
        "unread-log-stops-all",
        "a log that nobody reads holds nobody up",
        (
            Edit(
                "cli/outlets.py",
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
        "an address space that is too small is told before libraries crash",
        (Edit("cli/commands.py", "    require_address_space(LEAST_ADDRESS_SPACE)\n", ""),),
        ("tests/acceptance/test_cli_limits.py::test_a_small_address_space_is_told_before_libraries_crash",),
    ),
    Mutant(
        "threads-not-tried",
        "threads that the system does not give are told before libraries crash",
        (Edit("cli/commands.py", "    require_threads()\n", ""),),
        ("tests/unit/test_cli_main.py::test_threads_that_the_system_does_not_give_are_told_before_libraries_crash",),
    ),
    Mutant(
        "folder-gone-is-a-fault",
        "a current folder that is gone is told as such",
        (Edit("cli/surroundings.py", "and _current_folder_is_gone():", "and False:"),),
        ("tests/acceptance/test_cli_limits.py::test_a_command_that_needs_the_current_folder_tells_that_it_is_gone",),
    ),
)
