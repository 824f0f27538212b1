"""Guards of the command line: what it makes, asks, masks and draws."""

from tests.mutants.mutant import Edit, Mutant

MAIN = "tests/unit/test_cli_main.py"
PROGRESS = "tests/unit/test_cli_progress.py"
OPERATORS = "tests/acceptance/test_cli_operators.py"
DISCOVERY = "tests/integration/test_discovery.py"

WORDS = (
    Mutant(
        "look-makes-a-home",
        "a command that looks makes no database",
        (Edit("cli/composition/database.py", "    if not make_home:\n        require_home(settings)\n", ""),),
        (f"{MAIN}::test_the_homes_that_are_there_are_named",),
    ),
    Mutant(
        "deletes-unasked",
        "unfinished work is canceled only after a question",
        (Edit("cli/jobs/commands.py", "        if unfinished:\n", "        if False:\n"),),
        (f"{OPERATORS}::test_volumes_are_enqueued_from_a_list_or_reported_with_why_not",),
    ),
    Mutant(
        "later-jobs-unseen",
        "what a later job of a chain lacks is reported before the first page",
        (Edit("cli/run/path.py", "        require_loadable(parts, one.type, one.config)\n", "        pass\n"),),
        ("tests/acceptance/test_cli_jobs_graph.py::test_what_a_later_job_lacks_is_reported_before_the_first_page",),
    ),
    Mutant(
        "adopted-is-speed",
        "what was taken over says nothing of the pace",
        (Edit("io/postgres/overview.sql", "AND a.outcome = 'adopted')", "AND a.outcome = 'lost')"),),
        (f"{DISCOVERY}::TestStats",),
    ),
    Mutant(
        "skipped-is-speed",
        "a page that is skipped is not computed",
        (Edit("cli/terminal/progress.py", " - self._skipped.get(task, 0))", ")"),),
        (f"{PROGRESS}::test_pages_that_are_skipped_or_taken_over_are_no_speed",),
    ),
    Mutant(
        "dry-redrive-resets",
        "a dry run of a redrive changes nothing",
        (Edit("io/postgres/backlog.py", "                connection.rollback()\n", "                pass\n"),),
        (f"{DISCOVERY}::TestRedrive",),
    ),
    Mutant(
        "limited-redrive-moves-all",
        "a limited redrive moves no dead letter but those of its tasks",
        (Edit("orch/backlog/redrive.py", "if limit is not None or not _concerns", "if not _concerns"),),
        (f"{DISCOVERY}::TestRedrive",),
    ),
    Mutant(
        "short-secrets-masked",
        "a secret of few letters is not masked in the middle of words",
        (Edit("settings/logging_setup.py", "if len(secret) >= LEAST_HIDDEN", "if secret"),),
        ("tests/unit/test_logging.py::test_a_secret_of_few_letters_spoils_no_words",),
    ),
    Mutant(
        "copies-of-the-bar",
        "a bar leaves no copy of itself where the terminal becomes narrower",
        (Edit("cli/terminal/progress.py", "range((before - 1) // self._width)", "range(0)"),),
        (f"{PROGRESS}::test_a_bar_on_a_terminal_that_becomes_narrower_leaves_no_copy",),
    ),
)
