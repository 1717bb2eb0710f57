"""Commands in processes of their own, as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(*arguments: object, cwd: Path) -> str:
    """Run Python with some arguments and return what it printed; anything but success is a failure of the test."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=environment
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr
