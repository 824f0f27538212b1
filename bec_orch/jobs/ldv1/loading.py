"""Open what a config names: a detector with its line model."""

from pathlib import Path
from typing import Any

from bec_orch.core.ports.job_worker import ModelStore
from bec_orch.core.wording import clause, meant
from bec_orch.errors import ConfigError
from bec_orch.jobs.ldv1.auto import AutoDetector
from bec_orch.jobs.ldv1.bec.detector import NetworkDetector
from bec_orch.jobs.ldv1.bec.network import bundled_network
from bec_orch.jobs.ldv1.config import AUTO, BEC, DEFAULT_MODEL, PPOCR, Ldv1Config
from bec_orch.jobs.ldv1.one_map.detector import LineDetector
from bec_orch.jobs.ldv1.one_map.line_model import LineModel
from bec_orch.jobs.ldv1.one_map.ppocr import PpocrModel, bundled_model_path
from bec_orch.jobs.ldv1.one_map.tiles import load_tile_model
from bec_orch.jobs.ldv1.page.detector import Detector
from bec_orch.jobs.shared.model_session import ModelSession

NAMED = (PPOCR, BEC, AUTO)


def find_model(wanted: str, models: ModelStore) -> Path:
    """Return where a model that is wanted by its path or URL lies on this machine.

    Raises:
        ConfigError: there is none (E_MODEL_NOT_FOUND); the message says if the name of one of `NAMED` was meant.
    """
    try:
        return models.local_path(wanted)
    except ConfigError as error:
        raise ConfigError(
            f"{clause(error.message)}{meant(wanted, NAMED)}.", code=error.code, hint=error.hint
        ) from error


def load_detector(config: Ldv1Config, wanted: str | None = None, folder: Path | None = None) -> Detector[Any]:
    """Open the detector of a job.

    Args:
        config: the job's config.
        wanted: the model, by one of `NAMED` or by its folder; by default that of the config.
        folder: where the model lies on this machine, when it is wanted by URL.

    Raises:
        ConfigError: see `load_line_model`.
    """
    wanted = wanted or config.model or DEFAULT_MODEL
    if wanted not in {BEC, AUTO}:
        return LineDetector(load_line_model(config, folder), config.second_pass_min_angle)
    network = bundled_network(config.intra_op_threads)
    _require_digest(config, network.name, network.digest)
    ours = NetworkDetector(network, config.second_pass_min_angle)
    return ours if wanted == BEC else AutoDetector(ours, LineDetector(_ppocr(config), config.second_pass_min_angle))


def load_line_model(config: Ldv1Config, folder: Path | None = None) -> LineModel:
    """Open the line model of a job whose lines come from a map of where lines are.

    Args:
        config: the job's config.
        folder: where the model lies on this machine, when the config names one by URL; by default what the config
            names is a local path.

    Raises:
        ConfigError: E_MODEL_NOT_FOUND, E_MODEL_INVALID, or E_MODEL_DIGEST when it is not the file that is wanted.
    """
    named = Path(config.model) if config.model and config.model not in NAMED else None
    path = folder or named
    model = load_tile_model(path, config.intra_op_threads) if path else _ppocr(config)
    _require_digest(config, model.name, model.digest)
    return model


def _ppocr(config: Ldv1Config) -> PpocrModel:
    return PpocrModel(ModelSession(bundled_model_path(), config.intra_op_threads, may_be_half=True), config.line_pitch)


def _require_digest(config: Ldv1Config, name: str, digest: str) -> None:
    if config.model_sha256 and digest != config.model_sha256:
        raise ConfigError(
            f"The line model '{name}' has the SHA-256 {digest}, the config wants {config.model_sha256}.",
            code="E_MODEL_DIGEST",
            hint="Fetch the model again, or correct `model_sha256`.",
        )
