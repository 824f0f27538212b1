"""What `bec scale` works with, built from the settings."""

import sys
from dataclasses import replace

from bec_orch.cli.composition import Parts, aws_options
from bec_orch.cli.scale.machines import machine_environment
from bec_orch.config import LoadedSettings, Settings, variable
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.aws.ec2 import Ec2Fleet, MachineSpec
from bec_orch.orch.machines.local import LocalScaling
from bec_orch.orch.machines.prices import read_prices
from bec_orch.orch.machines.scaling import STOP_MARGIN_SECONDS, FleetScaling
from bec_orch.orch.machines.setup import Kit, user_data


def fleet_of(settings: Settings, job: str) -> FleetScaling:
    """Give what plans and tells of a job's machines on EC2."""
    fleet = Ec2Fleet(job, aws_options(settings))
    return FleetScaling(fleet, read_prices(settings.prices_file), grace=settings.grace_seconds)


def local_of(settings: Settings, job: str) -> LocalScaling:
    """Give what plans and tells of a job's workers on this machine."""
    # -P: nothing is imported from the current folder.
    command = (sys.executable, "-P", "-m", "bec_orch.cli.main", "--home", str(settings.home), "worker", "--job", job)
    return LocalScaling(job, settings.home, command, patience=settings.grace_seconds + STOP_MARGIN_SECONDS)


def machine_spec(loaded: LoadedSettings, job: str) -> MachineSpec:
    """Give what each new machine of a job is.

    Raises:
        ConfigError: a setting for it is missing, or machines could not work with the others (E_SCALE_SETTINGS).
    """
    settings = loaded.settings
    missing = missing_settings(settings)
    if missing:
        raise ConfigError(
            f"{missing[0]} is not set, and new machines need it.",
            code="E_SCALE_SETTINGS",
            hint="docs/operating.md tells where it comes from.",
        )
    kit = Kit((settings.ec2_kit_url or "").rstrip("/"), settings.ec2_kit_sha256 or "")
    script = user_data(job, kit, machine_environment(loaded))
    return replace(network_spec(settings), user_data=script)


def network_spec(settings: Settings) -> MachineSpec:
    """Give what each new machine is, before it runs anything."""
    return MachineSpec(
        image=settings.ec2_image,
        subnets=settings.ec2_subnets,
        security_groups=settings.ec2_security_groups,
        instance_profile=settings.ec2_instance_profile or "",
        user_data="",
        disk_gib=settings.ec2_disk_gib,
    )


def missing_settings(settings: Settings) -> list[str]:
    """Give the variables that new machines need and that are not set."""
    needed = ("ec2_kit_url", "ec2_kit_sha256", "ec2_subnets", "ec2_security_groups", "ec2_instance_profile")
    return [variable(field) for field in needed if not getattr(settings, field)]


def queue_of(parts: Parts, job: str) -> str:
    """Return the name of the queue that a group of machines can follow.

    Raises:
        UsageError: the queue is a table of the database (E_SCALE_NO_QUEUE).
    """
    name = parts.queues.admin(job).metric_name()
    if name is None:
        raise UsageError(
            f"The queue of the job {job} is a table of the database, and only one on SQS can be followed.",
            code="E_SCALE_NO_QUEUE",
            hint="Set BEC_REGION, or give the number of machines yourself: `bec scale up`.",
        )
    return name
