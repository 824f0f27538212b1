"""The composition root: builds the real parts from the settings, and hands them to what uses them."""

import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bec_orch import __version__
from bec_orch.cli.process.interrupts import INTERRUPTS
from bec_orch.config import QueueName, Settings, sslmode_for, variable
from bec_orch.core.life.flight import FlightRecorder
from bec_orch.core.life.housekeeping import maintenance
from bec_orch.core.life.job_workers import JobWorkerCache
from bec_orch.core.life.observing import Observed, WorkerObserver
from bec_orch.core.life.standings import Standings
from bec_orch.core.life.worker_options import Outside, WorkerOptions
from bec_orch.core.life.worker_runtime import BECWorker
from bec_orch.core.names import printable
from bec_orch.core.own_home import require_own_home
from bec_orch.core.ownership import Owner
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.records.checks import COMMAND
from bec_orch.core.records.earlier import EARLIER_DATABASE, EarlierSystem
from bec_orch.core.records.records import Records
from bec_orch.core.registry import create_job_worker
from bec_orch.core.retries import RetryPolicy
from bec_orch.core.shortages import shortage_of
from bec_orch.core.tasks import DoneTask, Job, WorkerInfo
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.aws.ec2 import Ec2Fleet, MachineSpec
from bec_orch.io.aws.emf import EmfObserver
from bec_orch.io.aws.imds import Ec2Machine, InstanceMetadata, metadata_of_this_machine
from bec_orch.io.aws.secrets import password_of_file, password_of_secret
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.checks import PgChecks
from bec_orch.io.postgres.connection import conninfo_of
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.deaths import PgDeaths
from bec_orch.io.postgres.earlier import PgEarlierSystem, parse_dsn, tell_of_earlier
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.identity import keep_identity, owner_of
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.postgres.listings import PgListings
from bec_orch.io.postgres.migrate import migrate, require_schema
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.taking_over import PgTakingOver
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.io.sources.sources import Sources
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.io.stores.errors import file_errors
from bec_orch.io.stores.model_store import CachedModels
from bec_orch.io.stores.storage import S3Options, Stores
from bec_orch.io.workspace import note_destination, require_destination
from bec_orch.jobs.earlier.columns import in_our_columns
from bec_orch.logging_setup import hide
from bec_orch.orch.earlier.taking_over import EarlierImport
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.machines.local import LocalScaling
from bec_orch.orch.machines.prices import PriceTable, read_prices
from bec_orch.orch.machines.scaling import STOP_MARGIN_SECONDS, FleetScaling
from bec_orch.orch.runs.local_run import LocalRun
from bec_orch.orch.runs.single_volume import SingleVolume

MEBIBYTE = 2**20
_HEARTBEAT_SECONDS = 15.0
# So many folders that have a database are named where one was asked for that has none.
_HOMES = 5
# Outlives the folder of the embedded database, which may be removed: its successor goes on for it.
IDENTITY = "identity"
"""The file in the home that keeps the identity of the embedded database."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The real parts that commands work with."""

    settings: Settings
    database: Database
    store: PgTasks
    records: Records
    queues: QueueBackend
    stores: Stores
    sources: Sources
    owner: Owner

    def artefacts(self) -> StoredArtefacts:
        """Open the destination store; a missing folder is made.

        Raises:
            ConfigError: the tasks of this home were finished in another one (E_DEST_OTHER).
        """
        if self.settings.sql_host is None:
            require_destination(self.settings.home, self.settings.dest_url)
        objects = self.stores.open(self.settings.dest_url, create=True)
        return StoredArtefacts(objects, work_dir(self.settings), self.owner, in_our_columns)

    @property
    def default_source(self) -> str:
        """The source of volumes that name none; empty when no source is set."""
        return self.settings.default_source or ""


@contextmanager
def open_database(settings: Settings, application: str = COMMAND, *, make_home: bool = False) -> Iterator[Database]:
    """Open the database of the settings, the embedded one if they name none; it is given our name.

    Only with `make_home` is an embedded one made where there is none.

    Raises:
        ConfigError: there is none (E_HOME_MISSING), or the home is somebody else's (E_PG_OWNER).
    """
    require_own_home(settings.home)
    if not make_home:
        require_home(settings)
    with ExitStack() as stack:
        own = stack.enter_context(EmbeddedPostgres(settings.home)) if settings.sql_host is None else None
        conninfo = own.conninfo if own else sql_conninfo(settings)
        database = Database(
            conninfo,
            # What a stopped worker locked is free again when its lease is over, too.
            idle_within=settings.lease_seconds,
            on_fault=own.mend if own else tell_of_earlier(conninfo),
            application=application,
        )
        yield stack.enter_context(database)


