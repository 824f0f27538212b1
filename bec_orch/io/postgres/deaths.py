"""Attempts that ended with the process of their worker: recorded by whoever finds what it left."""

import dataclasses

import psycopg
from psycopg.rows import DictRow

from bec_orch.core.flight import Flight
from bec_orch.core.models import Failure
from bec_orch.io.postgres.database import Database, Row, clean_text, first, rows
from bec_orch.io.postgres.sql_files import statements

Connection = psycopg.Connection[DictRow]


class Deaths:
    """Records deaths in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("deaths")

    def record(self, flight: Flight, failure: Failure) -> bool:
        """End an attempt whose worker died; False when it had ended already, or is somebody else's by now.

        The task is queued again. When its budget is used up, it has failed for good, with one exception: where the
        last attempts all died at one page, that page is left out from now on and the budget begins anew, as long as
        no more pages are left out than the job allows to be errors.

        Raises:
            DatabaseError: the database is away.
        """
        fencing = {"task_id": flight.task_id, "attempt": flight.attempt, "token": flight.token}
        told = {key: clean_text(v) if isinstance(v, str) else v for key, v in dataclasses.asdict(failure).items()}
        with self._database.transaction(f"record the end of a worker at {flight.volume}") as connection:
            task = first(connection, self._sql["lock_attempt"], fencing)
            if task is None:
                return False
            connection.execute(self._sql["close_attempt"], {**fencing, **told, "pages": list(flight.pages)})
            self._end(connection, task, flight, told)
        return True

    def _end(self, connection: Connection, task: Row, flight: Flight, told: Row) -> None:
        charged = task["charged"] + (1 if told["charged"] else 0)
        statement = "queue_again"
        if charged >= task["max_attempts"]:
            if self._leaves_one_page_out(connection, task, flight):
                charged = 0
            else:
                statement = "give_up"
        connection.execute(self._sql[statement], {**told, "task_id": flight.task_id, "charged": charged})

    def _leaves_one_page_out(self, connection: Connection, task: Row, flight: Flight) -> bool:
        asked = {"task_id": flight.task_id, "attempt": flight.attempt, "max_attempts": task["max_attempts"]}
        deadly = rows(connection, self._sql["deadly_pages"], asked)
        allowed = task["max_page_error_rate"] * (task["nb_pages"] or 0)
        return any(page["just_now"] for page in deadly) and len(deadly) <= allowed
