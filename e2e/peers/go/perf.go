package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// https://github.com/libp2p/specs/blob/master/perf/perf.md (go-libp2p has no service for it)
const perfProtocol = "/perf/1.0.0"

var zeros = make([]byte, block)

// Serves /perf/1.0.0: 8 bytes big-endian say how much is wanted back once the remote has finished sending.
func servePerf(s network.Stream) {
	if err := answerPerf(s); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

func answerPerf(s network.Stream) error {
	var head [8]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, block)); err != nil {
		return err
	}
	return sendZeros(s, binary.BigEndian.Uint64(head[:]))
}

func sendZeros(s network.Stream, total uint64) error {
	for left := total; left > 0; {
		n, err := s.Write(zeros[:min(left, block)])
		if err != nil {
			return err
		}
		left -= uint64(n)
	}
	return nil
}

type perfResult struct {
	OpenMs       float64 `json:"openMs"`
	UploadMs     float64 `json:"uploadMs"`
	DownloadMs   float64 `json:"downloadMs"`
	UploadMBps   float64 `json:"uploadMBps"`
	DownloadMBps float64 `json:"downloadMBps"`
}

// One exchange on one stream: `upload` bytes there, then `download` bytes back, at least one: the answer is what proves that
// the remote has read the upload. `UploadMs` is up to the answer's first byte, `DownloadMs` from the end of our sending to
// its last.
func runPerf(ctx context.Context, c network.Conn, upload, download uint64) (*perfResult, error) {
	asked := max(download, 1)
	result := &perfResult{}
	opened, err := onStream(ctx, c, perfProtocol, func(s network.Stream) error {
		started := time.Now()
		if _, err := s.Write(binary.BigEndian.AppendUint64(nil, asked)); err != nil {
			return err
		}
		if err := sendZeros(s, upload); err != nil {
			return err
		}
		if err := s.CloseWrite(); err != nil {
			return err
		}
		sent := time.Now()
		var first [1]byte
		if _, err := io.ReadFull(s, first[:]); err != nil {
			return err
		}
		result.UploadMs = since(started)
		rest, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, block))
		if err != nil {
			return err
		}
		result.DownloadMs = since(sent)
		if uint64(rest)+1 != asked {
			return fmt.Errorf("asked for %d bytes, %d came", asked, rest+1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	result.OpenMs = opened
	result.UploadMBps = float64(upload) / 1000 / result.UploadMs
	result.DownloadMBps = float64(download) / 1000 / result.DownloadMs
	return result, nil
}
