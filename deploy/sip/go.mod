// The phone bridge, built by `make phone`: see demo/sip_bridge.py.
module parley/deploy/sip

go 1.26

tool github.com/livekit/sip/cmd/livekit-sip

require github.com/livekit/sip v1.8.0
