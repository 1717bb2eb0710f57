"""Files and folders that are either whole or not there.

What is written goes under a hidden name beside its place (`.NAME.….tmp`), is flushed to the disk, and only then takes
its place. So what stood there before stays whole until what is new is whole:

- A file is replaced in one step, on every system.
- A folder is exchanged in one step by Linux and macOS, where the file system can do that: ext4, XFS, Btrfs, tmpfs and
  APFS can. Elsewhere (Windows, most network disks) it takes two renames; a process that is killed between them leaves
  the old folder as `.NAME.….old`, and the next one that writes there puts it back first.
- Several files are several steps. After an error those that were replaced are put back; a kill between two of these
  renames leaves files of both, each of them whole.

An error, or an exception of any other kind, removes what is unfinished. A kill cannot; the next process that writes to
the same place does, except on Windows. It knows by a lock that nobody is at work on it any more.
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
