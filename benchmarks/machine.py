"""What the benchmarks run on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["NO_JOURNAL", "fileSystemOf", "machine"]

#: The type of a file system that is called ext4, and behaves otherwise.
NO_JOURNAL = "ext4 without journal"
_MOUNTS, _SYS = Path("/proc/mounts"), Path("/sys")


def machine() -> dict[str, str]:
    """Describe this machine."""
    return {
        "cpu": _cpuModel(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _cpuModel() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def fileSystemOf(directory: Path) -> str:
    """Tell the type of the file system that a directory is on, such as tmpfs, ext4 or `NO_JOURNAL`."""
    path, found, longest = os.path.realpath(directory), "unknown", -1
    for line in _MOUNTS.read_text().splitlines():
        _, mounted, kind, *_ = line.split()
        below = mounted == "/" or path == mounted or path.startswith(f"{mounted}/")
        if below and len(mounted) >= longest:
            found, longest = kind, len(mounted)
    return NO_JOURNAL if found == "ext4" and _writesNoJournal(os.stat(path).st_dev) else found


def _writesNoJournal(device: int) -> bool:
    name = (_SYS / f"dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    try:
        return (_SYS / "fs/ext4" / name / "journal_task").read_text() == "<none>\n"
    except FileNotFoundError:
        # Where /sys is not to be seen.
        return False
