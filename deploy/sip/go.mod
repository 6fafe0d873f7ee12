// The phone bridge, built by `make phone`: see demo/sip_bridge.py.
module parley/deploy/sip

go 1.26

tool github.com/livekit/sip/cmd/livekit-sip

require github.com/livekit/sip v1.8.0

// Not used by it, but both then share the versions of what both use, and what was compiled for the
// server is not compiled again.
require github.com/livekit/livekit-server v1.13.5
