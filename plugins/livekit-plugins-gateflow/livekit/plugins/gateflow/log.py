"""The plugin's logger.

Messages are static; values go in ``extra``, personal ones under a name that starts with
``lk.pii.``.
"""

import logging

logger = logging.getLogger("livekit.plugins.gateflow")
