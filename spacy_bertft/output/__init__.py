"""Atomic writes: files and directories that are either complete or absent.

In: a path. Out: a context with a temporary path next to it (`.NAME.….tmp`), which is flushed to the disk and then
replaces the path. Knows nothing of what is written. The old content stays complete until the new one is:

- A file is replaced in one step, on every system.
- A directory is exchanged in one step by Linux and macOS, where the file system supports it: ext4, XFS, Btrfs, tmpfs
  and APFS do. Elsewhere (Windows, most network disks) it takes two renames; a process that is killed between them
  leaves the old directory as `.NAME.….old`, and the next process that writes there puts it back first.
- Several files are several steps. After an error those that were replaced are put back; a kill between two of these
  renames leaves files of both, each of them complete.

Any exception removes what is unfinished. A kill cannot; the next process that writes to the same path does, except on
Windows. By a lock it knows that no process is still writing.
"""

from spacy_bertft.output.files import link_or_copy, replace_all_when_done, replace_when_done
from spacy_bertft.output.folders import (
    make_folder_beside,
    replace_folder,
    replace_folder_when_done,
    update_folder_when_done,
)
from spacy_bertft.output.hidden import name_path

__all__ = [
    "link_or_copy",
    "make_folder_beside",
    "name_path",
    "replace_all_when_done",
    "replace_folder",
    "replace_folder_when_done",
    "replace_when_done",
    "update_folder_when_done",
]
