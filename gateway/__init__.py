"""A local gateway: the wire forms of AIgateway answered by speech engines on this machine."""

import os

# Before numpy is loaded: its arrays here are small, and OpenBLAS threads that spin for more of them
# take a third more processor time for each decode than one thread does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
