package main

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	ma "github.com/multiformats/go-multiaddr"
)

var errNoAutonat = errors.New("this peer was started without autonat")

// AutoNAT v2, server and client, that dials addresses of this machine: libp2p.EnableAutoNATv2 has no option for that. As there, it dials
// from a host of its own, which nobody knows. One request to one server in two minutes is all that go-libp2p's client makes.
func newAutonat(opts options, h host.Host) (*autonatv2.AutoNAT, error) {
	opts.Listen, opts.Seed = nil, ""
	dialer, _, err := newHost(opts)
	if err != nil {
		return nil, err
	}
	service, err := autonatv2.New(dialer, autonatv2.AllowPrivateAddrs)
	if err != nil {
		return nil, err
	}
	return service, service.Start(h)
}

type reachable struct {
	Address      string `json:"address"`
	Reachability string `json:"reachability"`
	Refused      bool   `json:"refused"`
}

// Has one of the addresses dialled by one of the servers that this peer is connected to. Dial data is sent if it is asked for.
func (n *node) reachability(ctx context.Context, addresses []string) (*reachable, error) {
	if n.autonat == nil {
		return nil, errNoAutonat
	}
	requests := []autonatv2.Request{}
	for _, each := range addresses {
		address, err := ma.NewMultiaddr(each)
		if err != nil {
			return nil, err
		}
		requests = append(requests, autonatv2.Request{Addr: address, SendDialData: true})
	}
	result, err := n.autonat.GetReachability(ctx, requests)
	if err != nil {
		return nil, err
	}
	told := &reachable{Reachability: result.Reachability.String(), Refused: result.AllAddrsRefused}
	if result.Addr != nil {
		told.Address = result.Addr.String()
	}
	return told, nil
}
