"""Two names exchanged in one step, which Python's library does not offer."""

from __future__ import annotations

import os
import sys
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path

_CANNOT = (ENOSYS, EINVAL, ENOTSUP)  # what a system or a file system answers to what it does not know


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders, or two files, in one step.

    Returns:
        Whether that was possible; on some systems and file systems it is not.

    Raises:
        OSError: It is possible, but was refused.
    """
    import ctypes

    # AT_FDCWD and RENAME_EXCHANGE of Linux; RENAME_SWAP of macOS.
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        name, arguments = "renameat2", (-100, paths[0], -100, paths[1], ctypes.c_uint(2))
    elif sys.platform == "darwin":
        name, arguments = "renamex_np", (*paths, ctypes.c_uint(2))
    else:
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if rename is None:  # an old system
        return False
    if rename(*arguments) == 0:
        return True
    error = ctypes.get_errno()
    if error in _CANNOT:
        return False
    raise OSError(error, os.strerror(error), str(other))
