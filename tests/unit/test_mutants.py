"""Every mutant of the catalogue can be made of the program as it is, and names tests that exist."""

import pytest

from tests.mutants.__main__ import applied
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.support.house import PACKAGE, ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_can_be_made(mutant: Mutant) -> None:
    before = {edit.file: (PACKAGE / edit.file).read_text("utf-8") for edit in mutant.edits}
    after = applied(before, mutant.edits)
    for name, text in after.items():
        assert text != before[name]
        if name.endswith(".py"):
            compile(text, name, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_tests_of_a_mutant_exist(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        file, *names = test.split("::")
        text = (ROOT / file).read_text("utf-8")
        assert all(f"def {name}(" in text or f"class {name}:" in text for name in names), test


def test_mutants_are_distinguished() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
