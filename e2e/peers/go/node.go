package main

import (
	"context"
	"sync"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// The peer: a libp2p host and what runs on it.
type node struct {
	host host.Host
	// certificate is what the WebSocket listener with TLS shows, in PEM; empty where there is none.
	certificate string
	// end ends the process.
	end func()

	// relayed are our addresses through relays; announce tells the host of them (relay.go).
	relayedMu sync.Mutex
	relayed   []ma.Multiaddr
	announce  event.Emitter

	rooms *rooms       // nil without gossipsub
	dht   *dht.IpfsDHT // nil without kad
	more  []*node      // further peers in this process, which have kad and nothing else

	autonat *autonatv2.AutoNAT // nil without AutoNAT
}

func start(ctx context.Context, opts options) (*node, error) {
	h, certificate, err := newHost(opts)
	if err != nil {
		return nil, err
	}
	n := &node{host: h, certificate: certificate}
	if n.announce, err = h.EventBus().Emitter(new(event.EvtAutoRelayAddrsUpdated)); err != nil {
		return nil, err
	}
	h.SetStreamHandler(echoProtocol, serveEcho)
	h.SetStreamHandler(perfProtocol, servePerf)
	if opts.RelayServer {
		if _, err := relay.New(h, relayOptions(opts)...); err != nil {
			return nil, err
		}
	}
	if opts.Pubsub != nil {
		if n.rooms, err = newRooms(h, *opts.Pubsub); err != nil {
			return nil, err
		}
	}
	if opts.Dht != nil {
		if n.dht, err = newDht(h, *opts.Dht); err != nil {
			return nil, err
		}
		if n.more, err = moreDhts(opts); err != nil {
			return nil, err
		}
	}
	if opts.HolePunching {
		if err = punchHoles(h, opts.PunchAt); err != nil {
			return nil, err
		}
	}
	if opts.Autonat {
		if n.autonat, err = newAutonat(opts, h); err != nil {
			return nil, err
		}
	}
	for _, address := range opts.Relay {
		if _, err := n.reserve(ctx, address); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Where this peer can be dialled, each with its peer id.
func (n *node) addresses() []string {
	self := ma.StringCast("/p2p/" + n.host.ID().String())
	all := []string{}
	for _, address := range n.host.Addrs() {
		all = append(all, address.Encapsulate(self).String())
	}
	return all
}

// Addresses as text, with the peer id of their owner.
func fullAddresses(info peer.AddrInfo) []string {
	all := []string{}
	for _, address := range info.Addrs {
		all = append(all, address.String()+"/p2p/"+info.ID.String())
	}
	return all
}
