"""Scripted engines with set latencies: what they hear and say is known beforehand."""
