"""Open the line model that a config names."""

from pathlib import Path

from bec_orch.errors import ConfigError
from bec_orch.jobs.ldv1.config import DEFAULT_MODEL, Ldv1Config
from bec_orch.jobs.ldv1.line_model import LineModel
from bec_orch.jobs.ldv1.ppocr import PpocrModel, bundled_model_path
from bec_orch.jobs.ldv1.tiles import load_tile_model
from bec_orch.jobs.shared.model_session import ModelSession


def load_line_model(config: Ldv1Config, folder: Path | None = None) -> LineModel:
    """Open the line model of a job.

    Args:
        config: the job's config.
        folder: where the model lies on this machine, when the config names one by URL; by default what the config
            names is a local path.

    Raises:
        ConfigError: E_MODEL_NOT_FOUND, E_MODEL_INVALID, or E_MODEL_DIGEST when it is not the file that is wanted.
    """
    model = _open(config, folder)
    if config.model_sha256 and model.digest != config.model_sha256:
        raise ConfigError(
            f"The line model '{model.name}' has the SHA-256 {model.digest}, the config wants {config.model_sha256}.",
            code="E_MODEL_DIGEST",
            hint="Fetch the model again, or correct `model_sha256`.",
        )
    return model


def _open(config: Ldv1Config, folder: Path | None) -> LineModel:
    named = Path(config.model) if config.model and config.model != DEFAULT_MODEL else None
    wanted = folder or named
    if wanted is None:
        return PpocrModel(ModelSession(bundled_model_path(), config.intra_op_threads), config.line_pitch)
    return load_tile_model(wanted, config.intra_op_threads)