def require_home(settings: Settings) -> None:
    """See that the database of local mode was made, if it is what the settings name.

    Raises:
        ConfigError: it was not (E_HOME_MISSING).
    """
    if settings.sql_host is not None or os.path.lexists(settings.home / "pg"):
        return
    folders = (path for path in (Path("~/.bec").expanduser(), *Path.cwd().iterdir()) if path != settings.home)
    homes = [printable(str(path)) for path in sorted(folders) if has_database(path)]
    more = f", and {len(homes) - _HOMES:,} more" if len(homes) > _HOMES else ""
    raise ConfigError(
        f"There is no database of jobs in {settings.home}.",
        code="E_HOME_MISSING",
        hint=f"These folders have one, and --home names it: {', '.join(homes[:_HOMES])}{more}."
        if homes
        else "`bec run` and `bec jobs create` make one; --home, or BEC_HOME, names another folder.",
    )


def has_database(home: Path) -> bool:
    """Return whether a folder is a home that has an embedded database, as PostgreSQL recognises one."""
    return os.path.lexists(home / "pg" / "data" / "PG_VERSION")


@contextmanager
def open_parts(settings: Settings, application: str = COMMAND, *, make_home: bool = False) -> Iterator[Parts]:
    """Open everything that a command, or a worker, needs of the outside world, and close it after the block.

    The schema of an embedded database is brought up to date; that of a shared one is the operator's decision.

    Raises:
        ConfigError: the embedded database was not made yet (E_HOME_MISSING), and `make_home` does not say to.
    """
    with ExitStack() as stack:
        database = stack.enter_context(open_database(settings, application, make_home=make_home))
        _bring_up(settings, database)
        queues = open_queues(settings, database)
        stack.callback(queues.close)
        retry = RetryPolicy(settings.backoff_base_seconds, settings.backoff_cap_seconds)
        store = PgTasks(
            database,
            default_source=settings.default_source or "",
            retry=retry,
            outage_grace=_outage_grace(settings),
        )
        stores = open_stores(settings)
        records, sources, owner = records_in(database), Sources(stores), owner_of(database)
        yield Parts(settings, database, store, records, queues, stores, sources, owner)


def _bring_up(settings: Settings, database: Database) -> None:
    if settings.sql_host is None:
        migrate(database)
        keep_identity(database, settings.home / IDENTITY)
    else:
        require_schema(database)


def records_in(database: Database) -> Records:
    """Return all that commands ask of a database."""
    return Records(
        jobs=PgJobs(database),
        backlog=PgBacklog(database),
        overview=PgOverview(database),
        listings=PgListings(database),
        ledger=PgLedger(database),
        deaths=PgDeaths(database),
        checks=PgChecks(database),
    )


def local_run(parts: Parts) -> LocalRun:
    """Return what administers a run on this machine."""
    records = parts.records
    return LocalRun(records.jobs, records.backlog, records.overview, parts.queues, parts.stores.open)


def open_stores(settings: Settings) -> Stores:
    """Return the opener of object stores."""
    options = S3Options(
        endpoint_url=settings.aws_endpoint_url,
        region=settings.region,
        requester_pays=frozenset(settings.s3_requester_pays),
        anonymous=frozenset(settings.s3_anonymous),
    )
    return Stores(options, follow_links=settings.follow_links)


def aws_options(settings: Settings) -> AwsOptions:
    """Return where AWS's services are."""
    return AwsOptions(settings.region, settings.aws_endpoint_url)


def open_queues(settings: Settings, database: Database) -> QueueBackend:
    """Open the queues of the settings."""
    return _QUEUES[settings.queue_backend](settings, database)


def sqs_queues(settings: Settings) -> SqsQueues:
    """Return the queues on SQS."""
    endpoint_url = settings.sqs_endpoint_url or settings.aws_endpoint_url
    aws = AwsOptions(settings.region, endpoint_url)
    return SqsQueues(
        SqsOptions(aws, settings.queue_urls, visibility=round(settings.lease_seconds), metrics=aws_options(settings))
    )


