package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
)

// A connection in plain values, named as the js-libp2p peer names them (../js/connections.mjs); Transport is one of tabmesh's
// names. go-libp2p tells no encryption or multiplexer of what a transport brings along, nor of what runs over a relay.
type connectionInfo struct {
	ID          string       `json:"id"`
	RemotePeer  string       `json:"remotePeer"`
	RemoteAddr  string       `json:"remoteAddr"`
	Transport   string       `json:"transport"`
	Direction   string       `json:"direction"`
	Status      string       `json:"status"`
	Direct      bool         `json:"direct"`
	Limits      *limitsInfo  `json:"limits"`
	Encryption  *string      `json:"encryption"`
	Multiplexer *string      `json:"multiplexer"`
	Rtt         *float64     `json:"rtt"`
	Streams     []streamInfo `json:"streams"`
}

type limitsInfo struct {
	Bytes   uint64  `json:"bytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

type streamInfo struct {
	ID        string `json:"id"`
	Protocol  string `json:"protocol"`
	Direction string `json:"direction"`
}

func describe(c network.Conn) connectionInfo {
	state, stat := c.ConnState(), c.Stat()
	info := connectionInfo{
		ID:          c.ID(),
		RemotePeer:  c.RemotePeer().String(),
		RemoteAddr:  c.RemoteMultiaddr().String() + "/p2p/" + c.RemotePeer().String(),
		Transport:   transportOf(c),
		Direction:   strings.ToLower(stat.Direction.String()),
		Status:      "open",
		Direct:      !isRelayed(c.RemoteMultiaddr()),
		Encryption:  orNull(string(state.Security)),
		Multiplexer: orNull(string(state.StreamMultiplexer)),
		Streams:     []streamInfo{},
	}
	if c.IsClosed() {
		info.Status = "closed"
	}
	if stat.Limited {
		info.Limits = &limitsInfo{}
		if bytes, ok := stat.Extra[client.StatLimitData].(uint64); ok {
			info.Limits.Bytes = bytes
		}
		if duration, ok := stat.Extra[client.StatLimitDuration].(time.Duration); ok {
			info.Limits.Seconds = duration.Seconds()
		}
	}
	for _, stream := range c.GetStreams() {
		direction := strings.ToLower(stream.Stat().Direction.String())
		info.Streams = append(info.Streams, streamInfo{stream.ID(), string(stream.Protocol()), direction})
	}
	return info
}

func transportOf(c network.Conn) string {
	address := c.RemoteMultiaddr()
	if isRelayed(address) {
		return "relay"
	}
	for _, part := range address {
		if part.Code() == ma.P_WS || part.Code() == ma.P_WSS {
			return "websocket"
		}
	}
	// not from the address: that of who dialled us by WebRTC-direct does not say so
	if transport := c.ConnState().Transport; transport != "quic-v1" {
		return transport
	}
	return "quic"
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (n *node) connections() []connectionInfo {
	all := []connectionInfo{}
	for _, connection := range n.host.Network().Conns() {
		all = append(all, describe(connection))
	}
	return all
}

// A target is a multiaddr that ends in a peer id, or a peer id alone: then there is no address.
func parseTarget(target string) (peer.ID, ma.Multiaddr, error) {
	if !strings.HasPrefix(target, "/") {
		id, err := peer.Decode(target)
		return id, nil, err
	}
	info, err := peer.AddrInfoFromString(target)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", target, err)
	}
	if len(info.Addrs) == 0 {
		return info.ID, nil, nil
	}
	return info.ID, info.Addrs[0], nil
}

// The connection to use for a target: for a peer id one without limits if there is one, else a limited one, else a dial; for
// an address the one that was dialled at it, else a dial.
func (n *node) connectionTo(ctx context.Context, target string) (network.Conn, error) {
	id, address, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(n.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return c.IsClosed() || (address != nil && !sameAddress(c.RemoteMultiaddr(), address))
	})
	slices.SortStableFunc(open, func(a, b network.Conn) int {
		return rank(a) - rank(b)
	})
	if len(open) > 0 {
		return open[0], nil
	}
	return n.dial(ctx, id, address)
}

func rank(c network.Conn) int {
	if c.Stat().Limited {
		return 1
	}
	return 0
}

// Dials at the address and at no other that the peer store has; without one, at all of those. Where there is a direct
// connection to the peer already, go-libp2p hands that back.
func (n *node) dial(ctx context.Context, id peer.ID, address ma.Multiaddr) (network.Conn, error) {
	ctx = network.WithAllowLimitedConn(ctx, "a test")
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		// a test dials again what has just failed
		s.Backoff().Clear(id)
	}
	if address != nil {
		n.host.Peerstore().ClearAddrs(id)
		n.host.Peerstore().AddAddr(id, address, peerstore.TempAddrTTL)
		if !isRelayed(address) {
			ctx = network.WithForceDirectDial(ctx, "a test")
		}
	}
	return n.host.Network().DialPeer(ctx, id)
}

func (n *node) timedDial(ctx context.Context, target string) (any, error) {
	id, address, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	connection, err := n.dial(ctx, id, address)
	if err != nil {
		return nil, err
	}
	return struct {
		connectionInfo
		Ms float64 `json:"ms"`
	}{describe(connection), since(started)}, nil
}

func (n *node) hangUp(target, connection string) error {
	if connection == "" {
		id, _, err := parseTarget(target)
		if err != nil {
			return err
		}
		return n.host.Network().ClosePeer(id)
	}
	for _, c := range n.host.Network().Conns() {
		if c.ID() == connection {
			return c.Close()
		}
	}
	return nil
}

func isRelayed(address ma.Multiaddr) bool {
	_, err := address.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// A connection's address has no hashes of certificates, and WebSocket with TLS has two spellings.
func sameAddress(a, b ma.Multiaddr) bool {
	bare := func(address ma.Multiaddr) string {
		parts := slices.DeleteFunc(slices.Clone(address), func(part ma.Component) bool { return part.Code() == ma.P_CERTHASH })
		return strings.ReplaceAll(parts.String(), "/wss", "/tls/ws")
	}
	return bare(a) == bare(b)
}

// Milliseconds, with their fraction.
func since(started time.Time) float64 {
	return time.Since(started).Seconds() * 1000
}
