"""Whose an artefact is, told by its marks alone."""

import pytest

from bec_orch.core.ownership import FORMAT, Mark
from tests.support.owners import OURS, THEIRS, owner


@pytest.mark.parametrize(
    ("mark", "ours"),
    [
        (Mark(FORMAT, OURS, "task"), True),
        (Mark(FORMAT, OURS), True),
        (Mark(FORMAT, THEIRS, "task"), False),
        (Mark(FORMAT, "", "task"), False),
        (Mark(FORMAT, None, "task"), True),
        (Mark(FORMAT, None, "another task"), False),
        (Mark(FORMAT), False),
        (Mark(None, OURS, "task"), False),
        (Mark(FORMAT + 1, OURS, "task"), False),
        (Mark(9, None, "task"), False),
        (Mark(), False),
    ],
)
def test_only_our_format_with_our_identity_or_an_older_task_of_ours_is_ours(mark: Mark, *, ours: bool) -> None:
    assert owner(OURS, "task").owns(mark) is ours


def test_the_tag_is_the_beginning_of_the_identity() -> None:
    assert owner(OURS).tag == "6f1c0d2e93a4"
