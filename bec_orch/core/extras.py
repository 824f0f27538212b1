"""Optional packages: whatever misses one says so here, with the extra to install and the import error as the cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError


@contextmanager
def optional_packages(what: str, hint: str) -> Iterator[None]:
    """Import optional packages within the block.

    Args:
        what: what needs them; begins the sentence of the error.
        hint: how to install them, such as `extra_hint` says it.

    Raises:
        ConfigError: a package is not installed, or cannot be imported (E_EXTRA_MISSING).
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise _missing(f"{what} needs the package '{error.name}', which is not installed.", hint) from error
    except ImportError as error:
        # A compiled package wraps a signal that comes while it is loaded (pybind11: "initialization failed").
        if error.__cause__ and not isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise _missing(f"{what} needs a package that cannot be imported: {said(error)}.", hint) from error


def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it, for the files that it carries.

    Raises:
        ModuleNotFoundError: it is not installed; to be called within `optional_packages`.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)
    return Path(spec.submodule_search_locations[0])


def _missing(message: str, hint: str) -> ConfigError:
    return ConfigError(message, code="E_EXTRA_MISSING", hint=hint)
