package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// An application of partial messages, the same as our peers have (../../interop/our-parts.mjs). A message is eight parts of one length.
// Metadata is a byte with a bit for each part that the sender has, and it wants the others; a partial message such a byte, and then the parts.
const partsOfMessage = 8

var errNoParts = errors.New("this peer was started without partial messages")

type assemblies struct {
	pubsub *pubsub.PubSub
	ext    *partialmessages.PartialMessagesExtension[view]

	mu   sync.Mutex
	open map[string]*assembly
}

// A message on its way to being whole.
type assembly struct {
	held  byte
	parts [partsOfMessage][]byte
	// came counts the parts that others sent, those we had already too.
	came int
	// whole is closed once all are there.
	whole chan struct{}
}

// What is known of a peer and a message.
type view struct {
	known, told bool
	// has is what it has, as far as it has said or was sent; heard what it was told that we have.
	has, heard byte
}

func newAssemblies() *assemblies {
	a := &assemblies{open: map[string]*assembly{}}
	a.ext = &partialmessages.PartialMessagesExtension[view]{
		Logger:             slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnIncomingRPC:      a.take,
		GroupTTLByHeatbeat: 10,
		OnEmitGossip: func(topic string, group []byte, _ []peer.ID, _ map[peer.ID]view) {
			go a.publish(topic, string(group))
		},
	}
	return a
}

// Called with the lock held.
func (a *assemblies) of(topic, group string) *assembly {
	name := topic + "/" + group
	found := a.open[name]
	if found == nil {
		found = &assembly{whole: make(chan struct{})}
		a.open[name] = found
	}
	return found
}

func (one *assembly) add(bits byte, bytes []byte) error {
	count := 0
	for i := range partsOfMessage {
		if bits>>i&1 == 1 {
			count++
		}
	}
	if count == 0 || len(bytes)%count != 0 {
		return fmt.Errorf("%d bytes are not %d parts", len(bytes), count)
	}
	length := len(bytes) / count
	before := one.held
	for i := range partsOfMessage {
		if bits>>i&1 == 0 {
			continue
		}
		one.held |= 1 << i
		one.parts[i], bytes = bytes[:length], bytes[length:]
	}
	if one.held == 0xff && before != 0xff {
		close(one.whole)
	}
	return nil
}

func (one *assembly) encode(bits byte) []byte {
	out := []byte{bits}
	for i, part := range one.parts {
		if bits>>i&1 == 1 {
			out = append(out, part...)
		}
	}
	return out
}

func (a *assemblies) take(from peer.ID, views map[peer.ID]view, rpc *pb.PartialMessagesExtension) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	topic, group := rpc.GetTopicID(), string(rpc.GetGroupID())
	one, seen := a.of(topic, group), views[from]
	if metadata := rpc.GetPartsMetadata(); len(metadata) == 1 {
		seen.known, seen.has = true, seen.has|metadata[0]
	}
	if parts := rpc.GetPartialMessage(); len(parts) > 0 {
		if err := one.add(parts[0], parts[1:]); err != nil {
			return err
		}
		seen.has |= parts[0]
		for i := range partsOfMessage {
			one.came += int(parts[0] >> i & 1)
		}
	}
	views[from] = seen
	// Not from within: this is the loop that publishing needs.
	go a.publish(topic, group)
	return nil
}

// Sends each peer the parts that it lacks, and what there is here, where that is news.
func (a *assemblies) publish(topic, group string) error {
	return pubsub.PublishPartial(a.pubsub, topic, []byte(group), func(views map[peer.ID]view, requests func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
		return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
			a.mu.Lock()
			defer a.mu.Unlock()
			one := a.of(topic, group)
			for id, seen := range views {
				var action partialmessages.PublishAction
				if lacks := one.held &^ seen.has; seen.known && lacks != 0 && requests(id) {
					action.EncodedPartialMessage = one.encode(lacks)
					seen.has |= lacks
				}
				if !seen.told || seen.heard != one.held {
					action.EncodedPartsMetadata = []byte{one.held}
					seen.told, seen.heard = true, one.held
				}
				views[id] = seen
				if !yield(id, action) {
					return
				}
			}
		}
	})
}

// Parts `held` of a whole message become ours.
func (a *assemblies) put(topic, group string, held byte, message []byte) error {
	whole := &assembly{whole: make(chan struct{})}
	if err := whole.add(0xff, message); err != nil {
		return err
	}
	a.mu.Lock()
	err := a.of(topic, group).add(held, whole.encode(held)[1:])
	a.mu.Unlock()
	if err != nil {
		return err
	}
	return a.publish(topic, group)
}

// The message once it is whole, and how many parts of it others sent.
func (a *assemblies) whole(ctx context.Context, topic, group string) (map[string]any, error) {
	a.mu.Lock()
	one := a.of(topic, group)
	a.mu.Unlock()
	select {
	case <-one.whole:
	case <-ctx.Done():
		return nil, fmt.Errorf("the message is not whole: %w", ctx.Err())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return map[string]any{"data": one.encode(0xff)[1:], "came": one.came}, nil
}

func partialOption(role string) ([]pubsub.TopicOpt, error) {
	switch role {
	case "":
		return nil, nil
	case "request":
		return []pubsub.TopicOpt{pubsub.RequestPartialMessages()}, nil
	case "support":
		return []pubsub.TopicOpt{pubsub.SupportsPartialMessages()}, nil
	}
	return nil, fmt.Errorf("no such part in partial messages: %s", role)
}
