"""Values by name, found again though systems write the same name in different Unicode forms.

macOS decomposes names (NFD) where others compose them (NFC). The name as it stands counts first; two that
differ in their form alone stay two, and neither answers for the other.
"""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


def composed(name: str) -> str:
    """Return a name in the form in which names are compared, NFC."""
    return unicodedata.normalize("NFC", name)


class ByName(Generic[ValueT]):
    """Values by name, found by its NFC where the name as it stands has none.

    Args:
        values: the values, by the names as they stand.
    """

    def __init__(self, values: Mapping[str, ValueT]) -> None:
        self._values = values
        forms = {name: composed(name) for name in values}
        times = Counter(forms.values())
        self._names = {form: name for name, form in forms.items() if times[form] == 1}

    def name_of(self, name: str) -> str | None:
        """Return the name under which there is a value for this one; None where there is none."""
        return name if name in self._values else self._names.get(composed(name))

    def get(self, name: str) -> ValueT | None:
        """Return the value of a name; None where it has none."""
        found = self.name_of(name)
        return None if found is None else self._values[found]


def find_folder(path: str, folders: Callable[[str], Iterable[str]]) -> str | None:
    """Return a folder as its names are written where it lies; None where there is none.

    Args:
        path: the folder, with slashes between its names.
        folders: lists the names of the folders in a folder; in `""`, those at the top.
    """
    found = ""
    for segment in path.split("/"):
        name = ByName(dict.fromkeys(folders(found))).name_of(segment)
        if name is None:
            return None
        found = f"{found}/{name}" if found else name
    return found


def spelled_out(name: str) -> str:
    r"""Return the spelling of a name that is not composed (NFC), in ASCII: `Re\u0301`; empty where it is composed."""
    return "" if unicodedata.is_normalized("NFC", name) else name.encode("ascii", "backslashreplace").decode()


def look_alikes(names: Iterable[str]) -> frozenset[str]:
    """Return those of some names that look like another of them, without those that are composed (NFC)."""
    alike: dict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[composed(name)].add(name)
    return frozenset(name for form, each in alike.items() if len(each) > 1 for name in each if name != form)


def told_apart(names: Iterable[str]) -> Mapping[str, str]:
    """Return, for people, those of some names that look like another of them, each with its spelling behind it."""
    return {name: f"{name} ({spelled_out(name)})" for name in look_alikes(names)}


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def json_told_apart(text: str) -> str:
    r"""Return a JSON text, the same to programs, in which strings that look like another are in ASCII: `"Re\u0301"`."""
    if unicodedata.is_normalized("NFC", text):
        return text
    alike = look_alikes(_STRING.findall(text))
    return _STRING.sub(lambda found: json.dumps(json.loads(found[0])) if found[0] in alike else found[0], text)
