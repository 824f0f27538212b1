"""Builds what the server looks at from the parts that every command has."""

from bec_orch.cli.composition.machines import prices
from bec_orch.cli.composition.parts import Parts
from bec_orch.core.job_types.registry import content_of, page_figures, truth_of, types_with_exports
from bec_orch.orch.overview.layers import Layers
from bec_orch.orch.overview.other_texts import OtherTexts
from bec_orch.orch.overview.volume_pages import PageLooker
from bec_orch.web.pictures.pictures import PagePictures
from bec_orch.web.sight.sight import Sight


def sight_of(parts: Parts) -> Sight:
    """Return what the server looks at."""
    settings, records, artefacts = parts.settings, parts.records, parts.artefacts()
    pictures = PagePictures(
        parts.sources,
        decoders=settings.threads,
        most_bytes=settings.memory_budget,
        max_pixels=settings.max_image_pixels,
    )
    layers = Layers(records.overview, records.listings, artefacts, content_of)
    reading = frozenset(types_with_exports())
    return Sight(
        overview=records.overview,
        listings=records.listings,
        queues=parts.queues,
        looker=PageLooker(records.overview, artefacts, parts.sources, page_figures),
        layers=layers,
        others=OtherTexts(records.jobs, layers, parts.stores.open, truth_of, reading.__contains__),
        pictures=pictures,
        prices=prices(settings),
        host=parts.host,
    )
