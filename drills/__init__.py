"""Fault drills: every fault put into a real call, and what the caller heard of it."""
