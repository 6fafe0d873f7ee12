"""Chains: the routes of a stage in order, and how a call goes on when one of them fails."""
