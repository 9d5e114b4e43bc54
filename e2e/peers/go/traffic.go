package main

import (
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// What gossipsub tells of itself: who speaks what, its meshes, and counts of what came and went.
type traffic struct {
	mu        sync.Mutex
	meshes    map[string]map[peer.ID]bool
	protocols map[peer.ID]protocol.ID
	counts    map[string]int
}

func newTraffic() *traffic {
	return &traffic{meshes: map[string]map[peer.ID]bool{}, protocols: map[peer.ID]protocol.ID{}, counts: map[string]int{}}
}

func (t *traffic) count(what string, by int) {
	if by == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[what] += by
}

func (t *traffic) read() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]int{}
	for what, count := range t.counts {
		all[what] = count
	}
	return all
}

func (t *traffic) mesh(topic string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []peer.ID{}
	for each := range t.meshes[topic] {
		all = append(all, each)
	}
	return peerIDs(all)
}

// The protocol of our stream to each.
func (t *traffic) spoken() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]string{}
	for each, spoken := range t.protocols {
		all[each.String()] = string(spoken)
	}
	return all
}

func (t *traffic) OnNewOutboundStream(p peer.ID, spoken protocol.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.protocols[p] = spoken
}

func (t *traffic) OnClosedOutboundStream(p peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.protocols, p)
	for _, mesh := range t.meshes {
		delete(mesh, p)
	}
}

func (t *traffic) Join(string) {}

func (t *traffic) Leave(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.meshes, topic)
}

func (t *traffic) Graft(p peer.ID, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.meshes[topic] == nil {
		t.meshes[topic] = map[peer.ID]bool{}
	}
	t.meshes[topic][p] = true
}

func (t *traffic) Prune(p peer.ID, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.meshes[topic], p)
}

func (t *traffic) RecvRPC(rpc *pubsub.RPC) {
	t.count("messagesReceived", len(rpc.GetPublish()))
	control := rpc.GetControl()
	for _, each := range control.GetIdontwant() {
		t.count("idontwantReceived", len(each.GetMessageIDs()))
	}
	for _, each := range control.GetIhave() {
		t.count("ihaveReceived", len(each.GetMessageIDs()))
	}
	for _, each := range control.GetIwant() {
		t.count("iwantReceived", len(each.GetMessageIDs()))
	}
	for _, each := range control.GetPrune() {
		t.count("pruneReceived", 1)
		t.count("offersReceived", len(each.GetPeers()))
	}
}

func (t *traffic) SendRPC(rpc *pubsub.RPC, _ peer.ID) {
	t.count("messagesSent", len(rpc.GetPublish()))
	control := rpc.GetControl()
	for _, each := range control.GetIdontwant() {
		t.count("idontwantSent", len(each.GetMessageIDs()))
	}
	for _, each := range control.GetPrune() {
		t.count("offersSent", len(each.GetPeers()))
	}
}

func (t *traffic) DropRPC(*pubsub.RPC, peer.ID)         { t.count("dropped", 1) }
func (t *traffic) UndeliverableMessage(*pubsub.Message) { t.count("undeliverable", 1) }
func (t *traffic) DuplicateMessage(*pubsub.Message)     { t.count("duplicates", 1) }
func (t *traffic) DeliverMessage(*pubsub.Message)       { t.count("delivered", 1) }
func (t *traffic) RejectMessage(_ *pubsub.Message, reason string) {
	t.count("rejected "+reason, 1)
}
func (t *traffic) ValidateMessage(*pubsub.Message) {}
func (t *traffic) ThrottlePeer(peer.ID)            {}
