"""The schemas of ALTO and PAGE, as their owners publish them, without a network."""

from pathlib import Path
from typing import Any


def schema(folder: Path, name: str) -> Any:
    """Open a schema; XLink, which ALTO imports by its web address, is the file beside it."""
    from lxml import etree  # noqa: PLC0415  (not where the wheel alone is tried)

    class Beside(etree.Resolver):  # type: ignore[misc]
        def resolve(self, url: str, _id: str, context: Any) -> Any:
            return self.resolve_filename(str(folder / "xlink.xsd"), context) if "xlink" in url else None

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Beside())
    return etree.XMLSchema(etree.parse(str(folder / name), parser))
