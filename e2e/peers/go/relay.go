package main

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// How this peer is a circuit relay v2. All clients of a test come from one address, so the limits by address are lifted.
func relayOptions(opts options) []relay.Option {
	resources := relay.DefaultResources()
	resources.MaxReservations = 10_000
	resources.MaxReservationsPerIP = 10_000
	resources.MaxReservationsPerASN = 10_000
	resources.MaxCircuits = 1024
	// the default of 2 KiB makes the relay the slowest part
	resources.BufferSize = block
	if !opts.Limits {
		resources.Limit = nil
	}
	all := []relay.Option{relay.WithResources(resources)}
	if opts.AllowPrivate {
		all = append(all, relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true }))
	}
	return all
}

type reservation struct {
	Address      string   `json:"address"`
	Expires      string   `json:"expires"`
	Addresses    []string `json:"addresses"`
	LimitBytes   uint64   `json:"limitBytes"`
	LimitSeconds float64  `json:"limitSeconds"`
	Voucher      bool     `json:"voucher"`
}

// Reserves a slot at a relay and listens there, once: no test outlives a reservation, so it is not renewed. go-libp2p's own
// way to do this, AutoRelay, uses no relay that has addresses of this machine only.
func (n *node) reserve(ctx context.Context, target string) (*reservation, error) {
	connection, err := n.connectionTo(ctx, target)
	if err != nil {
		return nil, err
	}
	got, err := client.Reserve(ctx, n.host, peer.AddrInfo{ID: connection.RemotePeer()})
	if err != nil {
		return nil, err
	}
	through := connection.RemoteMultiaddr()
	if _, address, err := parseTarget(target); err == nil && address != nil {
		through = address
	}
	ours := through.Encapsulate(ma.StringCast("/p2p/" + connection.RemotePeer().String() + "/p2p-circuit"))
	if err := n.announceRelayed(ctx, ours); err != nil {
		return nil, err
	}
	told := &reservation{
		Address:      ours.String() + "/p2p/" + n.host.ID().String(),
		Expires:      got.Expiration.UTC().Format(time.RFC3339),
		Addresses:    []string{},
		LimitBytes:   got.LimitData,
		LimitSeconds: got.LimitDuration.Seconds(),
		Voucher:      got.Voucher != nil,
	}
	for _, address := range got.Addrs {
		told.Addresses = append(told.Addresses, address.String())
	}
	return told, nil
}

// Adds one to the addresses that the host tells others, and waits until it does.
func (n *node) announceRelayed(ctx context.Context, address ma.Multiaddr) error {
	n.relayedMu.Lock()
	if !slices.ContainsFunc(n.relayed, address.Equal) {
		n.relayed = append(n.relayed, address)
	}
	err := n.announce.Emit(event.EvtAutoRelayAddrsUpdated{RelayAddrs: slices.Clone(n.relayed)})
	n.relayedMu.Unlock()
	if err != nil {
		return err
	}
	for !slices.ContainsFunc(n.host.Addrs(), address.Equal) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
