// A go-libp2p peer as a process of its own. Started by client.mjs, or by hand:
//
//	go run . '{"listen":["tcp","ws","quic-v1","webtransport","webrtc-direct"]}'
//
// The one argument is JSON (options.go). Line-delimited JSON: first `{ peerId, addresses }` on stdout, then
// `{ id, cmd, … }` on stdin is answered by `{ id, result }` or `{ id, error }` on stdout (commands.go). The commands, and
// the shapes of what they return, are those of the js-libp2p peer (../js/peer.mjs) wherever both have them.
//
// Serves echo, perf, ping and identify, all of them on limited connections too; on demand a circuit relay, gossipsub and
// kad. No STUN server, no bootstrap: nothing leaves this machine. Ends on SIGTERM, SIGINT, `stop`, and when stdin ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	commandTimeout = 60 * time.Second
	startTimeout   = 25 * time.Second
	// A stop waits for peers that may be gone: it has a bound.
	stopTimeout = 3 * time.Second
)

// One JSON value a line; commands answer from goroutines of their own.
type output struct {
	mu   sync.Mutex
	json *json.Encoder
}

func (o *output) print(message any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.json.Encode(message); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	opts, err := parseOptions(os.Args[1:])
	if err != nil {
		return err
	}
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer end()

	starting, started := context.WithTimeout(ctx, startTimeout)
	n, err := start(starting, opts)
	started()
	if err != nil {
		return err
	}
	n.end = end

	out := &output{json: json.NewEncoder(os.Stdout)}
	hosts := []map[string]any{}
	for _, each := range n.more {
		hosts = append(hosts, map[string]any{"peerId": each.host.ID().String(), "addresses": each.addresses()})
	}
	out.print(map[string]any{"peerId": n.host.ID().String(), "addresses": n.addresses(), "certificate": n.certificate, "hosts": hosts})
	go serve(ctx, n, out, end)

	<-ctx.Done()
	closed := make(chan error, 1)
	go func() { closed <- n.host.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(stopTimeout):
		return nil
	}
}

// Answers what comes on stdin, each command in a goroutine of its own, until stdin ends: then the parent is gone.
func serve(ctx context.Context, n *node, out *output, end func()) {
	defer end()
	lines := json.NewDecoder(os.Stdin)
	for {
		var c command
		if err := lines.Decode(&c); err != nil {
			return
		}
		go func() {
			timeout := commandTimeout
			if c.Timeout > 0 {
				timeout = time.Duration(c.Timeout) * time.Millisecond
			}
			ctx, done := context.WithTimeout(ctx, timeout)
			defer done()
			result, err := c.run(ctx, n)
			if err != nil {
				out.print(map[string]any{"id": c.ID, "error": describeError(err)})
			} else {
				out.print(map[string]any{"id": c.ID, "result": result})
			}
		}()
	}
}
