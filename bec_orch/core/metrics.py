"""Timers and counters as values that add up: page -> attempt -> worker -> job."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StageTime:
    """How often a stage ran, and the seconds it took in all and at most."""

    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def __add__(self, other: "StageTime") -> "StageTime":
        return StageTime(self.count + other.count, self.seconds + other.seconds, max(self.longest, other.longest))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Stage timers and counters. `a + b` holds what both measured."""

    stages: Mapping[str, StageTime] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "Metrics") -> "Metrics":
        stages = {
            name: self.stages.get(name, StageTime()) + other.stages.get(name, StageTime())
            for name in {**self.stages, **other.stages}
        }
        counters = {
            name: self.counters.get(name, 0) + other.counters.get(name, 0)
            for name in {**self.counters, **other.counters}
        }
        return Metrics(stages, counters)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form, seconds rounded to a tenth of a millisecond."""
        stages = {
            name: {"count": t.count, "seconds": round(t.seconds, 4), "longest": round(t.longest, 4)}
            for name, t in self.stages.items()
        }
        return {"stages": stages, "counters": dict(self.counters)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Metrics":
        """Read the stored form; what is not there counts as nothing."""
        stages = {name: StageTime(**values) for name, values in stored.get("stages", {}).items()}
        return cls(stages, dict(stored.get("counters", {})))


class Stopwatch:
    """Gathers stage times and counters. One writer at a time: each thread keeps its own, and they add up."""

    def __init__(self) -> None:
        self._stages: dict[str, StageTime] = {}
        self._counters: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one run of the stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begun)

    def add(self, name: str, seconds: float) -> None:
        """Count one run of the stage that took `seconds`."""
        self._stages[name] = self._stages.get(name, StageTime()) + StageTime(1, seconds, seconds)

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter."""
        self._counters[name] = self._counters.get(name, 0) + amount

    def metrics(self) -> Metrics:
        """Return what was gathered so far."""
        return Metrics(dict(self._stages), dict(self._counters))
