"""Engines: what hears, thinks and speaks behind the wire forms."""