# Each queue back-end by its name, which BEC_QUEUE takes (`config.QueueName`).
_QUEUES: Mapping[QueueName, Callable[[Settings, Database], QueueBackend]] = {
    "pg": lambda _settings, database: PgQueues(database),
    "sqs": lambda settings, _database: sqs_queues(settings),
}


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


def sql_conninfo(settings: Settings) -> str:
    """Return the libpq connection string of the database that the settings name."""
    return conninfo_of(
        host=settings.sql_host,
        port=settings.sql_port,
        user=settings.sql_user,
        password=_password(settings),
        dbname=settings.sql_database,
        sslmode=settings.sql_sslmode,
        sslrootcert=settings.sql_sslrootcert,
    )


@dataclass(frozen=True, slots=True)
class EarlierAccess:
    """Where the earlier system's database is, as libpq says it, and where its password is, if it is not ours."""

    dsn: str
    password_file: Path | None = None
    password_secret: str | None = None


def earlier_system(settings: Settings, access: EarlierAccess) -> EarlierSystem:
    """Return the earlier system's database: what its connection string leaves out is as for our own server.

    Raises:
        UsageError: the connection string is none, or holds a password (E_EARLIER_DSN), or two passwords are named.
        ConfigError, RetryableError: the password cannot be read.
    """
    named = parse_dsn(access.dsn)
    ours = {"host": settings.sql_host, "port": str(settings.sql_port), "user": settings.sql_user}
    at = {"dbname": EARLIER_DATABASE, **({} if "host" in named else ours), **named}
    host, rootcert = at.get("host"), at.get("sslrootcert", settings.sql_sslrootcert)
    # Our own password goes to our own server and user alone.
    is_ours = {name: at.get(name) for name in ours} == ours
    password = _earlier_password(settings, access) or (_password(settings) if is_ours else None)
    sslmode = settings.sql_sslmode if is_ours else sslmode_for(host, rootcert)
    return PgEarlierSystem(conninfo_of(**{"sslmode": sslmode, **at, "sslrootcert": rootcert, "password": password}))


def _earlier_password(settings: Settings, access: EarlierAccess) -> str | None:
    if access.password_file and access.password_secret:
        raise UsageError("--password-file and --password-secret were both given.", hint="Give one of them.")
    if access.password_file:
        password = password_of_file(access.password_file)
    elif access.password_secret:
        password = password_of_secret(access.password_secret, aws_options(settings))
    else:
        return None
    hide(password)
    return password


def earlier_import(parts: Parts, earlier: EarlierSystem, source: str, *, dry_run: bool) -> EarlierImport:
    """Return what takes over the earlier system's records."""
    admin, ours = JobAdmin(parts.records.jobs), PgTakingOver(parts.database)
    return EarlierImport(earlier, admin, ours, parts.artefacts(), source, dry_run=dry_run)


def worker_resources(settings: Settings, stores: Stores) -> WorkerResources:
    """Return what a job worker may use of this machine."""
    return WorkerResources(
        threads=settings.threads,
        memory_budget=settings.memory_budget_mib * MEBIBYTE,
        models=CachedModels(stores, settings.home / "models"),
        model_path=settings.ld_model_path,
        max_image_pixels=settings.max_image_pixels,
        open_store=stores.open,
    )


@contextmanager
def worker(
    parts: Parts, job: Job, info: WorkerInfo, observer: WorkerObserver, *, slots: int = 1, grace: float | None = None
) -> Iterator[BECWorker]:
    """Build a worker of the job in this process; models are freed after the block.

    Args:
        parts: the opened parts.
        job: the job to work for.
        info: who works.
        observer: is notified of what the worker does.
        slots: how many volumes it holds at once.
        grace: seconds that a stop leaves for finishing, instead of the setting.
    """
    settings = parts.settings
    options = _worker_options(settings, slots, settings.grace_seconds if grace is None else grace)
    with _at_work(parts, observer) as (job_workers, standings):
        yield BECWorker(job, info, _outside(parts), job_workers, standings, options)


@contextmanager
def single_volume(parts: Parts, job: Job, observer: WorkerObserver) -> Iterator[SingleVolume]:
    """Build what does one volume of the job in this process, past the queue; models are freed after the block."""
    options = _worker_options(parts.settings, slots=1, grace=0.0)
    with closing(PgQueues(parts.database)) as queues, _at_work(parts, observer) as (job_workers, standings):
        yield SingleVolume(job, worker_info(job), _outside(parts), job_workers, standings, options, queues)


