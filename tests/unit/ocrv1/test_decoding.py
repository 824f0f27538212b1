import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bec_orch.jobs.ocrv1.decoding.beam import beam_search
from bec_orch.jobs.ocrv1.decoding.paths import BLANK, best_path, confidence, probabilities


def matrix(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def read_path(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK)


def text_probabilities(steps: NDArray[np.float32]) -> dict[tuple[int, ...], float]:
    """The definition: every path, summed by what it reads."""
    sums: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(steps.shape[1]), repeat=len(steps)):
        sums[read_path(path)] += float(np.prod([steps[step, symbol] for step, symbol in enumerate(path)]))
    return sums


def test_the_best_path_merges_repeats_and_drops_blanks() -> None:
    path = [0, 1, 1, 0, 1, 2, 2, 0]
    steps = np.eye(3, dtype=np.float32)[path] * 0.8 + 0.1
    assert best_path(steps) == (1, 1, 2)
    assert beam_search(steps, 10) == (1, 1, 2)
    assert best_path(steps[:1]) == ()


def test_the_beam_finds_the_text_that_many_paths_share() -> None:
    # The single best path is two blanks (0.36); the text (1,) has 0.6 * 0.4 * 2 + 0.4 * 0.4 = 0.64.
    steps = matrix((0.6, 0.4), (0.6, 0.4))
    assert best_path(steps) == ()
    assert beam_search(steps, 2) == (1,)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 3))
def test_a_wide_beam_is_exact(seed: int, steps: int, symbols: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.full(symbols, 0.5), steps).astype(np.float32)
    by_text = text_probabilities(rows)
    found = beam_search(rows, 10_000, least=0)
    assert by_text[found] == pytest.approx(max(by_text.values()), rel=1e-4)


def test_long_lines_are_read_though_no_number_is_so_small_as_their_chance() -> None:
    steps = np.tile(matrix((0.0, 0.9, 0.1), (1.0, 0.0, 0.0)), (10_000, 1))
    assert 0.9**10_000 == 0.0
    assert beam_search(steps, 4) == (1,) * 10_000


def test_prefixes_that_go_on_alike_leave_room_for_others() -> None:
    def worth(context: int, symbol: int) -> tuple[float, int]:
        return (10.0 if (context, symbol) == (2, 3) else 1.0), symbol

    blank, sure = (1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0, 0.0)
    steps = matrix((0.0, 0.6, 0.0, 0.0, 0.4), blank, sure, blank, (0.0, 0.55, 0.45, 0.0, 0.0), blank, sure)
    assert beam_search(steps, 2) == (1, 3, 1, 3)
    assert beam_search(steps, 2, worth) == (1, 3, 2, 3)


def test_of_sure_steps_the_best_symbol_alone_is_looked_at() -> None:
    def worth(_context: int, symbol: int) -> tuple[float, int]:
        return (1000.0 if symbol == 2 else 1.0), symbol

    steps = matrix((0.0, 0.98, 0.02), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.98, 0.02))
    assert beam_search(steps, 5, worth) == (2, 2)
    assert beam_search(steps, 5, worth, sure=0.98) == (1, 1)


def test_a_beam_passes_over_what_is_improbable() -> None:
    steps = matrix((0.0, 0.004, 0.996), (0.9, 0.05, 0.05))
    assert beam_search(steps, 3) == (2,)


def test_confidence_is_the_mean_of_the_symbols_peaks() -> None:
    steps = matrix((0.9, 0.1, 0.0), (0.3, 0.7, 0.0), (0.1, 0.9, 0.0), (0.6, 0.0, 0.4), (0.5, 0.0, 0.5), (0.3, 0.2, 0.5))
    assert confidence(steps) == pytest.approx((0.9 + 0.5) / 2)
    assert confidence(steps[:1]) == 0.0


def test_logits_logarithms_and_probabilities_are_distinguished() -> None:
    wanted = matrix((0.7, 0.2, 0.1), (0.1, 0.1, 0.8))
    assert np.array_equal(probabilities(wanted), wanted)
    assert np.allclose(probabilities(np.log(wanted)), wanted)
    assert np.allclose(probabilities(np.log(wanted) + 5), wanted)
