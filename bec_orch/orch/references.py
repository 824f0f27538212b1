"""Looks whether the folders that finished work depends on were changed: ground truth, and what a config names else.

The database knows what was there when somebody last looked, and so which work is stale by it.
"""

import json
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_worker import BlobReader
from bec_orch.core.models import VolumeRef
from bec_orch.core.references import versions
from bec_orch.core.registry import job_worker_class
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.sql_files import statements
from bec_orch.orch.done_volumes import DoneVolume, pages_of_done_volumes
from bec_orch.orch.job_admin import JobAdmin

# Listings wait for the network, not for a core.
_THREADS = 64


class References:
    """Looks after the reference folders of the jobs of one database.

    Args:
        database: where the tasks are.
        open_store: opens a store by its URL, once for each.
    """

    def __init__(self, database: Database, open_store: Callable[[str], BlobReader]) -> None:
        self._database = database
        self._open_store = open_store

    def look(self, job_name: str, only: Collection[VolumeRef] | None = None) -> None:
        """Note what lies now in the reference folders of the job's finished volumes, or of some of them.

        Asks nothing of a job whose type has no such folders.

        Raises:
            ConfigError: there is no such job, its type is not installed, or its config names no store.
            StorageError: a store is away.
        """
        job = JobAdmin(self._database).show(job_name)
        config_type = job_worker_class(job.type).config_type
        if config_type.reference_folders is JobConfig.reference_folders:
            return
        config = config_type.parse(job.config)
        for done in pages_of_done_volumes(job, self._database):
            self._note(config, [one for one in done if only is None or one.volume in only])

    def _note(self, config: JobConfig, done: Sequence[DoneVolume]) -> None:
        def version(one: DoneVolume) -> str:
            return json.dumps(versions(config.reference_folders(one.volume), self._open_store))

        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(version, done))
        named = {"task_ids": [one.task_id for one in done], "versions": found}
        with self._database.transaction("note what lies in reference folders") as connection:
            connection.execute(statements("done")["note_references"], named)
