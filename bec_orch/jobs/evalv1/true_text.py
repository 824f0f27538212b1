"""The true text of a page, as an `evalv1` job finds it (entry points `bec_orch.truths`)."""

from collections.abc import Callable, Mapping
from typing import Any

from bec_orch.core.ports.job_worker import BlobReader
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.truth import TruthStore


def true_text(
    config: Mapping[str, Any], volume: VolumeRef, image: str, open_store: Callable[[str], BlobReader]
) -> str | None:
    """Return the true text of a page; see `TruthOf`."""
    parsed = Evalv1Config.parse(config)
    if not parsed.truth_url:
        return None
    found = TruthStore(parsed, open_store(parsed.truth_url)).volume(volume).of(Page(0, image))
    return found.text if found else None
