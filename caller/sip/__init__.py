"""A test phone: SIP over UDP, digest authentication, G.711 over RTP and RFC 2833 key presses.

`message`, `digest`, `sdp`, `g711`, `rtp` and `network` do no I/O. `phone.Phone` is the telephone,
`call.Call` one call on it, and `caller.phone.PhoneCaller` a caller that speaks and listens on one.
"""
