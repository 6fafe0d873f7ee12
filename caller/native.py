"""Lets LiveKit's native threads come to rest before the interpreter goes.

LiveKit disposes of its native library in an exit hook, but a thread that just then calls back
into Python finds the interpreter finalizing, and the process aborts: exit code 134 after a call
that went well. A program that joined and left a room did so 1 time in 60, and not once in 130
with this pause. Exit hooks run last in, first out, and LiveKit registers its own on first use: a
pause that was registered before runs after it, while callbacks can still be answered.
"""

from __future__ import annotations

import atexit
import time

DRAIN_S = 0.1
"""Pause at exit, seconds."""

atexit.register(time.sleep, DRAIN_S)
