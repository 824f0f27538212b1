"""The guards of the database's time, locks and plans, and of what says where it is."""

from tests.mutants.mutant import Edit, Mutant

_CONNECTION = "io/postgres/connection.py"
_DATABASE = "io/postgres/database.py"
_PLANS = "io/postgres/migrations/0007_plans.sql"
_DATABASE_TESTS = "tests/integration/test_database.py"
_RETRIES = "tests/unit/core/test_retries.py"
_ENQUEUE = "orch/backlog/enqueue.py"
_BACKLOG = "io/postgres/backlog.py"

_LIMITS = "tests/integration/test_db_limits.py"
_PLAN_TESTS = "tests/integration/test_plans.py"
_OUTBOX = "tests/integration/test_enqueue.py::TestOutbox"
_LIBPQ = "tests/integration/test_libpq_environment.py"

LIMITS = (
    Mutant(
        "no-statement-timeout",
        "the server ends a statement that takes too long, before its client stops waiting",
        (
            Edit(
                _CONNECTION,
                '        "statement_timeout": connection.answer_within * _STATEMENT_SHARE,\n',
                "",
            ),
        ),
        (f"{_LIMITS}::TestSlow",),
    ),
    Mutant(
        "no-lock-timeout",
        "a lock is not waited for for as long as a statement may take",
        (Edit(_CONNECTION, '        "lock_timeout": lock_within * _LOCK_SHARE,\n', ""),),
        (f"{_LIMITS}::TestSlow",),
    ),
    Mutant(
        "one-time-for-all",
        "what goes over a whole archive has longer",
        (
            Edit(
                _DATABASE,
                "_LONG if long else self._answer_within",
                "self._answer_within if long else self._answer_within",
            ),
        ),
        (f"{_LIMITS}::TestSlow",),
    ),
    Mutant(
        "nobody-looks-after-clients",
        "a statement whose client is gone ends at the server",
        (Edit(_CONNECTION, "        connection.checks_client = True\n", "        connection.checks_client = False\n"),),
        (f"{_LIMITS}::TestClientGone",),
    ),
    Mutant(
        "older-servers-refused",
        "a server that cannot look after its clients is used without that",
        (Edit(_CONNECTION, "except (psycopg.ProgrammingError, psycopg.DataError):", "except ZeroDivisionError:"),),
        (f"{_LIMITS}::TestClientGone",),
    ),
    Mutant(
        "limits-of-the-session",
        "limits are those of a transaction, wherever a pooler runs it",
        (Edit("io/postgres/connection.sql", "set_config(name, value, true)", "set_config(name, value, false)"),),
        (f"{_LIMITS}::TestPooler",),
    ),
    Mutant(
        "slow-is-away",
        "a statement that took too long is distinguished from a database that is away",
        (Edit("io/postgres/errors.py", '("57014", SLOW, _TOO_SLOW)', '("57014", AWAY, _TOO_SLOW)'),),
        (f"{_LIMITS}::TestSlow",),
    ),
    Mutant(
        "plans-by-the-job",
        "the tasks of a volume are looked up by the volume, whatever the planner believes",
        (Edit(_PLANS, "WHERE volume_id = $1 OFFSET 0", "WHERE volume_id = $1"),),
        (_PLAN_TESTS,),
    ),
    Mutant(
        "renewals-through-an-index",
        "a renewal of a lease changes no index",
        (Edit(_PLANS, "DROP INDEX tasks_lease_ix;\n", ""),),
        (_PLAN_TESTS,),
    ),
    Mutant(
        "sorted-before-verified",
        "what maintenance looks at next is found without sorting all",
        (Edit(_PLANS, "verified_at NULLS FIRST, id)", "verified_at NULLS FIRST)"),),
        (_PLAN_TESTS,),
    ),
    Mutant(
        "planner-left-alone",
        "the planner learns of many new tasks",
        (Edit(_ENQUEUE, "                self._backlog.renew_statistics()\n", ""),),
        (_OUTBOX,),
    ),
    Mutant(
        "volumes-locked-crosswise",
        "two enqueueings of the same volumes follow each other",
        (Edit(_BACKLOG, '    connection.execute(sql["lock_volumes"])\n', ""),),
        (_OUTBOX,),
    ),
    Mutant(
        "one-portion-for-all",
        "volumes are enqueued a portion at a time",
        (Edit(_ENQUEUE, "batches(volumes, _VOLUMES_AT_ONCE)", "batches(volumes, len(volumes) or 1)"),),
        (_OUTBOX,),
    ),
    Mutant(
        "libpqs-environment",
        "no variable of libpq reaches a connection",
        (Edit(_CONNECTION, "        os.environ.pop(name, None)\n", "        os.environ.get(name)\n"),),
        (_LIBPQ,),
    ),
    Mutant(
        "pgpass-is-read",
        "no password is taken from the home of the user",
        (Edit(_CONNECTION, '{"passfile": _NO_PASSFILE, **given}', "given"),),
        (_LIBPQ,),
    ),
    Mutant(
        "text-as-it-comes",
        "text that PostgreSQL cannot hold is escaped on every way to it",
        (Edit("io/postgres/adapters.py", "ADAPTERS.register_dumper(str, _FitStrDumper)\n", ""),),
        (_DATABASE_TESTS,),
    ),
    Mutant(
        "no-row-is-no-fault",
        "a row that must be there and is not is a fault",
        (Edit("io/postgres/rows.py", "    if row is None:\n", "    if not sql:\n"),),
        (_DATABASE_TESTS,),
    ),
    Mutant(
        "uncharged-failure-ends-task",
        "a failure that is not charged never ends a task",
        (Edit("core/retries.py", "failure.retryable and failure.charged and", "failure.retryable and"),),
        (_RETRIES,),
    ),
    Mutant(
        "backoff-without-a-floor",
        "half of a backoff is never left out",
        (Edit("core/retries.py", "random.uniform(0.5, 1.0)", "random.uniform(0.0, 1.0)"),),
        (_RETRIES,),
    ),
)
