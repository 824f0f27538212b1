"""The network and its training: sizes, the loss, and going on after a stop. These need torch, which no lock holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is installed by training/requirements.txt alone")

from torch import Tensor, nn  # noqa: E402 - after the skip

from bec_orch.jobs.ldv1.bec.network_input import OUTPUTS  # noqa: E402
from training.learning import Learner  # noqa: E402
from training.lines.compose import packed  # noqa: E402
from training.lines.export import served  # noqa: E402
from training.lines.held_out import measured  # noqa: E402
from training.lines.network import OFFSET_UNIT, LineNetwork, Served, widened  # noqa: E402
from training.lines.targets import Targets  # noqa: E402
from training.lines.train import Run, ahead, loss_of, mixed, train  # noqa: E402
from training.shared import parameters  # noqa: E402

MOST_PARAMETERS = 3_000_000


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(3):
        core = np.zeros((8, 16, 32), np.uint8)
        core[:, 4:6] = 1
        reach = np.where(core > 0, 21, 0).astype(np.uint8)
        maps = [packed(Targets(each, far, far, each * 0)) for each, far in zip(core, reach, strict=True)]
        grey = rng.integers(0, 255, (8, 32, 64)).astype(np.uint8)
        np.savez(tmp_path / f"{number}.npz", grey=grey, maps=np.stack(maps))
    return tmp_path


def test_the_network_is_small_and_returns_all_maps_at_half_the_size() -> None:
    network = Served(LineNetwork()).eval()
    assert parameters(network) <= MOST_PARAMETERS
    with torch.no_grad():
        maps = network(torch.zeros(2, 1, 64, 96))
    assert maps.shape == (2, len(OUTPUTS), 32, 48)
    assert torch.allclose(maps[:, :3].sum(1), torch.ones(2, 32, 48), atol=1e-5)
    assert (maps[:, 3:5] >= 0).all()


def test_the_loss_falls_for_what_is_right() -> None:
    maps = torch.zeros(1, 3, 16, 32, dtype=torch.uint8)
    maps[:, 0, 4:6] = 1
    right = torch.zeros(1, 6, 16, 32)
    right[:, 0], right[:, 1], right[:, 5:] = 5.0, -5.0, -5.0
    right[:, 0, 4:6], right[:, 1, 4:6] = -5.0, 5.0
    wrong = -right
    assert loss_of(right, maps)[0] < 0.2 * loss_of(wrong, maps)[0]


def test_text_of_the_wrong_kind_is_still_found() -> None:
    maps = torch.zeros(1, 3, 16, 32, dtype=torch.uint8)
    maps[:, 0, 4:6, 3:9] = 2

    def parts(kind: int) -> list[float]:
        out = torch.zeros(1, 6, 16, 32)
        out[:, 0] = 5.0
        out[:, :3, 4:6, 3:9] = -5.0
        out[:, kind, 4:6, 3:9] = 5.0
        return loss_of(out, maps)[1]

    none, main, other = (parts(kind) for kind in range(3))
    assert main[:2] == other[:2]
    assert main[0] < 0.1 * none[0]
    assert other[2] < 0.1 * main[2]


def test_a_batch_without_text_has_a_loss() -> None:
    out = torch.zeros(1, 6, 16, 32, requires_grad=True)
    loss_of(out, torch.zeros(1, 3, 16, 32, dtype=torch.uint8))[0].backward()
    assert out.grad is not None
    assert out.grad.isfinite().all()


def test_the_rate_rises_and_falls_to_nothing(tmp_path: Path) -> None:
    learner, rates = Learner(nn.Linear(1, 1), tmp_path, rate=0.1, warm_steps=150), []
    for learner.step in range(1001):
        rates.append(learner.rate_at(learner.step / 1000))
    assert rates[0] < 0.1 * max(rates)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)
    assert 50 < int(np.argmax(rates)) < 200


def test_training_goes_on_where_it_was_stopped(tmp_path: Path, shards: Path) -> None:
    whole = Run(tmp_path / "whole", 3, 4)
    train(whole, shards, minutes=60)
    part = Run(tmp_path / "part", 3, 4)
    source = mixed(shards, 3, 0)
    for _ in range(2):
        part.take(*next(source))
    part.save()
    again = Run(tmp_path / "part", 3, 4)
    again.resume()
    assert again.step == 2
    train(again, shards, minutes=60)
    assert again.step == whole.step == 4
    for name, value in part.network.state_dict().items():
        assert value.shape == again.network.state_dict()[name].shape


def test_the_same_seed_makes_the_same_batches(shards: Path) -> None:
    first, again = next(mixed(shards, 5, 0)), next(mixed(shards, 5, 0))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_a_wider_network_is_read_back_as_it_was(tmp_path: Path, shards: Path) -> None:
    run = Run(tmp_path, 1, 2, widened(1.5))
    train(run, shards, minutes=60, size=4)
    assert parameters(run.network) > 2 * parameters(LineNetwork())
    network, stood = served(tmp_path / "last.pt")
    assert network.network.widths == tuple(widened(1.5))
    assert stood == {"step": 2, "steps": 2, "seed": 1}


def test_what_is_held_out_distinguishes_a_network_that_knows_from_one_that_does_not(shards: Path) -> None:
    class Knowing(LineNetwork):
        def forward(self, x: Tensor) -> Tensor:
            out = torch.zeros(len(x), len(OUTPUTS), 16, 32)
            out[:, 0], out[:, 1:3], out[:, 3:5], out[:, 5] = 9.0, -9.0, 5.0 / OFFSET_UNIT, -9.0
            out[:, 0, 4:6], out[:, 1, 4:6] = -9.0, 9.0
            return out

    best, fresh = measured(Knowing(), shards), measured(LineNetwork(), shards)
    assert best["found"] == best["true"] == best["main"] == 1.0
    assert best["offset"] == pytest.approx(0.0, abs=0.01)
    assert best["loss"] < 0.2 * fresh["loss"]


def test_what_is_drawn_ahead_comes_in_its_order() -> None:
    drawn = ahead(iter(range(50)), depth=4)
    assert [next(drawn) for _ in range(40)] == list(range(40))
