"""All that commands ask of one database, by ports."""

from dataclasses import dataclass

from bec_orch.core.records.backlog import Backlog
from bec_orch.core.records.checks import DatabaseChecks
from bec_orch.core.records.deaths import Deaths
from bec_orch.core.records.jobs import Jobs
from bec_orch.core.records.ledger import Ledger
from bec_orch.core.records.listings import Listings
from bec_orch.core.records.overview import Overview


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one database, for each who asks."""

    jobs: Jobs
    backlog: Backlog
    overview: Overview
    listings: Listings
    ledger: Ledger
    deaths: Deaths
    checks: DatabaseChecks
