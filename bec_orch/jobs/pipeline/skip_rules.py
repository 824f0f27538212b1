"""Rules by which a page job skips pages that another job labelled."""

from collections.abc import Callable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SkipRule(BaseModel):
    """Skip a page if a column of another job's row for it has one of some values, or a number within bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    job: str = Field(description="The job that labelled the pages; one that this job depends on.")
    column: str = Field(description="The column of its artefact that holds the label.")
    values: tuple[str | int | float | bool, ...] = Field(default=(), description="Pages with one of these are skipped.")
    at_least: float | None = Field(default=None, description="Pages with this number or a larger one are skipped.")
    at_most: float | None = Field(default=None, description="Pages with this number or a smaller one are skipped.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.values and self.at_least is None and self.at_most is None:
            raise ValueError("a rule needs `values`, `at_least` or `at_most`")
        return self

    def reason(self, value_of: Callable[[str], Any]) -> str | None:
        """Return why the page is skipped, or None. `value_of` reads a column of the other job's row."""
        value = value_of(self.column)
        return f"{self.job}: {self.column} is {value}" if value is not None and self._applies(value) else None

    def _applies(self, value: Any) -> bool:
        if value in self.values:
            return True
        if (self.at_least is None and self.at_most is None) or not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)
