"""The Dockerfile of the documentation."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


@pytest.mark.skipif(not HADOLINT.exists(), reason="needs hadolint, which the group dev has")
def test_a_linter_has_nothing_to_say(tmp_path):
    page = (ROOT / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    [content] = re.findall(r"^```dockerfile\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "Dockerfile").write_text(content, encoding="utf-8")
    done = subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
