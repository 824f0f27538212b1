"""Looks whether the folders that finished work depends on were changed: ground truth, and what else a config names.

The database knows what was there when somebody last looked, and so which work is stale by it.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from bec_orch.core.by_name import composed
from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_types.references import versions
from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.ports.job_worker import BlobReader, StoredListing
from bec_orch.core.records.overview import DoneVolume, Overview
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import StorageError

# Listings wait for the network, not for a core.
_THREADS = 64
_NAME = re.compile(r"\{w_id\}|\{i_id\}")


class References:
    """Looks after the reference folders of the jobs of one database.

    Args:
        overview: knows the work that is finished.
        open_store: opens a store by its URL, once for each.
    """

    def __init__(self, overview: Overview, open_store: Callable[[str], BlobReader]) -> None:
        self._overview = overview
        self._open_store = open_store

    def look(self, job_name: str, only: Collection[VolumeRef] | None = None) -> None:
        """Note what lies now in the reference folders of the job's finished volumes, or of some of them.

        Asks nothing of a job whose type has no such folders.

        Raises:
            ConfigError: there is no such job, its type is not installed, or its config names no store.
            StorageError: a store is away.
        """
        job = self._overview.job(job_name)
        config_type = job_worker_class(job.type).config_type
        if config_type.reference_folders is JobConfig.reference_folders:
            return
        config = config_type.parse(job.config)
        for done in self._overview.done_volumes(job):
            self._note(config, [one for one in done if only is None or one.volume in only])

    def of_no_volume(self, job_name: str, volumes: Collection[VolumeRef] | None = None) -> list[str]:
        """List the reference folders that belong to none of some volumes, or to none that the job has done, sorted.

        Names are compared by NFC. Folders in which nothing lies, or that may not be listed, are passed over.

        Raises:
            ConfigError: there is no such job, its type is not installed, or its config names no store.
            StorageError: a store is away.
        """
        job = self._overview.job(job_name)
        config = job_worker_class(job.type).config_type.parse(job.config)
        template = config.reference_template()
        if template is None:
            return []
        store = self._open_store(template.store)
        done = (one.volume for some in self._overview.done_volumes(job) for one in some)
        known = {
            composed(folder.path)
            for volume in (done if volumes is None else volumes)
            for folder in config.reference_folders(volume)
        }
        alone = [folder for folder in _filled(store, template.path) if composed(folder) not in known]
        return sorted(folder for folder, listed in _listings(store, alone) if listed.objects)

    def _note(self, config: JobConfig, done: Sequence[DoneVolume]) -> None:
        def version(one: DoneVolume) -> str:
            return json.dumps(versions(config.reference_folders(one.volume), self._open_store))

        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(version, done))
        self._overview.note_references({one.task_id: what for one, what in zip(done, found, strict=True)})


def _filled(store: BlobReader, template: str) -> Sequence[str]:
    """Return the folders of a store that a template with `{w_id}` and `{i_id}` may stand for."""
    found = [""]
    for segment in template.split("/"):
        name = re.compile(".+".join(map(re.escape, _NAME.split(segment))))
        found = [
            f"{folder}/{below}" if folder else below
            for folder, listed in _listings(store, found)
            for below in listed.folders
            if name.fullmatch(below) and not below.startswith(".")
        ]
    return found


def _listings(store: BlobReader, folders: Sequence[str]) -> list[tuple[str, StoredListing]]:
    """List folders; those that may not be listed are passed over, such as `lost+found` of a disk."""

    def listed(folder: str) -> StoredListing | None:
        try:
            return store.list(folder)
        except StorageError as error:
            if error.code != "E_STORAGE_DENIED":
                raise
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        return [(folder, found) for folder, found in zip(folders, pool.map(listed, folders), strict=True) if found]
