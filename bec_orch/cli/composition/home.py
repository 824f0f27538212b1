"""The home: the folder of local mode, with the embedded database and the files of running attempts."""

import os
from pathlib import Path

from bec_orch.core.names import printable
from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError
from bec_orch.settings.config import Settings

# So many folders that have a database are named where one was asked for that has none.
_HOMES = 5


def require_home(settings: Settings) -> None:
    """See that the database of local mode was made, if it is what the settings name.

    Raises:
        ConfigError: it was not (E_HOME_MISSING).
    """
    if settings.sql_host is not None or os.path.lexists(settings.home / "pg"):
        return
    here = Path.cwd()
    around = (here, *here.parents, Path("~/.bec").expanduser(), *sorted(here.iterdir()))
    folders = dict.fromkeys(path for path in around if path != settings.home)
    homes = [printable(str(path)) for path in folders if has_database(path)]
    more = f", and {len(homes) - _HOMES:,} more" if len(homes) > _HOMES else ""
    raise ConfigError(
        f"There is no database of jobs in {settings.home}.",
        code="E_HOME_MISSING",
        hint=f"These folders have one, and --home names it: {', '.join(homes[:_HOMES])}{more}."
        if homes
        else "`bec run` and `bec jobs create` make one; --home, or BEC_HOME, names another folder.",
    )


def has_database(home: Path) -> bool:
    """Return whether a folder is a home that has an embedded database, as PostgreSQL recognises one."""
    return os.path.lexists(home / "pg" / "data" / "PG_VERSION")


def work_dir(settings: Settings) -> Path:
    """Return the folder for the files of running attempts; made when it is not there.

    Raises:
        ConfigError: it cannot be made.
    """
    folder = settings.home / "work"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        lacking = shortage_of(error)
        if lacking:
            raise lacking from error
        raise ConfigError(
            f"The folder {folder} cannot be made: {said(error)}.", code="E_HOME", hint="Set BEC_HOME to another one."
        ) from error
    return folder
