"""The rights of workers on the database: what deploy/ gives is what they need, and nothing else can be done with it.

That it is enough is shown by the other tests of tasks, deaths and queues, whose workers all connect as this user.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql as sqls

from bec_orch.core.records.checks import WORKER, require_worker_rights
from bec_orch.core.tasks import Job
from bec_orch.errors import DatabaseRefused
from bec_orch.io.postgres.checks import PgChecks
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.migrate import migrate, migrations
from bec_orch.io.postgres.rights import connected, rights_of
from bec_orch.orch.doctor.checks import Level
from bec_orch.orch.doctor.fleet import check_database_users
from bec_orch.orch.job_admin import JobAdmin
from tests.conftest import GRANTS, WORKER_USER
from tests.integration.conftest import Sql

OF_QUEUES = "DELETE on queue_messages"


def give(conninfo: str, *files: Path) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for file in files:
            connection.execute(file.read_bytes())


def test_what_deploy_grants_is_what_a_worker_needs(database: Database) -> None:
    found = rights_of(database, WORKER_USER, with_queue=True)

    assert (found.exists, found.powers, found.missing, found.beyond) == (True, (), (), ())


def test_where_queues_are_on_sqs_a_worker_needs_no_table_of_messages(database: Database, conninfo: str) -> None:
    assert OF_QUEUES in rights_of(database, WORKER_USER, with_queue=False).beyond

    give(conninfo, GRANTS[0])

    alone = rights_of(database, WORKER_USER, with_queue=False)
    assert (alone.missing, alone.beyond) == ((), ())
    assert OF_QUEUES in rights_of(database, WORKER_USER, with_queue=True).missing


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM tasks",
        "DELETE FROM task_attempts",
        "DELETE FROM jobs",
        "TRUNCATE tasks CASCADE",
        "DROP TABLE tasks",
        "ALTER TABLE tasks ADD COLUMN more text",
        "CREATE TABLE more (id integer)",
        "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "CREATE TRIGGER more BEFORE INSERT ON tasks EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "INSERT INTO jobs (name, type, config_hash) VALUES ('theirs', 'ldv1', '')",
        "UPDATE jobs SET config = '{}'",
        "UPDATE jobs SET max_attempts = 1000",
        "UPDATE jobs SET deleted_at = now()",
        "INSERT INTO job_dependencies SELECT min(id), max(id) FROM jobs",
        "DELETE FROM job_dependencies",
        "UPDATE tasks SET job_id = 1, volume_id = 1",
        "UPDATE tasks SET uid = gen_random_uuid()",
        "UPDATE tasks SET force = true",
        "UPDATE volumes SET source = 'folder+file:///etc'",
        "UPDATE task_attempts SET config = '{}'",
        "UPDATE workers SET host = 'another'",
        "SELECT body FROM rejected_messages",
        "SELECT host FROM workers",
        "SELECT metrics FROM task_attempts",
        "INSERT INTO schema_migrations (version, name) VALUES (99, 'theirs')",
        "DELETE FROM schema_migrations",
        "SELECT passwd FROM pg_shadow",
        "COPY tasks TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE more SUPERUSER",
        "SET ROLE pg_write_server_files",
    ],
)
def test_a_stolen_password_of_a_worker_does_not_do(worker_database: Database, job: Job, statement: str) -> None:
    assert job.id
    with pytest.raises(DatabaseRefused) as refused, worker_database.transaction("try") as connection:
        connection.execute(statement.encode())

    assert refused.value.code == "E_DB_RIGHTS"


def test_a_worker_cannot_bring_the_schema_up_or_delete_a_job(
    worker_database: Database, add_job: Callable[..., Job], sql: Sql
) -> None:
    add_job("lines")
    sql("DELETE FROM schema_migrations WHERE version = %s", migrations()[-1].version)
    for forbidden in (
        lambda: migrate(worker_database),
        lambda: JobAdmin(PgJobs(worker_database)).delete("lines"),
    ):
        with pytest.raises(DatabaseRefused) as refused:
            forbidden()
        assert refused.value.code == "E_DB_RIGHTS"


def test_a_worker_whose_user_lacks_a_right_learns_which(worker_database: Database, sql: Sql) -> None:
    require_worker_rights(PgChecks(worker_database), with_queue=True)
    sql(f"REVOKE UPDATE (state) ON tasks FROM {WORKER_USER}")
    sql(f"REVOKE ALL ON missing_dependencies FROM {WORKER_USER}")

    with pytest.raises(DatabaseRefused) as refused:
        require_worker_rights(PgChecks(worker_database), with_queue=True)

    assert refused.value.code == "E_DB_RIGHTS"
    assert f"The database user {WORKER_USER} lacks rights that a worker needs: " in refused.value.message
    assert "SELECT on missing_dependencies (" in refused.value.message
    assert "UPDATE on tasks (state)" in refused.value.message
    assert "deploy/worker-grants.sql" in refused.value.hint


class TestDoctor:
    def look(self, database: Database, of_machines: str = WORKER_USER) -> list[tuple[str, Level, str]]:
        found = check_database_users(PgChecks(database), of_machines, with_queue=True, local=False)
        return [(one.check, one.level, one.message) for one in found]

    def test_the_owner_is_shown_the_user_of_new_machines(self, database: Database) -> None:
        told = "may do what a worker needs, and nothing else"
        assert self.look(database) == [(f"database user {WORKER_USER}", Level.OK, told)]

    def test_a_worker_learns_of_itself(self, worker_database: Database, sql: Sql) -> None:
        assert [level for _, level, _ in self.look(worker_database, "another")] == [Level.OK]
        sql(f"REVOKE UPDATE (lease_expires_at) ON tasks FROM {WORKER_USER}")
        [(check, level, message)] = self.look(worker_database, "another")
        assert (check, level) == (f"database user {WORKER_USER}", Level.FAIL)
        assert message == "lacks rights that a worker needs: UPDATE on tasks (lease_expires_at)"

    def test_a_user_that_is_not_there_is_reported(self, database: Database) -> None:
        [(check, level, message)] = self.look(database, "nobody")
        assert (check, level) == ("database user nobody", Level.WARN)
        assert message.startswith("there is none: workers would connect as ")

    def test_rights_beyond_the_need_are_reported(self, database: Database, sql: Sql) -> None:
        sql(f"GRANT DELETE, UPDATE (config) ON jobs TO {WORKER_USER}")
        [(_, level, message)] = self.look(database)
        assert level is Level.WARN
        assert message == "this user may do what no worker needs: DELETE on jobs; UPDATE on jobs (config)"

    def test_a_worker_that_is_connected_as_the_owner_is_reported(self, database: Database, conninfo: str) -> None:
        with Database(conninfo, application=WORKER) as as_owner, as_owner.transaction("work"):
            found = connected(database)
            [(check, level, message)] = self.look(database)
        assert found.is_owner
        assert found.workers == (found.user,)
        assert (check, level) == (f"database user {found.user}", Level.WARN)
        assert message.startswith("a worker is connected as this user, who may do what no worker needs: is a superuser")

    def test_on_this_machine_nobody_is_warned(self, database: Database) -> None:
        [found] = check_database_users(PgChecks(database), "nobody", with_queue=True, local=True)
        assert found.level is Level.OK


@pytest.fixture
def owned(conninfo: str) -> Iterator[str]:
    """A role that owns the tables without being a superuser, and of which the workers' user is a member."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE ROLE keeper_of_tables")
        connection.execute("ALTER TABLE tasks OWNER TO keeper_of_tables")
        connection.execute(sqls.SQL("GRANT keeper_of_tables TO {}").format(sqls.Identifier(WORKER_USER)))
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        yield "keeper_of_tables"
        connection.execute("REASSIGN OWNED BY keeper_of_tables TO CURRENT_USER")
        connection.execute("DROP ROLE keeper_of_tables")


def test_a_member_of_the_owner_counts_as_the_owner(database: Database, owned: str) -> None:
    found = rights_of(database, WORKER_USER, with_queue=True)

    assert owned
    assert found.powers == ("owns the tables", "may make tables")


def test_the_grants_can_be_given_again_and_take_back_what_was_given_otherwise(
    conninfo: str, database: Database, sql: Sql
) -> None:
    sql(f"GRANT ALL ON tasks TO {WORKER_USER}")
    give(conninfo, *GRANTS)

    found = rights_of(database, WORKER_USER, with_queue=True)
    assert (found.missing, found.beyond) == ((), ())
