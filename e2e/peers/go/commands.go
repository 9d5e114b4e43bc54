package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// One line of stdin: a name, and the arguments of all commands beside it. Bytes are in base64.
type command struct {
	ID  int    `json:"id"`
	Cmd string `json:"cmd"`
	// Timeout is in milliseconds.
	Timeout int `json:"timeout"`

	// Target is a multiaddr or a peer id.
	Target     string `json:"target"`
	Connection string `json:"connection"`

	Protocol string `json:"protocol"`
	Bytes    int    `json:"bytes"`
	Seed     uint32 `json:"seed"`
	Upload   uint64 `json:"upload"`
	Download uint64 `json:"download"`

	Topic string `json:"topic"`
	// Partial, Group and Held are of partial messages (parts.go).
	Partial string `json:"partial"`
	Group   string `json:"group"`
	Held    byte   `json:"held"`
	Data    []byte `json:"data"`
	Key     string `json:"key"`
	// RawKey in place of Key, where it is no text.
	RawKey []byte `json:"rawKey"`
	// Host is which of the peers in this process is meant (dhtOptions.Hosts).
	Host     int    `json:"host"`
	Value    string `json:"value"`
	Sequence uint64 `json:"sequence"`
	Cid      string `json:"cid"`
	Count    int    `json:"count"`
	// Rate is in messages a second.
	Rate float64 `json:"rate"`

	Addresses []string `json:"addresses"`
}

var errNoRooms = errors.New("this peer was started without gossipsub")
var errNoDht = errors.New("this peer was started without kad")

func (c command) run(ctx context.Context, n *node) (any, error) {
	if c.RawKey != nil {
		c.Key = string(c.RawKey)
	}
	switch c.Cmd {
	case "addresses":
		return n.addresses(), nil
	case "dial":
		return n.timedDial(ctx, c.Target)
	case "connections":
		return n.connections(), nil
	case "hangUp":
		return nil, n.hangUp(c.Target, c.Connection)
	case "known":
		return n.known(c.Target)
	case "reachability":
		return n.reachability(ctx, c.Addresses)
	case "reserve":
		return n.reserve(ctx, c.Target)
	case "stop":
		n.end()
		return nil, nil
	case "ping", "echo", "perf", "identify", "protocols":
		return c.runOnConnection(ctx, n)
	case "join", "leave", "publish", "messages", "subscribers", "mesh", "burst", "tally", "traffic", "pubsubProtocols", "putParts", "whole":
		if n.rooms == nil {
			return nil, errNoRooms
		}
		return c.runInRoom(ctx, n.rooms)
	case "put", "get", "provide", "findProviders", "findPeer", "closestPeers", "routingTable", "ipnsRecord", "dialFrom":
		if n.dht == nil {
			return nil, errNoDht
		}
		chosen, err := n.at(c.Host)
		if err != nil {
			return nil, err
		}
		return c.runInDht(ctx, chosen)
	}
	return nil, fmt.Errorf("no such command: %s", c.Cmd)
}

func (c command) runOnConnection(ctx context.Context, n *node) (any, error) {
	connection, err := n.connectionTo(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	switch c.Cmd {
	case "ping":
		return runPing(ctx, connection)
	case "echo":
		return runEcho(ctx, connection, c.Protocol, c.Bytes, c.Seed)
	case "perf":
		return runPerf(ctx, connection, c.Upload, c.Download)
	}
	identity, err := runIdentify(ctx, connection)
	if err != nil || c.Cmd == "identify" {
		return identity, err
	}
	return identity.Protocols, nil
}

func (c command) runInRoom(ctx context.Context, r *rooms) (any, error) {
	switch c.Cmd {
	case "join":
		return nil, r.join(c.Topic, c.Partial)
	case "leave":
		return nil, r.leave(c.Topic)
	case "publish":
		return nil, r.publish(ctx, c.Topic, c.Data)
	case "messages":
		return r.messages(ctx, c.Topic, c.Count)
	case "mesh":
		return r.traffic.mesh(c.Topic), nil
	case "burst":
		return r.burst(ctx, c.Topic, c.Count, c.Bytes, c.Rate)
	case "tally":
		return r.tally(c.Topic)
	case "traffic":
		return r.traffic.read(), nil
	case "pubsubProtocols":
		return r.traffic.spoken(), nil
	case "putParts", "whole":
		if r.parts == nil {
			return nil, errNoParts
		}
		if c.Cmd == "putParts" {
			return nil, r.parts.put(c.Topic, c.Group, c.Held, c.Data)
		}
		return r.parts.whole(ctx, c.Topic, c.Group)
	}
	return r.subscribers(c.Topic), nil
}

func (c command) runInDht(ctx context.Context, n *node) (any, error) {
	switch c.Cmd {
	case "put":
		return nil, n.dht.PutValue(ctx, c.Key, c.Data)
	case "get":
		return n.dht.GetValue(ctx, c.Key)
	case "provide":
		return nil, n.provide(ctx, c.Cid)
	case "findProviders":
		return n.findProviders(ctx, c.Cid, c.Count)
	case "findPeer":
		return n.findPeer(ctx, c.Target)
	case "closestPeers":
		peers, err := n.dht.GetClosestPeers(ctx, c.Key)
		return peerIDs(peers), err
	case "ipnsRecord":
		return n.ipnsRecord(c.Value, c.Sequence)
	case "dialFrom":
		return n.timedDial(ctx, c.Target)
	}
	return peerIDs(n.dht.RoutingTable().ListPeers()), nil
}

func peerIDs(peers []peer.ID) []string {
	ids := []string{}
	for _, each := range peers {
		ids = append(ids, each.String())
	}
	return ids
}

// An error as it crosses the border of the process. go-libp2p gathers the errors of all addresses in the text of one.
func describeError(err error) map[string]string {
	return map[string]string{"name": fmt.Sprintf("%T", err), "message": err.Error()}
}
