"""The policies of deploy/ with their words filled in, read as IAM reads them: what is denied is denied."""

import fnmatch
import json
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
REGION, ACCOUNT = "us-east-1", "123456789012"
# The words in capitals that an operator replaces (docs/operating.md); the longer ones first.
FILLED_IN = {
    "WORKER_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:worker",
    "SQL_PASSWORD_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db",
    "WORKER_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/worker",
    "SOURCE_BUCKET": "archive",
    "DEST_BUCKET": "results",
    "KIT_BUCKET": "kit",
    "REGION": REGION,
    "ACCOUNT": ACCOUNT,
    "JOB": "ldv1",
}


def statements(name: str) -> list[dict[str, Any]]:
    """Return the statements of a policy as they stand in deploy/."""
    policy = json.loads((DEPLOY / name).read_text("utf-8"))
    assert policy["Version"] == "2012-10-17"
    return list(policy["Statement"])


def filled_in(text: str, **words: str) -> str:
    """Replace the words in capitals."""
    for word, value in {**FILLED_IN, **words}.items():
        text = text.replace(word, value)
    return text


class Policy:
    """Says what a policy allows; `words` are values of words in capitals, in place of those above."""

    def __init__(self, name: str, **words: str) -> None:
        self._statements: list[dict[str, Any]] = json.loads(filled_in(json.dumps(statements(name)), **words))

    def allows(self, action: str, resource: str) -> bool:
        """Whether it may be done."""
        return self._says("Allow", action, resource) and not self.denies(action, resource)

    def denies(self, action: str, resource: str) -> bool:
        """Whether it may not be done, whatever other policies allow."""
        return self._says("Deny", action, resource)

    def _says(self, effect: str, action: str, resource: str) -> bool:
        said = [one for one in self._statements if one["Effect"] == effect and _is_about(one, action)]
        return any(fnmatch.fnmatchcase(resource, pattern) for one in said for pattern in _listed(one["Resource"]))


def _is_about(statement: dict[str, Any], action: str) -> bool:
    return action not in statement["NotAction"] if "NotAction" in statement else action in statement["Action"]


def _listed(resources: str | list[str]) -> list[str]:
    return [resources] if isinstance(resources, str) else resources
