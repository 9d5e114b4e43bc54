package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Messages that number themselves, and the count of those that came: see ../js/series.mjs, which has the same.
//
// A message is text, `<peer id> <number> ` and dots up to its length.

// A turn of a burst, and how many messages go in one at most: a peer that was kept waiting has much to catch up on.
const (
	turn      = 5 * time.Millisecond
	mostATurn = 4
)

var ofSeries = regexp.MustCompile(`^(\S+) (\d+) \.*$`)

func seriesMessage(from string, n, bytes int) []byte {
	text := fmt.Sprintf("%s %d ", from, n)
	return []byte(text + strings.Repeat(".", max(0, bytes-len(text))))
}

type tally struct {
	senders map[string]*heard
	wrong   int
}

type heard struct {
	count int
	seen  map[int]bool
}

// Whether it was one of a series.
func (t *tally) add(from string, data []byte) bool {
	parts := ofSeries.FindSubmatch(data)
	if parts == nil {
		return false
	}
	n, err := strconv.Atoi(string(parts[2]))
	if err != nil || string(parts[1]) != from {
		t.wrong++
		return true
	}
	if t.senders == nil {
		t.senders = map[string]*heard{}
	}
	if t.senders[from] == nil {
		t.senders[from] = &heard{seen: map[int]bool{}}
	}
	t.senders[from].count++
	t.senders[from].seen[n] = true
	return true
}

func (t *tally) read() map[string]any {
	senders := map[string]any{}
	for from, each := range t.senders {
		senders[from] = map[string]int{"count": each.count, "distinct": len(each.seen)}
	}
	return map[string]any{"senders": senders, "wrong": t.wrong}
}

// Publishes the numbers from 0 to `count - 1`, `rate` of them a second; returns how many milliseconds that took.
func publishSeries(ctx context.Context, from string, count, bytes int, rate float64, publish func([]byte) error) (float64, error) {
	began := time.Now()
	ticks := time.NewTicker(turn)
	defer ticks.Stop()
	for n := 0; n < count; {
		due := min(count, n+mostATurn, int((time.Since(began)+turn).Seconds()*rate)+1)
		for ; n < due; n++ {
			if err := publish(seriesMessage(from, n, bytes)); err != nil {
				return 0, err
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d published: %w", n, count, ctx.Err())
		}
	}
	return float64(time.Since(began).Microseconds()) / 1000, nil
}
