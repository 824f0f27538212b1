"""The guards of moving in from the earlier system: nothing of its is changed, and nothing is believed unseen."""

from tests.mutants.mutant import Edit, Mutant

_LINES = "tests/acceptance/test_cli_earlier_lines.py"
_MOVING = "tests/acceptance/test_cli_moving_in.py"
_ONCE = f"{_MOVING}::TestTakingOver::test_jobs_volumes_and_finished_work_are_taken_once"
_SQL = "io/postgres/taking_over.sql"
_OURS = "tests/unit/test_cli_composition.py"

MOVING_IN = (
    Mutant(
        "the-other-side-may-be-written",
        "the earlier system's database is opened to be read alone",
        (
            Edit("io/postgres/earlier.py", '    connection.execute(statements("earlier")["read_only"])\n', ""),
            Edit("io/postgres/earlier.py", "    connection.read_only = True\n", ""),
        ),
        (f"{_MOVING}::TestTheOtherSide::test_its_session_may_only_read",),
    ),
    Mutant(
        "its-tables-are-migrated",
        "no migration begins in a database that holds the earlier system's tables",
        (Edit("io/postgres/migrate.py", "    if strangers:\n", "    if strangers is None:\n"),),
        (f"{_MOVING}::TestItsDatabase::test_init_says_what_it_found_and_touches_nothing",),
    ),
    Mutant(
        "work-is-taken-over-unseen",
        "finished work of the earlier system is taken over only where its artefact is seen, with its rows",
        (
            Edit(
                "orch/earlier/taking_over.py",
                "        rows = self._artefacts.rows(found)\n",
                "        rows = self._artefacts.rows(found) or task.pages\n",
            ),
        ),
        (f"{_MOVING}::TestLeftOut::test_an_artefact_without_its_rows_leaves_its_task_out",),
    ),
    Mutant(
        "pages-without-a-row-are-taken-over",
        "finished work of the earlier system is taken over only with a row for each page that it counted",
        (Edit("orch/earlier/taking_over.py", "if told not in {None, rows}:", "if told is rows is None:"),),
        (f"{_MOVING}::TestLeftOut::test_each_hostile_record_is_left_out_by_its_code",),
    ),
    Mutant(
        "work-is-taken-over-twice",
        "a version of which there is a task already is not taken over again",
        (Edit(_SQL, "trim(BOTH '\"' FROM i.manifest_etag)) THEN 'there'", "i.manifest_etag || 'x') THEN 'there'"),),
        (_ONCE,),
    ),
    Mutant(
        "work-is-taken-over-beside-a-task",
        "where a task of the volume goes on here, nothing is recorded beside it",
        (Edit(_SQL, "x.finished_at IS NULL) THEN 'unfinished'", "x.finished_at IS NULL AND false) THEN 'unfinished'"),),
        (f"{_MOVING}::TestTakingOver::test_what_goes_on_here_goes_on",),
    ),
    Mutant(
        "work-of-others-is-our-throughput",
        "work that was taken over says nothing of the pace here",
        (Edit(_SQL, "finished_at, 'adopted'", "finished_at, 'done'"),),
        (f"{_MOVING}::TestTakingOver::test_work_that_ended_just_now_is_no_throughput_of_ours",),
    ),
    Mutant(
        "counters-of-others-are-ours",
        "counters whose meaning is not known do not come into our figures",
        (Edit("orch/earlier/taking_over.py", "replace(result, counters={})", "result"),),
        (f"{_MOVING}::TestLeftOut::test_what_others_count_does_not_come_into_our_figures",),
    ),
    Mutant(
        "a-dry-run-takes-over",
        "a dry run changes nothing",
        (
            Edit(
                "io/postgres/taking_over.py",
                '            added = connection.execute(statements("taking_over")["add_volumes"]).rowcount\n            if dry_run:\n',
                '            added = connection.execute(statements("taking_over")["add_volumes"]).rowcount\n            if not volumes:\n',
            ),
        ),
        (f"{_MOVING}::TestTakingOver::test_a_dry_run_changes_nothing",),
    ),
    Mutant(
        "our-password-goes-anywhere",
        "our database's password is sent to our own server alone",
        (Edit("cli/composition/earlier.py", "own_password(settings) if is_ours else None", "own_password(settings)"),),
        (f"{_OURS}::test_our_password_goes_nowhere_else",),
    ),
    Mutant(
        "passwords-in-connection-strings",
        "a connection string with a password is refused",
        (
            Edit("io/postgres/earlier.py", '    if "password" in found:\n', "    if not found:\n"),
            Edit("io/postgres/earlier.py", "    if not found.keys() <= set(_KEYWORDS):\n", "    if not found:\n"),
        ),
        (f"{_MOVING}::TestTheOtherSide::test_what_cannot_be_connected_to_is_reported_without_secrets",),
    ),
    Mutant(
        "numbers-name-jobs-to-be-deleted",
        "a job is named, not numbered, where it is changed or deleted",
        (
            Edit(
                "cli/arguments/earlier.py",
                '    ("jobs", "delete"): _Form(numbered="change"),',
                '    ("jobs", "delete"): _Form(numbered="look"),',
            ),
        ),
        (f"{_LINES}::test_what_cannot_mean_the_same_says_what_to_write",),
    ),
)
