"""Named SQL statements, kept in `.sql` files, each beside the module of its name that runs them.

A file holds blocks that begin with `-- name: some_name`; values reach a statement only as `%(name)s` parameters.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def sql_folder() -> Traversable:
    """Return the folder of the SQL files, wherever the package is installed."""
    return files("bec_orch.io.postgres")


@cache
def statements(file: str) -> Mapping[str, bytes]:
    """Read the statements of one file by their names.

    They are bytes because that is how psycopg distinguishes stored statements from text that a program puts together.
    """
    text = sql_folder().joinpath(f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {name: sql.strip().encode() for name, sql in zip(parts[::2], parts[1::2], strict=True)}
