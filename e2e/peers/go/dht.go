package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const dhtPrefix = "/tabmesh"

// Kad by a protocol of its own, so that it never meets the public network. Keys begin with /tabmesh/ (any value will do),
// /pk/ (a public key) or /ipns/.
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
		dht.Validator(record.NamespacedValidator{
			"pk":      record.PublicKeyValidator{},
			"ipns":    ipns.Validator{KeyBook: h.Peerstore()},
			"tabmesh": anyValue{},
		}),
	)
}

// Peers beside the first one, in this process.
func moreDhts(opts options) ([]*node, error) {
	all := []*node{}
	opts.Seed = ""
	for range opts.Dht.Hosts {
		h, _, err := newHost(opts)
		if err != nil {
			return nil, err
		}
		kad, err := newDht(h, *opts.Dht)
		if err != nil {
			return nil, err
		}
		all = append(all, &node{host: h, dht: kad})
	}
	return all, nil
}

// One of the peers in this process; 0 is the first one.
func (n *node) at(index int) (*node, error) {
	if index == 0 {
		return n, nil
	}
	if index < 0 || index > len(n.more) {
		return nil, fmt.Errorf("there is no host %d", index)
	}
	return n.more[index-1], nil
}

type ipnsRecord struct {
	Key    []byte `json:"key"`
	Record []byte `json:"record"`
}

// A record of ours that leads to `value` for a day, and the key that it is found under.
func (n *node) ipnsRecord(value string, sequence uint64) (*ipnsRecord, error) {
	target, err := path.NewPath(value)
	if err != nil {
		return nil, err
	}
	key := n.host.Peerstore().PrivKey(n.host.ID())
	made, err := ipns.NewRecord(key, target, sequence, time.Now().Add(24*time.Hour), time.Minute)
	if err != nil {
		return nil, err
	}
	data, err := ipns.MarshalRecord(made)
	if err != nil {
		return nil, err
	}
	return &ipnsRecord{Key: ipns.NameFromPeer(n.host.ID()).RoutingKey(), Record: data}, nil
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
