package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const dhtPrefix = "/tabmesh"

// Kad by a protocol of its own, so that it never meets the public network. Keys begin with /tabmesh/ (any value will do) or
// /pk/ (a public key).
func newDht(h host.Host, opts dhtOptions) (*dht.IpfsDHT, error) {
	if opts.Prefix == "" {
		opts.Prefix = dhtPrefix
	}
	mode := dht.ModeServer
	switch opts.Mode {
	case "", "server":
	case "client":
		mode = dht.ModeClient
	default:
		return nil, fmt.Errorf("no such mode of kad: %s", opts.Mode)
	}
	return dht.New(h,
		dht.ProtocolPrefix(protocol.ID(opts.Prefix)),
		dht.Mode(mode),
		dht.Validator(record.NamespacedValidator{"pk": record.PublicKeyValidator{}, "tabmesh": anyValue{}}),
	)
}

// Takes every value that has bytes; of several the greatest, so that all peers agree.
type anyValue struct{}

func (anyValue) Validate(_ string, value []byte) error {
	if len(value) == 0 {
		return errors.New("an empty value")
	}
	return nil
}

func (anyValue) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, value := range values {
		if bytes.Compare(value, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

type foundPeer struct {
	PeerID    string   `json:"peerId"`
	Addresses []string `json:"addresses"`
}

func (n *node) provide(ctx context.Context, text string) error {
	content, err := cid.Decode(text)
	if err != nil {
		return err
	}
	return n.dht.Provide(ctx, content, true)
}

// Up to `count` providers; all that are found where it is 0.
func (n *node) findProviders(ctx context.Context, text string, count int) ([]foundPeer, error) {
	content, err := cid.Decode(text)
	if err != nil {
		return nil, err
	}
	found := []foundPeer{}
	for info := range n.dht.FindProvidersAsync(ctx, content, count) {
		found = append(found, foundPeer{info.ID.String(), fullAddresses(info)})
	}
	return found, ctx.Err()
}

func (n *node) findPeer(ctx context.Context, target string) (*foundPeer, error) {
	id, err := peer.Decode(target)
	if err != nil {
		return nil, err
	}
	info, err := n.dht.FindPeer(ctx, id)
	if err != nil {
		return nil, err
	}
	return &foundPeer{id.String(), fullAddresses(info)}, nil
}
