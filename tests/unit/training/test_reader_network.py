"""The recogniser's network and its training. These need torch, which no lock holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is installed by training/requirements.txt alone")

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT  # noqa: E402 - after the skip
from training.reader.network import CLASSES, ReaderNetwork, Served  # noqa: E402
from training.reader.picture import Picture  # noqa: E402
from training.reader.symbols import numbers_of  # noqa: E402
from training.reader.train import BATCH, LAST, TAKEN, Run, Source, altered, loss_of, train  # noqa: E402
from training.shared import parameters  # noqa: E402

MOST_PARAMETERS = 6_000_000


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Bars:
    """Composes lines of bars: two symbols, one a bar in the upper half, one in the lower."""

    def __init__(self) -> None:
        self.composed = 0

    def picture(self, rng: np.random.Generator, width: int) -> Picture:
        self.composed += 1
        grey, text = np.full((HEIGHT, width), 250, np.uint8), ""
        for left in range(8, width - 24, 64):
            which = int(rng.integers(2))
            grey[32 * which : 32 * which + 32, left : left + 12] = 10
            text += "ཀཁ"[which]
        return Picture(grey, text)


def test_the_network_is_small_and_returns_two_steps_for_each_column() -> None:
    network = Served(ReaderNetwork()).eval()
    assert parameters(network) <= MOST_PARAMETERS
    with torch.no_grad():
        chances = network(torch.zeros(2, 1, HEIGHT, 96))
        alone = network(torch.zeros(1, 1, HEIGHT, 96))
    assert chances.shape == (2, 48, CLASSES)
    assert torch.allclose(chances.sum(2), torch.ones(2, 48), atol=1e-5)
    assert torch.allclose(chances[:1], alone, atol=1e-5)


def test_the_two_steps_of_a_column_stand_side_by_side() -> None:
    network = ReaderNetwork().eval()
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.arange(2 * CLASSES, dtype=torch.float32))
        steps = network(torch.zeros(1, 1, HEIGHT, 16))[0]
    assert steps[:, 0].tolist() == [0.0, CLASSES] * 4
    assert (steps[:, 1:] - steps[:, :-1] == 1).all()


def test_the_loss_is_that_of_a_symbol_and_lines_without_room_do_not_count() -> None:
    right = torch.full((2, 8, CLASSES), -20.0)
    for step, symbol in enumerate([5, 0, 6, 0, 0, 0, 0, 0]):
        right[:, step, symbol] = 20.0
    assert loss_of(right, [[5, 6], [5, 6]]).item() == pytest.approx(0, abs=1e-3)
    assert loss_of(right, [[5, 6], [6, 5]]).item() > 5
    assert loss_of(right, [[5, 6], [5] * 30]).item() == pytest.approx(0, abs=1e-3)


def test_every_third_batch_is_new_and_the_others_are_altered_ones_of_the_last() -> None:
    composer = Bars()
    source = Source(composer, 1)  # type: ignore[arg-type]
    batches = [source.batch(step) for step in range(9)]
    assert composer.composed == 3 * BATCH
    new, again = batches[::TAKEN], [batch for step, batch in enumerate(batches) if step % TAKEN]
    assert all(any(lines is known for _, known in new) for _, lines in again)
    assert not any(torch.equal(inputs, known) for inputs, _ in again for known, _ in new)
    assert len(source._last) <= LAST
    same = Source(Bars(), 1)  # type: ignore[arg-type]
    assert torch.equal(same.batch(0)[0], batches[0][0])
    assert torch.equal(same.batch(1)[0], batches[1][0])
    assert numbers_of("ཀ")[0] in batches[0][1][0] + batches[0][1][1]


def test_an_altered_line_holds_all_that_it_held() -> None:
    inputs = torch.zeros(4, 1, HEIGHT, 320)
    inputs[:, :, 20:44, 8:312] = 1.0
    for seed in range(5):
        found = altered(np.random.default_rng(seed), inputs)[:, 0].numpy()
        assert found.shape == (4, HEIGHT, 320)
        assert len({each.tobytes() for each in found}) == 4
        ends = [np.flatnonzero(each[32] > 0.5)[[0, -1]] for each in found]
        assert all(first in (7, 8) and 0.88 * 311 < last <= 312 for first, last in ends)
        assert all(12 < np.flatnonzero(each[:, 150] > 0.5)[0] < 28 for each in found)


def test_a_run_may_begin_with_what_another_has_learned(tmp_path: Path) -> None:
    first = Run(tmp_path / "first", seed=1, steps=2, minutes=1e9)
    train(first, Bars())  # type: ignore[arg-type]
    second = Run(tmp_path / "second", seed=2, steps=2, minutes=1e9)
    second.begin_with(tmp_path / "first" / "last.pt")
    assert second.step == 0
    for name, value in first.mean.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name])
        assert torch.equal(value, second.mean.state_dict()[name])


def test_training_ends_with_its_steps_or_its_minutes_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    run = Run(tmp_path, seed=1, steps=3, minutes=1e9)
    train(run, Bars())  # type: ignore[arg-type]
    assert run.step == 3
    assert run.rate == pytest.approx(0, abs=1e-9)
    later = Run(tmp_path, seed=1, steps=5, minutes=1e9)
    later.resume()
    assert later.step == 3
    assert later.spent == pytest.approx(run.spent)
    for name, value in run.mean.state_dict().items():
        assert torch.equal(value, later.mean.state_dict()[name])
    train(later, Bars())  # type: ignore[arg-type]
    assert later.step == 5
    late = Run(tmp_path, seed=1, steps=10**6, minutes=later.spent / 60)
    late.resume()
    train(late, Bars())  # type: ignore[arg-type]
    assert late.step == 5


def test_it_learns(tmp_path: Path) -> None:
    run, source = Run(tmp_path, seed=1, steps=10**6, minutes=1e9), Source(Bars(), 1)  # type: ignore[arg-type]
    losses = [run.take(*source.batch(step)) for step in range(24)]
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:4])
