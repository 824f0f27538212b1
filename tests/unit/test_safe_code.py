"""Two promises that no run can show: values reach SQL only as parameters, and no check is silenced without a reason.

Psycopg types a statement as a literal string, so mypy refuses what a program puts together from text, and bandit (B608)
what looks like SQL. This closes what is left: bytes, the helpers that take a statement, and the stored statements.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bec_orch
from bec_orch.io.postgres.sql_files import sql_folder

PACKAGE = Path(bec_orch.__file__).resolve().parent
MODULES = sorted(PACKAGE.rglob("*.py"))
SQL_FILES = sorted(Path(str(sql_folder())).rglob("*.sql"))

# Which argument of these is the statement.
_TAKES_SQL = {"execute": 0, "executemany": 0, "copy": 0, "first": 1, "one": 1, "rows": 1}
_BUILT = (ast.JoinedStr, ast.BinOp)


def statements_in(tree: ast.AST) -> Iterator[tuple[int, ast.expr]]:
    """Return each expression that is used as a statement, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = _TAKES_SQL.get(name)
            if place is not None and len(node.args) > place:
                yield node.lineno, node.args[place]


def built_from_values(statement: ast.expr) -> bool:
    """Return whether a statement is put together from pieces otherwise than by psycopg's own quoting."""
    for node in ast.walk(statement):
        if isinstance(node, _BUILT):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            quoted = "sql.SQL(" in ast.unparse(node.func.value)
            if node.func.attr in {"format", "join", "replace", "encode"} and not quoted:
                return True
    return False


@pytest.mark.parametrize(
    ("code", "built"),
    [
        ("connection.execute(self._sql['x'], {})", False),
        ("connection.execute(psycopg.sql.SQL('DROP {}').format(psycopg.sql.Identifier(name)))", False),
        ("connection.execute(f'SELECT {x}')", True),
        ("connection.execute(b'SELECT %s' % x)", True),
        ("rows(connection, ('SELECT ' + x).encode(), {})", True),
        ("first(connection, 'SELECT {}'.format(x), {})", True),
    ],
)
def test_the_rule_distinguishes_built_statements_from_stored_ones(code: str, *, built: bool) -> None:
    [(_, statement)] = statements_in(ast.parse(code))
    assert built_from_values(statement) is built


def test_no_statement_is_put_together_from_values() -> None:
    found = [
        f"{module.relative_to(PACKAGE)}:{line}"
        for module in MODULES
        for line, statement in statements_in(ast.parse(module.read_text("utf-8")))
        if built_from_values(statement)
    ]
    assert found == []


@pytest.mark.parametrize("file", SQL_FILES, ids=[file.name for file in SQL_FILES])
def test_stored_statements_take_values_by_name_and_run_no_text(file: Path) -> None:
    text = re.sub(r"--.*", "", file.read_text("utf-8"))
    assert re.findall(r"%(?!\(\w+\)s)(?!%)[^%\s]?", text.replace("%%", "")) == [], (
        "only %(name)s, and %% for a per cent"
    )
    assert re.findall(r"\b(EXECUTE|format\s*\()", text) == [], "no SQL that is put together within SQL"


def test_statements_stand_beside_the_module_of_their_name() -> None:
    stored = [file for file in SQL_FILES if file.parent.name != "migrations"]
    assert stored
    assert [file.name for file in stored if not file.with_suffix(".py").is_file()] == []


@pytest.mark.parametrize("file", SQL_FILES, ids=[file.name for file in SQL_FILES])
def test_advisory_locks_are_taken_by_their_names(file: Path) -> None:
    assert re.findall(r"advisory\w*\s*\(\s*\d+", file.read_text("utf-8")) == []


def test_every_silenced_check_has_its_reason() -> None:
    silenced = [
        f"{module.relative_to(PACKAGE)}:{number}"
        for module in MODULES
        for number, line in enumerate(module.read_text("utf-8").splitlines(), start=1)
        if "nosec" in line and not re.search(r"# nosec B\d{3}  # .*\(.+\)$", line)
    ]
    assert silenced == []
