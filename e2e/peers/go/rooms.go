package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// How many messages gossipsub holds for a topic before it drops; they are taken from there at once.
const undelivered = 4096

// How many wait to be checked, and for each peer, before it drops them: the default is 32, which a machine with more peers than cores is over
// soon. What is dropped within a mesh is never asked for again.
const unsent = 1024

// Gossipsub, and what came in each topic until it is asked for.
type rooms struct {
	ctx     context.Context
	self    peer.ID
	pubsub  *pubsub.PubSub
	traffic *traffic
	// parts is nil without partial messages.
	parts *assemblies

	mu   sync.Mutex
	open map[string]*room
}

type room struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription

	mu       sync.Mutex
	received []message
	tally    tally
	// arrived is closed, and made anew, with each message.
	arrived chan struct{}
}

type message struct {
	From         string `json:"from"`
	ReceivedFrom string `json:"receivedFrom"`
	Seqno        []byte `json:"seqno"`
	Data         []byte `json:"data"`
	ID           []byte `json:"id"`
}

func newRooms(h host.Host, opts pubsubOptions) (*rooms, error) {
	ctx := context.Background()
	if opts.Queue == 0 {
		opts.Queue = unsent
	}
	r := &rooms{ctx: ctx, self: h.ID(), traffic: newTraffic(), open: map[string]*room{}}
	settings := []pubsub.Option{
		pubsub.WithRawTracer(r.traffic),
		pubsub.WithPeerOutboundQueueSize(opts.Queue),
		pubsub.WithValidateQueueSize(opts.Queue),
	}
	switch opts.Signing {
	case "", "StrictSign":
	case "StrictNoSign":
		// There is nothing to make go's message id of.
		settings = append(settings, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(), pubsub.WithMessageIdFn(contentID))
	default:
		return nil, fmt.Errorf("no such way to sign: %s", opts.Signing)
	}
	var err error
	if opts.Floodsub {
		r.pubsub, err = pubsub.NewFloodSub(ctx, h, settings...)
		return r, err
	}
	// Who publishes sends to all subscribers, as the specification recommends; until the first heartbeat there is no mesh.
	settings = append(settings, pubsub.WithFloodPublish(true), pubsub.WithPeerExchange(opts.PeerExchange))
	if opts.Partial {
		r.parts = newAssemblies()
		settings = append(settings, pubsub.WithPartialMessagesExtension(r.parts.ext))
	}
	if r.pubsub, err = pubsub.NewGossipSub(ctx, h, settings...); r.parts != nil {
		r.parts.pubsub = r.pubsub
	}
	return r, err
}

// SHA-256 of the data.
func contentID(message *pb.Message) string {
	sum := sha256.Sum256(message.GetData())
	return string(sum[:])
}

// Partial is "request" or "support" where parts of messages are to be asked for, or only sent.
func (r *rooms) join(topic, partial string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[topic] != nil {
		return nil
	}
	options, err := partialOption(partial)
	if err != nil {
		return err
	}
	joined, err := r.pubsub.Join(topic, options...)
	if err != nil {
		return err
	}
	sub, err := joined.Subscribe(pubsub.WithBufferSize(undelivered))
	if err != nil {
		return err
	}
	in := &room{topic: joined, sub: sub, arrived: make(chan struct{})}
	r.open[topic] = in
	go in.collect(r.ctx, r.self)
	return nil
}

// Our own messages are left out: they come back before anybody else has seen them.
func (in *room) collect(ctx context.Context, self peer.ID) {
	for {
		next, err := in.sub.Next(ctx)
		if err != nil {
			return
		}
		if next.ReceivedFrom == self {
			continue
		}
		from := ""
		if len(next.From) > 0 {
			from = next.GetFrom().String()
		}
		in.mu.Lock()
		if in.tally.add(from, next.GetData()) {
			in.mu.Unlock()
			continue
		}
		in.received = append(in.received, message{
			From:         from,
			ReceivedFrom: next.ReceivedFrom.String(),
			Seqno:        next.GetSeqno(),
			Data:         next.GetData(),
			ID:           []byte(next.ID),
		})
		close(in.arrived)
		in.arrived = make(chan struct{})
		in.mu.Unlock()
	}
}

func (r *rooms) joined(topic string) (*room, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.open[topic]
	if in == nil {
		return nil, fmt.Errorf("not joined: %s", topic)
	}
	return in, nil
}

func (r *rooms) leave(topic string) error {
	in, err := r.joined(topic)
	if err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.open, topic)
	r.mu.Unlock()
	in.sub.Cancel()
	return in.topic.Close()
}

func (r *rooms) publish(ctx context.Context, topic string, data []byte) error {
	in, err := r.joined(topic)
	if err != nil {
		return err
	}
	return in.topic.Publish(ctx, data)
}

// Takes what has come, once it is `count` messages at least.
func (r *rooms) messages(ctx context.Context, topic string, count int) ([]message, error) {
	in, err := r.joined(topic)
	if err != nil {
		return nil, err
	}
	for {
		in.mu.Lock()
		have, arrived := in.received, in.arrived
		if len(have) >= count {
			in.received = nil
			in.mu.Unlock()
			return append([]message{}, have...), nil
		}
		in.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages came: %w", len(have), count, ctx.Err())
		}
	}
}

// Who else has told us that they are in a topic, joined by us or not.
func (r *rooms) subscribers(topic string) []string {
	return peerIDs(r.pubsub.ListPeers(topic))
}

func (r *rooms) burst(ctx context.Context, topic string, count, bytes int, rate float64) (float64, error) {
	in, err := r.joined(topic)
	if err != nil {
		return 0, err
	}
	return publishSeries(ctx, r.self.String(), count, bytes, rate, func(data []byte) error { return in.topic.Publish(ctx, data) })
}

func (r *rooms) tally(topic string) (map[string]any, error) {
	in, err := r.joined(topic)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.tally.read(), nil
}
