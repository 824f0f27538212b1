"""The versions of reference folders: what changes them, and what does not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from bec_orch.core.job_config import JobConfig, ReferenceFolder
from bec_orch.core.job_types.references import versions
from bec_orch.core.ports.job_worker import no_stores
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError, StorageError
from bec_orch.io.stores.storage import Stores

T = TypeVar("T")

FOLDER = ReferenceFolder("memory://truth/", "W1/I1")


@dataclass(frozen=True)
class _Entry:
    name: str
    etag: str

    @property
    def key(self) -> str:
        return f"W1/I1/{self.name}"


@dataclass(frozen=True)
class _Store:
    objects: tuple[_Entry, ...]
    folders: tuple[str, ...] = ()

    def list(self, prefix: str) -> "_Store":
        assert prefix == "W1/I1"
        return self

    def surely(self, look: Callable[[], T]) -> T:
        return look()

    def read(self, key: str, *, limit: int | None = None) -> None:
        raise AssertionError(f"{key} was read, up to {limit}")


def version(*entries: tuple[str, str]) -> str:
    stores = {"memory://truth/": _Store(tuple(_Entry(*entry) for entry in entries))}
    found = versions([FOLDER], stores.__getitem__)
    assert list(found) == ["memory://truth/W1/I1"]
    return found[FOLDER.url]


def test_a_version_is_of_names_and_etags_in_whatever_order() -> None:
    assert version(("a", "1"), ("b", "2")) == version(("b", "2"), ("a", "1"))


def test_every_change_is_another_version() -> None:
    listings = [(), (("a", "1"),), (("a", "2"),), (("b", "1"),), (("a", "1"), ("b", "1"))]
    assert len({version(*listing) for listing in listings}) == len(listings)


def test_a_store_with_nothing_in_it_is_away() -> None:
    stores = Stores()
    with pytest.raises(StorageError) as caught:
        versions([FOLDER], stores.open)
    assert caught.value.code == "E_STORAGE_EMPTY"
    stores.open("memory://truth/").create("W2/I1/1.txt", b"")
    none = versions([FOLDER], stores.open)[FOLDER.url]
    stores.open("memory://truth/").create("W1/I1/1.txt", b"")
    assert versions([FOLDER], stores.open)[FOLDER.url] != none


def test_most_configs_have_no_folders_and_open_no_store() -> None:
    assert versions(JobConfig().reference_folders(VolumeRef("W1", "I1", "s")), no_stores) == {}
    with pytest.raises(ConfigError):
        versions([FOLDER], no_stores)
