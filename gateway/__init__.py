"""A local gateway: the wire forms of AIgateway answered by speech engines on this machine."""
