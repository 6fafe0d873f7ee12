"""Version of the plugin; it moves with the livekit-agents release that it is tested on."""

__version__ = "1.8.9"
