"""What `jali up` does to a Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from components.core.settings import Settings

ROOT = Path(__file__).parents[2]


def set_up(server: Settings) -> None:
    """Give the server its pools, deployments, limits and automations."""
    environment = {**os.environ, **server.prefect_environment, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "flows.setup"], cwd=ROOT, env=environment, check=True, capture_output=True)
