"""The machines and worker processes of a job, and what this machine is."""

import sys

from bec_orch.cli.composition.stores import aws_options
from bec_orch.core.life.observing import WorkerObserver
from bec_orch.io.aws.ec2 import Ec2Fleet, MachineSpec
from bec_orch.io.aws.emf import EmfObserver
from bec_orch.io.aws.imds import InstanceMetadata, metadata_of_this_machine
from bec_orch.orch.machines.local import LocalScaling
from bec_orch.orch.machines.prices import PriceTable, read_prices
from bec_orch.orch.machines.scaling import STOP_MARGIN_SECONDS, FleetScaling
from bec_orch.settings.config import Settings, variable


def prices(settings: Settings) -> PriceTable:
    """Return what machines cost."""
    return read_prices(settings.prices_file)


def machines_of(settings: Settings, job: str) -> FleetScaling:
    """Return what plans and shows a job's machines on EC2."""
    return FleetScaling(Ec2Fleet(job, aws_options(settings)), prices(settings), grace=settings.grace_seconds)


def local_workers_of(settings: Settings, job: str) -> LocalScaling:
    """Return what plans and shows a job's workers on this machine."""
    # -P: nothing is imported from the current folder.
    command = (sys.executable, "-P", "-m", "bec_orch.cli.main", "--home", str(settings.home), "worker", "--job", job)
    return LocalScaling(job, settings.home, command, patience=settings.grace_seconds + STOP_MARGIN_SECONDS)


def network_spec(settings: Settings) -> MachineSpec:
    """Return what each new machine is before it runs anything."""
    return MachineSpec(
        image=settings.ec2_image,
        subnets=settings.ec2_subnets,
        security_groups=settings.ec2_security_groups,
        instance_profile=settings.ec2_instance_profile or "",
        user_data="",
        disk_gib=settings.ec2_disk_gib,
    )


def missing_settings(settings: Settings) -> list[str]:
    """Return the variables that new machines need and that are not set."""
    needed = ("ec2_kit_url", "ec2_kit_sha256", "ec2_subnets", "ec2_security_groups", "ec2_instance_profile")
    return [variable(field) for field in needed if not getattr(settings, field)]


def this_machine(settings: Settings) -> InstanceMetadata | None:
    """Open the metadata service of this machine; None outside of EC2."""
    return metadata_of_this_machine(settings.imds_url)


def with_metrics(settings: Settings, observer: WorkerObserver) -> WorkerObserver:
    """Have metrics logged, too, if the settings say so."""
    on_ec2 = settings.metrics == "auto" and this_machine(settings) is not None
    return EmfObserver(observer) if on_ec2 or settings.metrics == "emf" else observer
