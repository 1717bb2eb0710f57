"""Inputs that are not a file themselves, but tell how to damage one that is whole.

libFuzzer knows nothing of checksums, lengths and nesting: random bytes would all be refused at the door.
"""

from __future__ import annotations

from struct import unpack_from

_SIZE = 4  # bytes of an edit, and what it puts in


def apply_edits(content: bytes, edits: bytes) -> bytes:
    """Edit a file.

    Args:
        content: The file.
        edits: One after the other: what is done, where (two bytes, as a share of the file), how many bytes are
            concerned, and those that are put in.
    """
    position = 0
    while position + _SIZE <= len(edits):
        kind, share, size = unpack_from("<BHB", edits, position)
        start = share * (len(content) + 1) >> 16
        given = edits[position + _SIZE : position + _SIZE + size]
        position += _SIZE
        if kind % 6 in (0, 1):  # insert, or replace what is there
            position += len(given)
            content = content[:start] + given + content[start + (len(given) if kind % 6 else 0) :]
        elif kind % 6 == 2:  # leave out
            content = content[:start] + content[start + size :]
        elif kind % 6 == 3:  # end here
            content = content[:start]
        elif kind % 6 == 4:  # repeat
            content = content[:start] + content[start : start + size] * 2 + content[start + size :]
        elif start < len(content):  # flip a bit
            content = content[:start] + bytes([content[start] ^ (1 << size % 8)]) + content[start + 1 :]
    return content
