"""What machines cost: from a table that the user keeps. What is not in it is unknown, never 0."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from bec_orch.core.records.overview import MachineUse
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError

_KEYS = {"on_demand", "spot"}
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Price:
    """What one hour of a machine type costs, by how it is bought; None where it is unknown."""

    on_demand: float | None = None
    spot: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What machines cost as far as it is known, and the machine hours that have no price. Costs add up."""

    amount: float
    unpriced_hours: float
    currency: str

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.amount + other.amount, self.unpriced_hours + other.unpriced_hours, self.currency)

    @property
    def total(self) -> float | None:
        """The whole cost; None when a part of it is unknown."""
        return None if self.unpriced_hours else self.amount

    @property
    def words(self) -> str:
        """The cost in words; machine hours without a price are named, never counted as 0."""
        unpriced = f"{self.unpriced_hours:.1f} machine hours without a price"
        if self.total is not None:
            return f"{self.total:.2f} {self.currency}"
        return f"{self.amount:.2f} {self.currency} and {unpriced}" if self.amount else f"unknown ({unpriced})"

    def per_thousand(self, pages: int) -> float | None:
        """Return the cost of 1,000 pages; None when it is unknown, or no page was done."""
        return self.total / pages * 1000 if self.total is not None and pages else None


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by machine type, in one currency."""

    currency: str = "USD"
    by_type: Mapping[str, Price] = field(default_factory=dict)

    def hourly(self, instance_type: str, *, spot: bool) -> float | None:
        """Return the price of one hour; None when it is unknown."""
        price = self.by_type.get(instance_type, Price())
        return price.spot if spot else price.on_demand

    def cost(self, uses: Iterable[MachineUse]) -> Cost:
        """Add up what machines cost. A machine that is named by several uses at the same time is paid for once."""
        total = Cost(0.0, 0.0, self.currency)
        by_machine = sorted(uses, key=lambda use: (use.machine, use.begun))
        for _, of_machine in groupby(by_machine, key=lambda use: use.machine):
            together = list(of_machine)
            total += self._cost(together[0], _hours(together))
        return total

    def _cost(self, use: MachineUse, hours: float) -> Cost:
        price = self.hourly(use.instance_type, spot=use.spot)
        return Cost(0.0, hours, self.currency) if price is None else Cost(price * hours, 0.0, self.currency)


def read_prices(path: Path) -> PriceTable:
    """Read a table of prices; a file that is not there is a table without prices.

    Its form:

        currency = "USD"
        [machines."g6.xlarge"]
        on_demand = 0.8048
        spot = 0.3

    Raises:
        ConfigError: the file cannot be read, or is not of this form; the message names the entry.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return PriceTable()
    except (OSError, ValueError) as error:
        raise _wrong(path, f"it cannot be read: {said(error)}") from error
    machines, currency = content.pop("machines", {}), content.pop("currency", "USD")
    if content or not isinstance(machines, dict) or not isinstance(currency, str):
        raise _wrong(path, "it has more than `currency` and the tables of `machines`")
    return PriceTable(currency, {name: _price(path, name, entry) for name, entry in machines.items()})


def _price(path: Path, name: str, entry: Any) -> Price:
    if not isinstance(entry, dict) or not entry or set(entry) - _KEYS:
        raise _wrong(path, f"the entry of {name} must have `on_demand`, `spot` or both")
    for key, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise _wrong(path, f"`{key}` of {name} is not a price")
    return Price(**entry)


def _hours(uses: list[MachineUse]) -> float:
    """Return the hours that are covered by uses of one machine, which come by their beginning."""
    hours, covered_to = 0.0, uses[0].begun
    for use in uses:
        begun = max(use.begun, covered_to)
        hours += max(0.0, (use.ended - begun).total_seconds()) / _HOUR
        covered_to = max(covered_to, use.ended)
    return hours


def _wrong(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The table of prices {path} is wrong: {why}.",
        code="E_PRICES",
        hint="deploy/prices.example.toml is a table to begin with.",
    )
