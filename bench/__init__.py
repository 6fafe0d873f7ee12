"""How fast it answers beside its peers, in the same run: `python -m bench --help`.

Everything here is simulated: the stages behind the gateway keep set times, so that what differs is
the agent and nothing else. Numbers of real providers do not belong into these tables.
"""
