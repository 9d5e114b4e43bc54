// A TURN server on this machine as a process of its own (RFC 8656, by pion/turn): UDP and TCP on one port. Started by server.mjs, or by hand:
//
//	go run . '{"host":"127.0.0.1","username":"ann","password":"secret"}'
//
// First `{ port }` on stdout; then each line on stdin is answered by `{ allocations, sent, received }`: allocations so far, and bytes that they
// passed on to peers and got from them. Relays to `host` alone. Ends on SIGTERM, SIGINT, and when stdin ends.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/pion/turn/v4"
)

type options struct {
	Host     string `json:"host"`
	Username string `json:"username"`
	Password string `json:"password"`
}

type counts struct {
	Allocations atomic.Int64
	Sent        atomic.Int64
	Received    atomic.Int64
}

// Allocations whose traffic is counted.
type counting struct {
	turn.RelayAddressGenerator
	counts *counts
}

func (c counting) AllocatePacketConn(network string, port int) (net.PacketConn, net.Addr, error) {
	conn, addr, err := c.RelayAddressGenerator.AllocatePacketConn(network, port)
	if err != nil {
		return conn, addr, err
	}
	c.counts.Allocations.Add(1)
	return countedConn{conn, c.counts}, addr, nil
}

type countedConn struct {
	net.PacketConn
	counts *counts
}

func (c countedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	c.counts.Received.Add(int64(n))
	return n, from, err
}

func (c countedConn) WriteTo(p []byte, to net.Addr) (int, error) {
	n, err := c.PacketConn.WriteTo(p, to)
	c.counts.Sent.Add(int64(n))
	return n, err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var given options
	if len(os.Args) != 2 {
		return fmt.Errorf("one argument: JSON with host, username and password")
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp4", net.JoinHostPort(given.Host, "0"))
	if err != nil {
		return err
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
	if err != nil {
		return err
	}
	counted := &counts{}
	relay := counting{&turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(given.Host), Address: given.Host}, counted}
	only := func(_ net.Addr, peer net.IP) bool { return peer.Equal(net.ParseIP(given.Host)) }
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "tabmesh.test",
		AuthHandler: func(username, realm string, _ net.Addr) ([]byte, bool) {
			return turn.GenerateAuthKey(username, realm, given.Password), username == given.Username
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: udp, RelayAddressGenerator: relay, PermissionHandler: only}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: tcp, RelayAddressGenerator: relay, PermissionHandler: only}},
	})
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]int{"port": port}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := out.Encode(map[string]int64{
			"allocations": counted.Allocations.Load(),
			"sent":        counted.Sent.Load(),
			"received":    counted.Received.Load(),
		}); err != nil {
			return err
		}
	}
	return lines.Err()
}
