"""The wire forms, without I/O: bytes and text in, typed messages or ``ProtocolError`` out.

Everything this project assumes about the gateway's answers stands in these modules.
"""
