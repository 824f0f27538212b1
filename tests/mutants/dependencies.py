"""The guards of jobs that need other jobs and do not wait for all of them, and of servers that answer nobody."""

from tests.mutants.mutant import Edit, Mutant

OPTIONAL = "tests/integration/test_optional_dependencies.py"

DEPENDENCIES = (
    Mutant(
        "nobody-proceeds",
        "a task waits for no dependency that it may go without",
        (Edit("io/postgres/migrations/0008_optional_dependencies.sql", "ELSE false", "ELSE true"),),
        (f"{OPTIONAL}::test_a_job_proceeds_without_what_is_not_done_and_is_stale_once_it_is",),
    ),
    Mutant(
        "fails-while-it-may-come",
        "a task fails for want of a dependency only when nobody is to make that any more",
        (
            Edit(
                "io/postgres/migrations/0008_optional_dependencies.sql",
                "WHERE asked.job_id = d.id AND asked.finished_at IS NULL)",
                "WHERE asked.job_id = d.id AND asked.finished_at IS NULL AND false)",
            ),
        ),
        (f"{OPTIONAL}::test_a_task_waits_for_what_may_still_come_and_fails_with_it",),
    ),
    Mutant(
        "failed-dependency-releases-nobody",
        "what fails with a dependency is released by the end of that",
        (Edit("io/postgres/tasks.py", "if verdict.state is not TaskState.TERMINAL_FAILED:", "if verdict:"),),
        (f"{OPTIONAL}::test_a_task_waits_for_what_may_still_come_and_fails_with_it",),
    ),
    Mutant(
        "gone-passes-for-missing",
        "an artefact that is done and gone is waited for, and not gone without",
        (Edit("core/life/resolving.py", "if job not in given_up]", "if job not in claim.job.if_missing]"),),
        (f"{OPTIONAL}::test_an_artefact_that_is_done_and_gone_is_waited_for_whatever_the_policy",),
    ),
    Mutant(
        "missing-is-not-recorded",
        "what was gone without stands among the inputs",
        (
            Edit(
                "core/life/resolving.py",
                "{name: inputs[name].files[0].key if name in inputs else MISSING for name in job.depends_on}",
                "{name: success.files[0].key for name, success in inputs.items()}",
            ),
        ),
        (f"{OPTIONAL}::test_a_job_proceeds_without_what_is_not_done_and_is_stale_once_it_is",),
    ),
    Mutant(
        "older-version-is-left",
        "an optional dependency that was done for an older version gets a task of the new one",
        (
            Edit(
                "io/postgres/tasks.py",
                "self._add_outdated_dependencies(connection, task, manifest_etag)\n        if not",
                "if not",
            ),
        ),
        (f"{OPTIONAL}::test_what_was_done_for_an_older_version_only_is_done_anew",),
    ),
    Mutant(
        "reader-goes-without-what-it-reads",
        "a type that reads what another type leaves cannot go without that",
        (Edit("orch/job_admin.py", "self._jobs.job(name).type in needs", "self._jobs.job(name).type not in needs"),),
        ("tests/acceptance/test_cli_jobs_graph.py::test_what_cannot_be_is_refused",),
    ),
    Mutant(
        "silent-server-blames-pages",
        "a server that answers nobody makes no page an error",
        (
            Edit(
                "jobs/pipeline/requests.py", "self._throttle.answered > answered", "self._throttle.answered >= answered"
            ),
        ),
        ("tests/unit/test_requests.py::test_a_server_that_answers_nobody_is_no_fault_of_the_pages",),
    ),
)
