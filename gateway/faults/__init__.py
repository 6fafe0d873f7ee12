"""Faults on purpose: what a network and a server can do to a client, on real sockets.

`vocabulary` says what there is, `plan` decides which connection gets which fault, `injection`
applies them to one connection, `transport` is the TCP connection that can be made to misbehave.
"""
