"""What LiveKit plugins for AI gateways share; no plugin itself, so nothing is registered.

Bounded JSON and sockets, one verdict and one back-off for everything that fails, a pool that
keeps a socket warm, clauses that are spoken as soon as they end, and the openai plugin's LLM
hardened against streams that break off.
"""

from .version import __version__

__all__ = ["__version__"]
