"""Checks of what only a fleet has: TLS to the database, credentials and rights, machines."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bec_orch.core.records.checks import GRANTS, Connected, DatabaseChecks
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.aws.ec2 import MachineSpec
from bec_orch.io.aws.identity import identity
from bec_orch.io.aws.operator_rights import missing_operator_rights, why_no_machine
from bec_orch.orch.doctor.checks import Finding, Level, examine

_VERIFIED = frozenset({"verify-ca", "verify-full"})


def check_tls(database: DatabaseChecks, sslmode: str, why: str, *, local: bool) -> Finding:
    """Whether the connection to the database is encrypted, and its server known.

    Args:
        database: the database.
        sslmode: what was asked for.
        why: why that was asked for.
        local: whether the server is on this machine.
    """
    encryption = database.encryption()
    message = f"{encryption or 'not encrypted'} (sslmode {sslmode}: {why})"
    if local or (encryption and sslmode in _VERIFIED):
        return Finding("database TLS", Level.OK, message)
    hint = "Set BEC_SQL_SSLROOTCERT to the file of the CA of the server; docs/operating.md says where RDS has its."
    return Finding("database TLS", Level.WARN, message, hint)


def check_database_users(database: DatabaseChecks, of_machines: str, *, with_queue: bool, local: bool) -> list[Finding]:
    """Whether workers connect as a user that can do what they need, and nothing else.

    Looked at are: who is connected as a worker now, whom new machines will connect as, and we ourselves, unless we own
    the tables as an operator does.

    Args:
        database: a database with the tables of this version.
        of_machines: the user that new machines connect as.
        with_queue: whether the queue is a table of this database.
        local: whether the server is on this machine: nobody is warned there of workers that may do too much.
    """
    found = database.connected()
    users = {*found.workers, *(() if found.is_owner else (found.user,))} or {of_machines}
    looks = {user: partial(_of_user, database, user, found, with_queue=with_queue) for user in sorted(users)}
    findings = [examine(_named(user), look) for user, look in looks.items()]
    return [replace(one, level=Level.OK) if local and one.level is Level.WARN else one for one in findings]


def _named(user: str) -> str:
    return f"database user {user}"


def _of_user(database: DatabaseChecks, user: str, found: Connected, *, with_queue: bool) -> Finding:
    check, rights = _named(user), database.rights_of(user, with_queue=with_queue)
    if not rights.exists:
        message = f"there is none: workers would connect as {found.owner}, who owns the tables"
        return Finding(check, Level.WARN, message, GRANTS)
    if rights.missing:
        return Finding(check, Level.FAIL, f"lacks rights that a worker needs: {'; '.join(rights.missing)}", GRANTS)
    if not rights.excess:
        return Finding(check, Level.OK, "may do what a worker needs, and nothing else")
    who = "a worker is connected as this user, who" if user in found.workers else "this user"
    hint = f"Give workers a user of their own, in BEC_EC2_SQL_USER or the stack's SqlUser. {GRANTS}"
    return Finding(check, Level.WARN, f"{who} may do what no worker needs: {'; '.join(rights.excess)}", hint)


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
