"""What CloudWatch knows of a queue: the age of its oldest message, which SQS itself does not report."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

OLDEST_MESSAGE = "ApproximateAgeOfOldestMessage"
_PERIOD = 60
# SQS sends its metrics each minute, some of them late; of a queue that nobody used for six hours it sends none.
_LOOK_BACK = dt.timedelta(minutes=15)


def newest_value(
    client: "CloudWatchClient", namespace: str, metric: str, dimensions: Mapping[str, str]
) -> float | None:
    """Return the newest maximum of a metric, None when there was none in the last minutes."""
    now = dt.datetime.now(dt.UTC)
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    asked: Any = {
        "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": named},
        "Period": _PERIOD,
        "Stat": "Maximum",
    }
    found = client.get_metric_data(
        MetricDataQueries=[{"Id": "newest", "MetricStat": asked}],
        StartTime=now - _LOOK_BACK,
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    values = found["MetricDataResults"][0].get("Values", [])
    return float(values[0]) if values else None
