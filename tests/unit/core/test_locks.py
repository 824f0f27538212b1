"""Locks on files: who holds them, and disks on which they are worth nothing."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from bec_orch.core.life.flight import FlightRecorder, left_records
from bec_orch.core.life.standings import Standings
from bec_orch.core.locks import is_locked, open_lock, require_exclusion, try_lock
from bec_orch.errors import BecError, ConfigError
from bec_orch.io.workspace import WorkspaceLock

MISSING = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def unknown(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unknown)


def that_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


def test_one_holds_it_alone_or_several_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with open_lock(path) as first, open_lock(path) as second, open_lock(path) as third:
        assert not is_locked(path)
        assert try_lock(first)
        assert is_locked(path)
        assert not try_lock(second, shared=True)
        require_exclusion(path)
        assert try_lock(first, shared=True)
        assert try_lock(second, shared=True)
        assert not try_lock(third)
        assert not is_locked(path)


def test_who_inherits_the_open_file_holds_it_too(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with open_lock(path) as first:
        try_lock(first)
        inherited = os.dup(first.fileno())
    assert is_locked(path)
    os.close(inherited)
    assert not is_locked(path)


def test_nobody_else_may_open_it_and_no_link_is_followed(tmp_path: Path) -> None:
    with open_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        open_lock(tmp_path / "link")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("number", MISSING)
def test_a_workspace_on_a_disk_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    without_locks(monkeypatch, number)
    with pytest.raises(ConfigError, match=os.strerror(number)) as caught, WorkspaceLock(tmp_path):
        pass
    assert caught.value.code == "E_NO_LOCKS"
    assert str(tmp_path) in caught.value.message
    assert "--out DIR" in caught.value.hint


def test_a_workspace_whose_locks_keep_nobody_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    that_lie(monkeypatch)
    with pytest.raises(ConfigError, match="two held one at the same time"), WorkspaceLock(tmp_path):
        pass


@pytest.mark.parametrize("number", MISSING)
def test_a_flight_record_without_locks_is_refused_and_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    without_locks(monkeypatch, number)
    with pytest.raises(ConfigError) as caught:
        FlightRecorder(tmp_path, Standings())
    assert caught.value.code == "E_NO_LOCKS"
    assert not list(tmp_path.iterdir())


def test_a_flight_record_whose_lock_keeps_nobody_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    that_lie(monkeypatch)
    with pytest.raises(ConfigError, match="two held one at the same time"):
        FlightRecorder(tmp_path, Standings())
    assert list(left_records(tmp_path)) == []


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EPERM, "E_WORKSPACE"), (errno.EIO, "E_DISK_AWAY"), (errno.EMFILE, "E_OPEN_FILES")]
)
def test_other_faults_of_a_disk_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    without_locks(monkeypatch, number)
    with pytest.raises(BecError) as caught, WorkspaceLock(tmp_path):
        pass
    assert caught.value.code == code
