package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// What go-libp2p reads at most: https://github.com/libp2p/specs/blob/master/identify/README.md lets a large one come in parts.
const (
	identifyPart  = 8 * 1024
	identifyParts = 10
)

type identity struct {
	PeerID          string   `json:"peerId"`
	AgentVersion    *string  `json:"agentVersion"`
	ProtocolVersion *string  `json:"protocolVersion"`
	ListenAddrs     []string `json:"listenAddrs"`
	ObservedAddr    *string  `json:"observedAddr"`
	Protocols       []string `json:"protocols"`
	SignedAddrs     []string `json:"signedAddrs"`
}

// Asks the remote who it is, on a stream of its own. The signed record is verified: one that is not the remote's is an error.
func runIdentify(ctx context.Context, c network.Conn) (*identity, error) {
	message := &pb.Identify{}
	_, err := onStream(ctx, c, identify.ID, func(s network.Stream) error {
		in := bufio.NewReader(s)
		merge := protodelim.UnmarshalOptions{MaxSize: identifyPart, UnmarshalOptions: proto.UnmarshalOptions{Merge: true}}
		for range identifyParts {
			if err := merge.UnmarshalFrom(in, message); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
		return errors.New("identify came in too many parts")
	})
	if err != nil {
		return nil, err
	}
	signed, err := signedAddresses(c.RemotePeer(), message.GetSignedPeerRecord())
	if err != nil {
		return nil, err
	}
	told := &identity{
		PeerID:          c.RemotePeer().String(),
		AgentVersion:    message.AgentVersion,
		ProtocolVersion: message.ProtocolVersion,
		ListenAddrs:     []string{},
		Protocols:       append([]string{}, message.GetProtocols()...),
		SignedAddrs:     signed,
	}
	for _, raw := range message.GetListenAddrs() {
		address, err := ma.NewMultiaddrBytes(raw)
		if err != nil {
			return nil, fmt.Errorf("a listen address of identify: %w", err)
		}
		told.ListenAddrs = append(told.ListenAddrs, address.String())
	}
	if observed, err := ma.NewMultiaddrBytes(message.GetObservedAddr()); err == nil && len(observed) > 0 {
		told.ObservedAddr = orNull(observed.String())
	}
	return told, nil
}

// nil where there is no record.
func signedAddresses(remote peer.ID, envelope []byte) ([]string, error) {
	if len(envelope) == 0 {
		return nil, nil
	}
	opened, untyped, err := record.ConsumeEnvelope(envelope, peer.PeerRecordEnvelopeDomain)
	if err != nil {
		return nil, fmt.Errorf("the signed peer record: %w", err)
	}
	told, ok := untyped.(*peer.PeerRecord)
	if !ok || told.PeerID != remote || !remote.MatchesPublicKey(opened.PublicKey) {
		return nil, errors.New("the signed peer record is not the remote's")
	}
	addresses := []string{}
	for _, address := range told.Addrs {
		addresses = append(addresses, address.String())
	}
	return addresses, nil
}

// What the peer store has of a peer: what its identify, and its pushes since, have left there.
func (n *node) known(target string) (any, error) {
	id, _, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	store := n.host.Peerstore()
	protocols, err := store.GetProtocols(id)
	if err != nil {
		return nil, err
	}
	agent, _ := store.Get(id, "AgentVersion")
	return map[string]any{
		"addresses":    fullAddresses(store.PeerInfo(id)),
		"protocols":    append(protocols[:0:0], protocols...),
		"agentVersion": agent,
	}, nil
}
