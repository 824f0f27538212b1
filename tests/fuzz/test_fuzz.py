"""The fuzz targets, for a few seconds each; `make fuzz` gives them a minute. What once did harm is tried first."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fuzz import __main__ as program
from tests.fuzz.mutations import LONGEST, Mutator
from tests.fuzz.targets import TARGETS, Target

INPUTS = 300
SEED = 20


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_does_no_harm(name: str) -> None:
    target = TARGETS[name]
    corpus = target.corpus()
    assert corpus
    for data in (*corpus, b"", b"\0"):
        target.check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_input_does_no_harm(name: str) -> None:
    target = TARGETS[name]
    mutator = Mutator(target.corpus(), target.tokens, SEED)
    for _ in range(INPUTS):
        target.check(mutator.next())


def test_inputs_are_the_same_for_the_same_seed() -> None:
    target = TARGETS["image"]
    first, second, other = (Mutator(target.corpus(), target.tokens, seed) for seed in (1, 1, 2))
    mine = [first.next() for _ in range(50)]
    assert mine == [second.next() for _ in range(50)]
    assert mine != [other.next() for _ in range(50)]
    assert all(one != two for one, two in pairwise(mine))
    assert max(map(len, mine)) <= LONGEST


HARM = {
    "raise": "raise KeyError('not promised')",
    "crash": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "hang": "import threading; threading.Event().wait()",
    "eat": "return b'x' * 600_000_000",
}


@pytest.mark.parametrize("harm", HARM)
def test_input_that_does_harm_is_kept(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "fuzz.py"
    script.write_text(
        "from tests.fuzz import __main__ as program, targets\n"
        f"def check(data):\n    {HARM[harm]}\n"
        "program.MOST_SECONDS, program.MOST_MEMORY = 1, 500_000_000\n"
        "program.TARGETS['message'] = targets.Target('message', targets.nothing, (b'x',), check)\n"
        "program.main()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(program, "COMMAND", (sys.executable, str(script)))
    program.FOUND.mkdir(parents=True)
    assert program.side_by_side(["message"], 30.0, 1) == 1
    (kept,) = tmp_path.glob("build/fuzz/message-*")
    target: Target = TARGETS["message"]
    assert kept.read_bytes() == Mutator(target.corpus(), (b"x",), 1).next()
    assert f"the input is kept in build/fuzz/{kept.name}" in capfd.readouterr().out


def test_a_target_that_is_not_there_is_refused() -> None:
    ended = subprocess.run([*program.COMMAND, "nope"], capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert ended.returncode == 2
    assert "there is no target nope" in ended.stderr
