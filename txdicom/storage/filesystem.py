"""What the system tells of the file system that a directory is on."""

from __future__ import annotations

import os
import re

__all__ = ["freeSpace", "isRemote"]

_MOUNTS = "/proc/self/mountinfo"
#: How file systems are called whose calls may not return before another machine, or another program, has answered.
_REMOTE = re.compile(r"(?:nfs|cifs|smb|fuse|9p|ceph|lustre|gluster|beegfs|gpfs|gfs|ocfs|afs|coda|virtiofs)")


def freeSpace(descriptor: int) -> int:
    """Return how many bytes we may still write where a directory is."""
    state = os.fstatvfs(descriptor)
    return state.f_bavail * state.f_frsize


def isRemote(descriptor: int) -> bool:
    """Tell whether a directory is on a file system that waits for others; no, where the system does not say."""
    device = os.fstat(descriptor).st_dev
    try:
        with open(_MOUNTS, encoding="utf-8", errors="replace") as mounts:
            return any(_REMOTE.match(kind) for kind in _typesOf(device, mounts.read()))
    except OSError:
        return False


def _typesOf(device: int, mounts: str) -> list[str]:
    """Return the types that a table of mounts has for a device (proc_pid_mountinfo(5))."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    types = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 2 and fields[2] == wanted:
            types.append(after.partition(" ")[0])
    return types
