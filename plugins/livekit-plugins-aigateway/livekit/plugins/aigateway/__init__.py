"""LiveKit Agents plugin for AIgateway."""
