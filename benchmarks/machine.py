"""What the benchmarks run on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["fileSystemOf", "machine"]


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
    """Tell the type of the file system that a directory is on, such as tmpfs or ext4."""
    path, found, longest = os.path.realpath(directory), "unknown", -1
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mounted, kind, *_ = line.split()
        below = mounted == "/" or path == mounted or path.startswith(f"{mounted}/")
        if below and len(mounted) >= longest:
            found, longest = kind, len(mounted)
    return found
