package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multistream"
)

const echoProtocol = "/echo/1.0.0"

// One read or write.
const block = 64 * 1024

// Opens a stream over this very connection (the host would choose one, and wait for identify), and runs `work` on it: with
// the deadline of the context, and a reset where it fails. Also says how long the opening took, the protocol's agreement
// included, in milliseconds.
func onStream(ctx context.Context, c network.Conn, id protocol.ID, work func(s network.Stream) error) (float64, error) {
	started := time.Now()
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "a test"))
	if err != nil {
		return 0, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(deadline); err != nil {
			_ = s.Reset()
			return 0, err
		}
	}
	if err = multistream.SelectProtoOrFail(id, s); err == nil {
		err = s.SetProtocol(id)
	}
	opened := since(started)
	if err == nil {
		err = work(s)
	}
	if err != nil {
		_ = s.Reset()
		return opened, err
	}
	return opened, s.Close()
}

// Serves /echo/1.0.0: every byte back, then the end.
func serveEcho(s network.Stream) {
	if _, err := io.CopyBuffer(s, s, make([]byte, block)); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

type echoResult struct {
	Ms     float64 `json:"ms"`
	OpenMs float64 `json:"openMs"`
	Bytes  int     `json:"bytes"`
	Sha256 string  `json:"sha256"`
}

// Sends `length` seeded bytes and checks that the same come back. `Ms` runs from the opening of the stream to the last byte.
func runEcho(ctx context.Context, c network.Conn, id string, length int, seed uint32) (*echoResult, error) {
	if id == "" {
		id = echoProtocol
	}
	sent := seededBytes(seed, length)
	started := time.Now()
	result := &echoResult{Bytes: length}
	opened, err := onStream(ctx, c, protocol.ID(id), func(s network.Stream) error {
		written := make(chan error, 1)
		go func() { written <- writeAll(s, sent) }()
		back, err := io.ReadAll(io.LimitReader(s, int64(length)+1))
		result.Ms = since(started)
		if err != nil {
			return err
		}
		if len(back) > length {
			return fmt.Errorf("sent %d bytes, more came back", length)
		}
		if len(back) < length {
			return fmt.Errorf("sent %d bytes, %d came back before the end", length, len(back))
		}
		if !bytes.Equal(sent, back) {
			return fmt.Errorf("%d bytes came back changed", length)
		}
		return <-written
	})
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(sent)
	result.OpenMs, result.Sha256 = opened, hex.EncodeToString(hash[:])
	return result, nil
}

func writeAll(s network.Stream, data []byte) error {
	if _, err := s.Write(data); err != nil {
		return err
	}
	return s.CloseWrite()
}

// The bytes that the js-libp2p peer makes of the same seed (xorshift32).
func seededBytes(seed uint32, length int) []byte {
	x := seed
	if x == 0 {
		x = 0x9e3779b9
	}
	data := make([]byte, (length+3)/4*4)
	for i := 0; i < len(data); i += 4 {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		binary.LittleEndian.PutUint32(data[i:], x)
	}
	return data[:length]
}

type pingResult struct {
	Ms  float64 `json:"ms"`
	Rtt float64 `json:"rtt"`
}

// One ping on a stream of its own. `Ms` is with the opening of the stream, `Rtt` without.
func runPing(ctx context.Context, c network.Conn) (*pingResult, error) {
	result := &pingResult{}
	opened, err := onStream(ctx, c, ping.ID, func(s network.Stream) error {
		data, back := make([]byte, ping.PingSize), make([]byte, ping.PingSize)
		if _, err := rand.Read(data); err != nil {
			return err
		}
		started := time.Now()
		if _, err := s.Write(data); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, back); err != nil {
			return err
		}
		result.Rtt = since(started)
		if !bytes.Equal(data, back) {
			return errors.New("a ping came back changed")
		}
		return nil
	})
	result.Ms = opened + result.Rtt
	return result, err
}
