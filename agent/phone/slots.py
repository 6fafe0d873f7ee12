"""Counts the calls of all processes on this machine, with locks that die with their process."""

from __future__ import annotations

import os
from pathlib import Path


class Slot:
    """One call's place; give it back with `release`, or by dying."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def release(self) -> None:
        """Make room for another call; a second time does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Slots:
    """So many calls at once.

    Args:
        folder: Where the locks are; made when missing.
        count: How many.
    """

    def __init__(self, *, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count

    def take(self) -> Slot | None:
        """A free place, or None."""
        import fcntl  # Windows has none: there, leave AGENT_PHONE_MAX_CALLS at 0

        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(self._count):
            handle = os.open(self._folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            return Slot(handle)
        return None
