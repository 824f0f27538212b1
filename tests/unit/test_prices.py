"""What machines cost, and what is not known of it."""

import datetime as dt
from pathlib import Path

import pytest

from bec_orch.core.records.overview import MachineUse
from bec_orch.errors import ConfigError
from bec_orch.orch.machines.prices import Cost, Price, PriceTable, read_prices

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
TABLE = PriceTable("USD", {"g6.xlarge": Price(0.8, 0.3), "c7i.2xlarge": Price(0.4)})


def use(
    machine: str = "i-1", kind: str = "g6.xlarge", *, spot: bool = True, begun: float = 0, hours: float = 1
) -> MachineUse:
    start = NOON + dt.timedelta(hours=begun)
    return MachineUse(machine, kind, spot, start, start + dt.timedelta(hours=hours))


def test_a_price_by_how_the_machine_is_bought() -> None:
    assert TABLE.hourly("g6.xlarge", spot=True) == 0.3
    assert TABLE.hourly("g6.xlarge", spot=False) == 0.8
    assert TABLE.hourly("c7i.2xlarge", spot=True) is None
    assert TABLE.hourly("x", spot=False) is None


def test_costs_add_up() -> None:
    cost = TABLE.cost([use(hours=10), use("i-2", spot=False, hours=0.5)])

    assert cost.total == pytest.approx(3.4)
    assert cost.per_thousand(20_000) == pytest.approx(0.17)
    assert cost.currency == "USD"


def test_workers_on_one_machine_are_paid_for_once() -> None:
    overlapping = [use(hours=2), use(begun=1, hours=2), use(begun=1.5, hours=0.1), use(begun=10)]

    assert TABLE.cost(overlapping).total == pytest.approx(0.3 * 4)


def test_unknown_is_never_nothing() -> None:
    cost = TABLE.cost([use(), use("i-2", "x", hours=3), use("laptop", "", spot=False)])

    assert cost == Cost(0.3, 4, "USD")
    assert cost.total is None
    assert cost.per_thousand(1000) is None


def test_no_page_no_price() -> None:
    assert TABLE.cost([]).total == 0
    assert TABLE.cost([use()]).per_thousand(0) is None


def test_a_table_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('currency = "EUR"\n[machines."g6.xlarge"]\non_demand = 1\nspot = 0.25\n[machines.a]\nspot = 2.5\n')

    assert read_prices(file) == PriceTable("EUR", {"g6.xlarge": Price(1, 0.25), "a": Price(None, 2.5)})
    assert read_prices(tmp_path / "none.toml") == PriceTable()


def test_the_example_is_a_table() -> None:
    table = read_prices(Path(__file__).resolve().parents[2] / "deploy" / "prices.example.toml")

    assert table.hourly("g6.xlarge", spot=False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("machines = 3", "machines"),
        ("currency = 3", "currency"),
        ("unit = 1", "currency"),
        ("[machines.a]\nspot = 0", "`spot` of a"),
        ("[machines.a]\nspot = true", "`spot` of a"),
        ("[machines.a]\nspot = nan", "`spot` of a"),
        ("[machines.a]\non_demand = 'x'", "`on_demand` of a"),
        ("[machines.a]\nondemand = 1", "entry of a"),
        ("[machines.a]", "entry of a"),
        ("[machines]\na = 1", "entry of a"),
        ("[machines", "cannot be read"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)

    with pytest.raises(ConfigError) as raised:
        read_prices(file)

    assert raised.value.code == "E_PRICES"
    assert named in raised.value.message
