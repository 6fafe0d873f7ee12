"""Telephone calls.

`trunks`, `dialing` and `cli` set a LiveKit server up and call out; `line` and `assistant`, and what
they use, are what a call on a line needs that a call in a browser does not.
"""
