package main

import (
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
)

// Tells others of no way here but through relays, so that there is something to upgrade.
func hidden() libp2p.Option {
	return libp2p.AddrsFactory(func(all []ma.Multiaddr) []ma.Multiaddr {
		return slices.DeleteFunc(slices.Clone(all), func(each ma.Multiaddr) bool { return !isRelayed(each) })
	})
}

// DCUtR. libp2p.EnableHolePunching would begin once a host has public addresses, and tells no others; this one tells what it is told to, and
// where it listens if that is nothing.
func punchHoles(h host.Host, told []string) error {
	addresses := []ma.Multiaddr{}
	for _, each := range told {
		address, err := ma.NewMultiaddr(each)
		if err != nil {
			return err
		}
		addresses = append(addresses, address)
	}
	if len(addresses) == 0 {
		var err error
		if addresses, err = h.Network().InterfaceListenAddresses(); err != nil {
			return err
		}
	}
	identified, ok := h.(interface{ IDService() identify.IDService })
	if !ok {
		return errors.New("this host has no identify")
	}
	_, err := holepunch.NewService(h, identified.IDService(), func() []ma.Multiaddr { return slices.Clone(addresses) })
	return err
}
