"""Attempts that ended with the process of their worker: recorded by whoever finds what it left."""

import dataclasses

from typing_extensions import override

from bec_orch.core.life.flight import Flight
from bec_orch.core.records.deaths import Deaths
from bec_orch.core.retries import Verdict, after_loss
from bec_orch.core.tasks import Failure, TaskState
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.rows import Connection, Row, first, rows
from bec_orch.io.postgres.sql_files import statements


class PgDeaths(Deaths):
    """Records deaths in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def record(self, flight: Flight, failure: Failure) -> bool:
        sql = statements("deaths")
        fencing = {"task_id": flight.task_id, "attempt": flight.attempt, "token": flight.token}
        with self._database.transaction(f"record the end of a worker at {flight.volume}") as connection:
            task = first(connection, sql["lock_attempt"], fencing)
            if task is None:
                return False
            told = dataclasses.asdict(failure)
            connection.execute(sql["close_attempt"], {**fencing, **told, "pages": list(flight.pages)})
            verdict = after_loss(failure, task["charged"], task["max_attempts"])
            if verdict.state is TaskState.TERMINAL_FAILED and _leaves_one_page_out(connection, task, flight):
                verdict = Verdict(TaskState.QUEUED, 0, failure.code, failure.message)
            statement = "give_up" if verdict.state is TaskState.TERMINAL_FAILED else "queue_again"
            connection.execute(sql[statement], {**told, **dataclasses.asdict(verdict), "task_id": flight.task_id})
        return True

    @override
    def end_worker(self, worker_id: str, code: str) -> None:
        with self._database.transaction(f"record the death of the worker {worker_id}") as connection:
            connection.execute(statements("deaths")["end_worker"], {"worker_id": worker_id, "reason": f"died: {code}"})


def _leaves_one_page_out(connection: Connection, task: Row, flight: Flight) -> bool:
    asked = {"task_id": flight.task_id, "attempt": flight.attempt, "max_attempts": task["max_attempts"]}
    deadly = rows(connection, statements("deaths")["deadly_pages"], asked)
    allowed = task["max_page_error_rate"] * (task["nb_pages"] or 0)
    return any(page["just_now"] for page in deadly) and len(deadly) <= allowed
