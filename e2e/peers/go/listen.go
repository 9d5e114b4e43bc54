package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/pnet"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
)

// The names that `listen` takes beside multiaddrs.
var listenAddresses = map[string]string{
	"tcp":           "/ip4/127.0.0.1/tcp/0",
	"ws":            "/ip4/127.0.0.1/tcp/0/ws",
	"wss":           "/ip4/127.0.0.1/tcp/0/tls/ws",
	"quic-v1":       "/ip4/127.0.0.1/udp/0/quic-v1",
	"webtransport":  "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
	"webrtc-direct": "/ip4/127.0.0.1/udp/0/webrtc-direct",
}

// What identify tells: go-libp2p and its version. By itself it would name this program.
func agent() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/libp2p/go-libp2p" {
				return "go-libp2p/" + strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "go-libp2p"
}

// A host that can dial by every transport and listens where it is told to. Also: its TLS certificate, if it shows one.
func newHost(opts options) (host.Host, string, error) {
	listen := []string{}
	secure := false
	for _, each := range opts.Listen {
		if address, isName := listenAddresses[each]; isName {
			each = address
		}
		secure = secure || strings.Contains(each, "/tls/ws") || strings.Contains(each, "/wss")
		listen = append(listen, each)
	}
	var certificate string
	webSocket := []any{
		// Remotes of a test show a certificate that nobody has signed; who they are, Noise or TLS over it proves.
		websocket.WithTLSClientConfig(&tls.Config{InsecureSkipVerify: true}),
	}
	if secure {
		shown, pem, err := tlsCertificate(opts)
		if err != nil {
			return nil, "", err
		}
		certificate = pem
		webSocket = append(webSocket, websocket.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{shown}}))
	}

	limits, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(localLimits))
	if err != nil {
		return nil, "", err
	}
	all := []libp2p.Option{
		libp2p.ListenAddrStrings(listen...),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New, webSocket...),
		libp2p.ResourceManager(limits),
		// The default one would close connections of a test that makes many.
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		// With this the host announces the addresses that relays give it, beside those of this machine.
		libp2p.ForceReachabilityPrivate(),
		libp2p.DisableMetrics(),
		libp2p.UserAgent(agent()),
		libp2p.ProtocolVersion("ipfs/0.1.0"),
	}
	for _, name := range opts.Encryption {
		switch name {
		case "noise":
			all = append(all, libp2p.Security(noise.ID, noise.New))
		case "tls":
			all = append(all, libp2p.Security(libp2ptls.ID, libp2ptls.New))
		default:
			return nil, "", fmt.Errorf("no such encryption: %s", name)
		}
	}
	if opts.PreSharedKey != "" {
		psk, err := pnet.DecodeV1PSK(strings.NewReader(opts.PreSharedKey))
		if err != nil {
			return nil, "", fmt.Errorf("preSharedKey: %w", err)
		}
		all = append(all, libp2p.PrivateNetwork(psk))
	} else {
		all = append(all,
			libp2p.Transport(quic.NewTransport),
			libp2p.Transport(webtransport.New),
			libp2p.Transport(webrtc.New, webrtc.WithDialerVersion(opts.WebRTCDirectVersion)),
		)
	}
	if opts.HolePunching {
		all = append(all, hidden())
	}
	if opts.Seed != "" {
		seed := sha256.Sum256([]byte(opts.Seed))
		key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
		if err != nil {
			return nil, "", err
		}
		all = append(all, libp2p.Identity(key))
	}
	h, err := libp2p.New(all...)
	return h, certificate, err
}
