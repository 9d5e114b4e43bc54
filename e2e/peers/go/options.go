package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// What the peer is told at its start. client.mjs has the same list for JavaScript.
type options struct {
	// Listen has names of transports (listen.go), each at 127.0.0.1 and a free port, and whole multiaddrs.
	Listen []string `json:"listen"`
	// Encryption orders what is offered on byte pipes: "noise", "tls". Both, Noise first, where it is left out.
	Encryption []string `json:"encryption"`
	// PreSharedKey is the text of a swarm.key file. A private network has TCP and WebSocket only.
	PreSharedKey string `json:"preSharedKey"`
	// Seed makes the identity: the same text, the same peer id (and the same /certhash of WebRTC-direct).
	Seed string `json:"seed"`
	// WebRTCDirectVersion is the handshake used when dialling WebRTC-direct: 1 or 2. Listeners answer both.
	WebRTCDirectVersion int `json:"webRTCDirectVersion"`

	// Relay has the addresses of relays to hold a slot on before the peer says that it is ready.
	Relay []string `json:"relay"`
	// RelayServer makes it a circuit relay v2; with Limits false one that limits no circuit.
	RelayServer bool `json:"relayServer"`
	Limits      bool `json:"limits"`
	// AllowPrivate lets a reservation on this relay name addresses of this machine, which go-libp2p would leave out.
	AllowPrivate bool `json:"allowPrivate"`

	// Autonat starts AutoNAT v2, client and server, for addresses of this machine too.
	Autonat bool `json:"autonat"`

	// HolePunching starts DCUtR, on a host that tells of no way to it but through relays; PunchAt is where it says that it is seen outside, where
	// it listens if left out.
	HolePunching bool     `json:"holePunching"`
	PunchAt      []string `json:"punchAt"`

	// Pubsub starts gossipsub.
	Pubsub *pubsubOptions `json:"pubsub"`
	// Dht starts kad.
	Dht *dhtOptions `json:"dht"`

	// Certificate and Key, in PEM, are shown by the WebSocket listener with TLS; made at the start where there are none.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

type pubsubOptions struct {
	// Signing is "StrictSign" or "StrictNoSign".
	Signing string `json:"signing"`
	// Floodsub in place of gossipsub.
	Floodsub bool `json:"floodsub"`
	// PeerExchange offers other peers to those that it prunes.
	PeerExchange bool `json:"peerExchange"`
	// Partial starts partial messages (parts.go).
	Partial bool `json:"partial"`
	// Queue is how many messages wait to be checked, and how many for each peer; see rooms.go for the default.
	Queue int `json:"queue"`
}

type dhtOptions struct {
	// Prefix goes before /kad/1.0.0.
	Prefix string `json:"prefix"`
	// Mode is "server" or "client".
	Mode string `json:"mode"`
	// Hosts is how many more peers there are in this process, each with an identity of its own and else like the first one.
	Hosts int `json:"hosts"`
}

func parseOptions(args []string) (options, error) {
	opts := options{
		Encryption:          []string{"noise", "tls"},
		WebRTCDirectVersion: 1,
		Limits:              true,
		AllowPrivate:        true,
	}
	if len(args) == 0 {
		return opts, nil
	}
	in := json.NewDecoder(bytes.NewBufferString(args[0]))
	in.DisallowUnknownFields()
	if err := in.Decode(&opts); err != nil || len(args) > 1 {
		return opts, fmt.Errorf("the one argument is a JSON object of options (options.go): %w", err)
	}
	return opts, nil
}
