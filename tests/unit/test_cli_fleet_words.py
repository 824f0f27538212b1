"""How costs and machines are told: what is unknown is told as unknown."""

import datetime as dt
from dataclasses import replace

import pytest

from bec_orch.cli.scale.status import show_fleet
from bec_orch.core.records.overview import WorkerCondition, WorkerTask, WorkerView
from bec_orch.io.aws.ec2 import Group, GroupMachine, Mix
from bec_orch.orch.machines.prices import Cost
from bec_orch.orch.machines.scaling import FleetStatus, MachineStatus

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
MACHINE = GroupMachine("i-1", "g6.xlarge", spot=True, zone="us-east-1b", state="InService", launched_at=NOON)
WORKER = WorkerView(
    "w-1", "ldv1", "i-1", 7, "0", WorkerCondition.WORKING, 3.0, (WorkerTask(1, "W1", "I1", 12, 400, NOON),), NOON, NOON,
    None, None, "i-1", "g6.xlarge", "spot",
)  # fmt: skip
GROUP = Group("bec-ldv1", "bec-scale", None, 0, 4, 1, Mix(("g6.xlarge",), spot=True), {}, 150, None, (MACHINE,))
STATUS = FleetStatus(GROUP, (MachineStatus(MACHINE, (WORKER,), 0.3),), (), (), 0.3, "USD")


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (Cost(12.345, 0.0, "USD"), "12.35 USD"),
        (Cost(0.0, 2.0, "USD"), "unknown (2.0 machine hours without a price)"),
        (Cost(1.5, 2.0, "EUR"), "1.50 EUR and 2.0 machine hours without a price"),
    ],
)
def test_a_cost_is_never_shown_as_less_than_it_is(cost: Cost, words: str) -> None:
    assert cost.words == words


def test_machines_are_shown_with_their_workers_and_price(capsys: pytest.CaptureFixture[str]) -> None:
    show_fleet(STATUS, as_json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "bec-ldv1: 1 machine wanted, from 0 to 4." in out
    assert "0.300 USD" in out
    assert "W1/I1 12/400" in out
    assert "All together, an hour: 0.30 USD" in out


def test_what_is_odd_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    odd = replace(
        STATUS,
        group=replace(GROUP, target=25.0),
        machines=(MachineStatus(replace(MACHINE, instance_type=""), (), None),),
        elsewhere=(replace(WORKER, host="laptop"),),
        failed_launches=("We have no g6.xlarge.",),
        hourly=None,
    )
    show_fleet(odd, as_json=False)
    written = capsys.readouterr()
    assert "a machine for every 25 waiting messages" in written.out
    assert "All together, an hour: unknown" in written.out
    assert "elsewhere: w-1 on laptop, working, heard of 3 s ago" in written.out
    assert written.err == "warning: a machine could not be started: We have no g6.xlarge.\n"
