"""A real file system of a few MiB without privileges, where the system offers a way.

On Linux that is a tmpfs inside new user and mount namespaces (or as root, a mount namespace), on
macOS a disk image. Neither leaves a mount behind: a namespace ends with its last process, and an
image is detached.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def run_on_small_disk(
    words: list[str], folder: Path, n_bytes: int
) -> subprocess.CompletedProcess[str] | None:
    """Run a command while `folder` is a file system of `n_bytes`.

    Parameters
    ----------
    words : list of str
        The command.
    folder : Path
        An empty folder.
    n_bytes : int
        Size of the file system.

    Returns
    -------
    CompletedProcess or None
        None where this system lets an ordinary user make no such file system.
    """
    if sys.platform == "darwin":
        return _on_image(words, folder, n_bytes)
    for namespaces in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        start = ["unshare", *namespaces, "sh", "-c", _MOUNT, "sh", str(n_bytes), str(folder)]
        if _succeeds([*start, "true"]):
            return subprocess.run([*start, *words], capture_output=True, text=True)
    return None


def _on_image(
    words: list[str], folder: Path, n_bytes: int
) -> subprocess.CompletedProcess[str] | None:
    image = folder.with_suffix(".dmg")
    size = ["-size", f"{max(8, n_bytes >> 20)}m", "-fs", "APFS", "-volname", "small"]
    if not _succeeds(["hdiutil", "create", "-quiet", *size, str(image)]):
        return None
    if not _succeeds(["hdiutil", "attach", "-quiet", "-mountpoint", str(folder), str(image)]):
        return None
    try:
        return subprocess.run(words, capture_output=True, text=True)
    finally:
        _succeeds(["hdiutil", "detach", "-quiet", "-force", str(folder)])


def _succeeds(words: list[str]) -> bool:
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        return False
