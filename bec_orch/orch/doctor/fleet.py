"""Checks of what only a fleet has: TLS to the database, credentials and rights, machines."""

from collections.abc import Sequence

from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.aws.ec2 import MachineSpec
from bec_orch.io.aws.identity import identity
from bec_orch.io.aws.operator_rights import missing_operator_rights, why_no_machine
from bec_orch.io.postgres.database import Database, first
from bec_orch.orch.doctor.checks import Finding, Level

_TLS = b"SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_VERIFIED = frozenset({"verify-ca", "verify-full"})


def check_tls(database: Database, sslmode: str, why: str, *, local: bool) -> Finding:
    """Whether the connection to the database is encrypted, and its server known.

    Args:
        database: the database.
        sslmode: what was asked for.
        why: why that was asked for.
        local: whether the server is on this machine.
    """
    with database.transaction("tell of its encryption") as connection:
        found = first(connection, _TLS, {}) or {"ssl": False, "version": None}
    message = f"{found['version'] if found['ssl'] else 'not encrypted'} (sslmode {sslmode}: {why})"
    if local or (found["ssl"] and sslmode in _VERIFIED):
        return Finding("database TLS", Level.OK, message)
    hint = "Set BEC_SQL_SSLROOTCERT to the file of the CA of the server; docs/operating.md tells where RDS has its."
    return Finding("database TLS", Level.WARN, message, hint)


def check_identity(options: AwsOptions) -> Finding:
    """Whether there are credentials, and whose they are."""
    return Finding("credentials", Level.OK, f"{identity(options)} in {options.region or 'the region of the SDK'}")


def check_rights(options: AwsOptions) -> Finding:
    """Whether we may do what an operator does with machines; a machine itself needs none of it."""
    missing = missing_operator_rights(options)
    if not missing:
        return Finding("operator rights", Level.OK, "machines may be looked at, made and changed, and metrics read")
    hint = "Only `bec scale` and `bec queue stats` need it: deploy/iam-operator.json is what an operator needs."
    return Finding("operator rights", Level.WARN, f"not allowed: {', '.join(missing)}", hint)


def check_machines(options: AwsOptions, spec: MachineSpec, missing: Sequence[str]) -> Finding:
    """Whether AWS would start a machine such as `bec scale up` makes.

    Args:
        options: where AWS is.
        spec: what a new machine is.
        missing: the settings that it lacks.
    """
    check = "new machines"
    if missing:
        return Finding(check, Level.OK, f"only groups of a stack can be resized: {', '.join(missing)} not set")
    why = why_no_machine(options, spec)
    if not why:
        return Finding(check, Level.OK, "AWS would start one (asked by a dry run)")
    hint = (
        "Check the BEC_EC2_* settings, which must be of BEC_REGION; deploy/iam-operator.json is what an operator needs."
    )
    return Finding(check, Level.WARN, f"AWS would not start one: {why}", hint)
