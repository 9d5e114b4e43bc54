package main

import rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

// All peers of a test share one address, one of them may hold all connections, and a test opens hundreds of streams of one
// protocol at once: go-libp2p's own limits by peer and by protocol (two streams of ping) would be what is tested. What is
// left bounds the process: enough for a thousand connections that are opened before the last ones have closed.
var localLimits = rcmgr.PartialLimitConfig{
	System: rcmgr.ResourceLimits{
		Conns: 4096, ConnsInbound: 4096, ConnsOutbound: 4096,
		Streams: 65536, StreamsInbound: 65536, StreamsOutbound: 65536,
		FD:     4096,
		Memory: 2 << 30,
	},
	// Connections whose handshake is not over.
	Transient: rcmgr.ResourceLimits{
		Conns: 1024, ConnsInbound: 1024, ConnsOutbound: 1024,
		Streams: 4096, StreamsInbound: 4096, StreamsOutbound: 4096,
		FD:     1024,
		Memory: 512 << 20,
	},
}.Build(rcmgr.InfiniteLimits)