@contextmanager
def _at_work(parts: Parts, observer: WorkerObserver) -> Iterator[tuple[JobWorkerCache, Standings]]:
    """Build what all work in this process has in common: its models, and the record of where its tasks stand."""
    standings = Standings()
    job_workers = JobWorkerCache(worker_resources(parts.settings, parts.stores))
    # First of all, so that a page is on the record before anything else hears of it.
    flights = _flight_recorder(work_dir(parts.settings), standings)
    INTERRUPTS.last_words = flights.note_late
    standings.subscribe(Observed(observer))
    try:
        yield job_workers, standings
    finally:
        INTERRUPTS.last_words = None
        flights.close()
        job_workers.close()


def require_loadable(parts: Parts, job: Job) -> None:
    """Load what a job works with, and free it again.

    Raises:
        ConfigError: a package, an engine, a language or a model is missing or wrong.
    """
    create_job_worker(job.type, job.config, worker_resources(parts.settings, parts.stores)).close()


def look_again(parts: Parts, job: Job, done: Sequence[DoneTask]) -> None:
    """Look at finished artefacts: one that is gone or broken is queued again.

    Raises:
        StorageError: the destination is away, or so much is gone that it cannot be the right one.
    """
    maintenance(job, _outside(parts), _worker_options(parts.settings, slots=1, grace=0.0)).look_at(done)


def _outside(parts: Parts) -> Outside:
    artefacts, settings = parts.artefacts(), parts.settings
    if settings.sql_host is None:
        note_destination(settings.home, settings.dest_url)
    return Outside(parts.store, parts.queues, parts.sources, artefacts, parts.stores.open)


def _flight_recorder(folder: Path, standings: Standings) -> FlightRecorder:
    with file_errors(f"write the record of this process in {folder}"):
        return FlightRecorder(folder, standings)


def worker_info(job: Job, machine: Ec2Machine | None = None) -> WorkerInfo:
    """Describe the worker to the database: who works, and on which machine of EC2."""
    # Two workers on one host are two workers, also when a process id comes back.
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    info = WorkerInfo(worker_id, job.id, socket.gethostname(), os.getpid(), __version__)
    if machine is None:
        return info
    return replace(
        info, instance_id=machine.instance_id, instance_type=machine.instance_type, lifecycle=machine.lifecycle
    )


def work_dir(settings: Settings) -> Path:
    """Return the folder for the files of running attempts; made when it is not there.

    Raises:
        ConfigError: it cannot be made.
    """
    folder = settings.home / "work"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        lacking = shortage_of(error)
        if lacking:
            raise lacking from error
        raise ConfigError(
            f"The folder {folder} cannot be made: {said(error)}.", code="E_HOME", hint="Set BEC_HOME to another one."
        ) from error
    return folder


def _password(settings: Settings) -> str | None:
    if settings.sql_password:
        return settings.sql_password.get_secret_value()
    if settings.sql_password_file:
        password = password_of_file(settings.sql_password_file)
    elif settings.sql_password_secret:
        password = password_of_secret(settings.sql_password_secret, aws_options(settings))
    else:
        return None
    hide(password)
    return password


def _outage_grace(settings: Settings) -> float:
    # Leases run out when the database was away for three quarters of one. An embedded server is away with its machine.
    return settings.lease_seconds / 2 if settings.sql_host else 0.0


def _worker_options(settings: Settings, slots: int, grace: float) -> WorkerOptions:
    return WorkerOptions(
        work_dir=work_dir(settings),
        default_source=settings.default_source or "",
        lease=settings.lease_seconds,
        poll_wait=settings.poll_seconds,
        grace=grace,
        slots=slots,
        # Four in an outage's grace, so that one that is late does not count as silence.
        heartbeat_every=min(_HEARTBEAT_SECONDS, settings.lease_seconds / 8),
        maintenance_every=settings.maintenance_seconds,
        redispatch_after=settings.redispatch_after_seconds,
        failures_in_a_row=settings.black_hole_guard,
        refusal_patience=settings.lease_seconds / 2,
        stall_timeout=settings.stall_seconds,
    )
