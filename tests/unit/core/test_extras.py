"""What is told when an optional package is missing, or cannot be imported."""

import importlib
from pathlib import Path

import pytest

from bec_orch.core.extras import optional_packages, package_folder
from bec_orch.errors import ConfigError


def test_a_missing_package_is_named_and_its_error_kept() -> None:
    named = "The engine needs the package 'no_such_package'"
    with pytest.raises(ConfigError, match=named) as caught, optional_packages("The engine", "Install it."):
        importlib.import_module("no_such_package")
    assert (caught.value.code, caught.value.hint) == ("E_EXTRA_MISSING", "Install it.")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_package_that_is_there_and_cannot_be_imported_is_reported_with_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("raise ImportError('libhalf.so.5: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    why = r"cannot be imported: .*libhalf\.so\.5"
    with pytest.raises(ConfigError, match=why) as caught, optional_packages("The engine", "Install it."):
        importlib.import_module("half_installed")
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_signal_while_a_compiled_package_is_loaded_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), optional_packages("The engine", "Install it."):
        raise ImportError("initialization failed") from KeyboardInterrupt()


def test_other_errors_are_passed_on() -> None:
    with pytest.raises(ZeroDivisionError), optional_packages("The engine", "Install it."):
        raise ZeroDivisionError


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_folder("heavy") == tmp_path / "heavy"
    with pytest.raises(ModuleNotFoundError):
        package_folder("no_such_package")
