"""A command that receives SIGTERM removes what is unfinished, and ends by the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spacy_bertft.cli.shutdown import clean_up_when_terminated, end_at_once_when_terminated

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")

WRITE = """
import os, signal, sys, time
from pathlib import Path
from spacy_bertft.cli import shutdown
from spacy_bertft.cli.shutdown import clean_up_when_terminated, end_at_once_when_terminated
from spacy_bertft.output import replace_folder_when_done
class Dies:
    def __del__(self):  # Python ignores what is raised here
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))
shutdown._AT_ONCE = 1e6  # however long this process has to wait between two signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which `nohup` would have it ignore
with clean_up_when_terminated():
    try:
        with replace_folder_when_done(Path(sys.argv[1])) as folder:
            (folder / "a").write_text("half")
            if sys.argv[2] == "at once":
                end_at_once_when_terminated()
            if sys.argv[2] == "while deleting":
                Dies()
                time.sleep(60)
            os.kill(os.getpid(), getattr(signal, sys.argv[3]))
            time.sleep(60)
    finally:
        if sys.argv[2] == "twice":
            os.kill(os.getpid(), getattr(signal, sys.argv[3]))
        print("cleaned up", flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("how", ["once", "twice", "at once", "while deleting"])
def test_what_is_half_written_is_removed(tmp_path: Path, how: str, name: str) -> None:
    arguments = [sys.executable, "-c", WRITE, str(tmp_path / "model"), how, name]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == -signal.Signals[name]
    assert done.stderr == ""
    assert done.stdout == ("" if how == "at once" else "cleaned up\n")
    assert len(list(tmp_path.iterdir())) == (how == "at once")


FORK = """
import os, signal, sys
from spacy_bertft.cli.shutdown import clean_up_when_terminated
with clean_up_when_terminated():
    if not (child := os.fork()):
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(3)
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status), flush=True)
"""


@pytest.mark.process
def test_a_forked_child_ends_without_a_word() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{int(signal.SIGTERM)}\n", "")


def find_handler() -> object:
    with clean_up_when_terminated():
        return signal.getsignal(signal.SIGTERM)


def test_handlers_of_others_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert callable(find_handler())
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(find_handler).result() is signal.SIG_DFL
            pool.submit(end_at_once_when_terminated).result()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert find_handler() is signal.SIG_IGN
        end_at_once_when_terminated()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
