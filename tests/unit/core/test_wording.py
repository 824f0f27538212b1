"""What others say is put into our sentences in one way: one line, no address in memory, one full stop, bounded."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bec_orch
from bec_orch.core.failures import failure_of
from bec_orch.core.wording import clause, meant, named, said
from bec_orch.errors import BecError, fingerprint
from tests.support.commands import COMMANDS

PACKAGE = Path(bec_orch.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "wording.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("it failed.", "it failed"),
        ("it failed. .", "it failed"),
        ("really?!", "really"),
        ("first:\n  second", "first"),
        ("\n\n  last\tone \r\n", "last one"),
        ("red \x1b[31m \x07 bell", r"red \x1b[31m \x07 bell"),
        ("turned \u202e around", r"turned \u202e around"),
        ("no \udce9 UTF-8", r"no \xe9 UTF-8"),
        ("half \ud800", r"half \ud800"),
        ("cannot identify image file <_io.BytesIO object at 0x7fca2f8a4b30>", "cannot identify image file a BytesIO"),
        ("<function f at 0x7fca2f8a4b30> gave up.", "a f gave up"),
        ("freed 0x55d0c0ffee twice", "freed 0x… twice"),
        ("byte 0xe9 is odd", "byte 0xe9 is odd"),
        ("", ""),
        (" .\n:", ""),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_a_text_becomes_the_end_of_a_sentence(text: str, told: str) -> None:
    assert clause(text) == told


def test_errors_are_named_by_their_words_and_by_their_class_where_they_have_none() -> None:
    assert said(ValueError("it is odd.")) == "it is odd"
    assert said(KeyError()) == "KeyError"
    assert said(FileNotFoundError(2, "No such file or directory", "x")) == "No such file or directory"
    assert named(ValueError("it is odd.")) == "ValueError: it is odd"
    assert named(AssertionError()) == "AssertionError"


def test_what_nobody_foresaw_is_a_sentence_too() -> None:
    failure = failure_of(RuntimeError(f"lost {io.BytesIO()!r}\nand more."), "run")
    assert failure.message == "RuntimeError: lost a BytesIO."
    assert failure_of(AssertionError(), "run").message == "AssertionError."


def test_messages_that_the_database_could_not_hold_are_escaped() -> None:
    failure = failure_of(BecError("The page 'p\udce9\0\n' is odd."), "run")
    assert failure.message == r"The page 'p\xe9\x00\n' is odd."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The block at 0x7f3a00 is lost.", "The block at 0x55d0c0ffee is lost."),
        ("The file /tmp/attempt-k3x/a.parquet is cut.", "The file /tmp/attempt-zz9/b.parquet is cut."),
        ("There is no s3://archive/a/b now.", "There is no s3://other/c now."),
        ("The manifest is deadbeef01, not 1234567890ab.", "The manifest is 0badcafe, not 5eed5eed5eed."),
        ("Page 3 of 'a' failed.", "Page 14 of 'b' failed."),
    ],
)
def test_the_same_fault_has_one_fingerprint(one: str, other: str) -> None:
    assert fingerprint("E_X", "run", one) == fingerprint("E_X", "run", other)


def test_other_words_have_another_fingerprint() -> None:
    messages = ("The decade is lost.", "The facade is lost.", "The page is lost.")
    assert len({fingerprint("E_X", "run", message) for message in messages}) == len(messages)


def placed_raw(tree: ast.AST) -> Iterator[int]:
    """Return the lines of formatted texts that hold a caught error's own words, or a sentence and another full stop."""
    for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name):
        raw = {handler.name, f"str({handler.name})", f"{handler.name}.strerror", f"type({handler.name}).__name__"}
        for text in (node for node in ast.walk(handler) if isinstance(node, ast.JoinedStr)):
            values = [ast.unparse(part.value) for part in text.values if isinstance(part, ast.FormattedValue)]
            yield from [text.lineno] * bool(raw & set(values) - {f"type({handler.name}).__name__"})
            both = f"type({handler.name}).__name__" in values and raw & set(values) != {values[0]}
            yield from [text.lineno] * bool(both)
    for text in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        for part, following in zip(text.values, text.values[1:], strict=False):
            whole = isinstance(part, ast.FormattedValue) and ast.unparse(part.value).endswith(".message")
            stop = isinstance(following, ast.Constant) and str(following.value)[:1] in set(".!?:;,)")
            yield from [text.lineno] * (whole and stop)


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        ("raise X(f'It broke: {error}.')", True),
        ("raise X(f'It broke: {str(error)}')", True),
        ("raise X(f'It broke: {error.strerror}.')", True),
        ("raise X(f'It broke: {error.message}.')", True),
        ("raise X(f'It broke: {said(error)}.')", False),
        ("raise X(f'It broke: {clause(error.message)}.')", False),
        ("raise X(f'It broke: {error.message}')", False),
        ("raise X(f'It broke ({type(error).__name__}).')", False),
    ],
)
def test_the_rule_distinguishes_raw_words_from_clean_ones(code: str, *, raw: bool) -> None:
    tree = ast.parse(f"try:\n    pass\nexcept Exception as error:\n    {code}")
    assert bool(list(placed_raw(tree))) is raw


# Run by itself beside the server, with nothing of the package; what it prints is cleaned by who reads it.
ALONE = {PACKAGE / "io" / "postgres" / "embedded" / "keeper.py"}


def test_every_error_of_others_that_is_put_into_a_sentence_is_cleaned() -> None:
    found = [
        f"{module.relative_to(PACKAGE)}:{line}"
        for module in MODULES
        for line in placed_raw(ast.parse(module.read_text("utf-8")))
        if module not in ALONE
    ]
    assert found == []


def texts_in(tree: ast.AST) -> Iterator[str]:
    """Return all texts of a module; what is put into one stands there as X."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_command_that_a_message_or_hint_names_exists_with_its_options() -> None:
    named_ones = {
        found
        for module in MODULES
        for text in texts_in(ast.parse(module.read_text("utf-8")))
        for found in re.findall(r"`bec ([a-z][^`]*)`", text)
    }
    assert len(named_ones) > 20
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    for found in named_ones:
        words = [word for word in found.split() if word not in {"--debug", "..."}]
        name = " ".join(words[:2]) if words and words[0] in groups and len(words) > 1 else " ".join(words[:1])
        if " " in name or (words and words[0] not in groups | {"X", "COMMAND"}):
            assert name in COMMANDS, found
            assert {word for word in words if word.startswith("--")} <= COMMANDS[name].options | {"--help"}, found


def test_what_was_probably_meant_is_proposed() -> None:
    assert meant("ldv2", ["ldv1", "ocrv1"]) == " (did you mean 'ldv1'?)"
    assert meant("banana", ["ldv1", "ocrv1"]) == meant("x", []) == ""
