package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// idleSettle gives identify time to end at both sides before memory is read.
	idleSettle = time.Second
	// halfCloseMax is the initial yamux window: the echo never waits for a client that does not read yet.
	halfCloseMax = 256 << 10
)

// workloads return their line, or nil if they printed their lines themselves.
var workloads = map[string]func(*client) (any, error){
	"upload":             func(c *client) (any, error) { return c.bulk(1, (*client).upload) },
	"download":           func(c *client) (any, error) { return c.bulk(1, (*client).download) },
	"upload-32":          func(c *client) (any, error) { return c.bulk(32, (*client).upload) },
	"download-32":        func(c *client) (any, error) { return c.bulk(32, (*client).download) },
	"paced":              (*client).paced,
	"ping":               (*client).ping,
	"ping-open":          (*client).pingOpen,
	"rr-seq":             func(c *client) (any, error) { return c.requests(1) },
	"rr-32":              func(c *client) (any, error) { return c.requests(32) },
	"rr-100":             func(c *client) (any, error) { return c.requests(100) },
	"msgs":               (*client).messages,
	"handshake-seq":      func(c *client) (any, error) { return c.handshakes(1) },
	"handshake-16":       func(c *client) (any, error) { return c.handshakes(16) },
	"first-byte":         (*client).firstByte,
	"idle":               (*client).idle,
	"echo":               (*client).echo,
	"identify":           (*client).identify,
	"half-close":         (*client).halfClose,
	"reset":              (*client).reset,
	"close":              (*client).close,
	"refused-stream":     (*client).refusedStream,
	"refused-connection": (*client).refusedConnection,
}

func (c *client) requests(concurrency int) (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	request := make([]byte, 4+c.opts.bytes)
	binary.BigEndian.PutUint32(request, uint32(c.opts.bytes))
	newRandom(0).Read(request[4:])
	watch := startWatch()
	latencies, err := eachOf(c.opts.n, concurrency, func(int) error { return c.request(h, request) })
	if err != nil {
		return nil, err
	}
	return watch.stop(int64(c.opts.n), int64(c.opts.n)*c.opts.bytes, latencies), nil
}

func (c *client) request(h host.Host, request []byte) error {
	s, err := c.open(h, rrProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write(request); err != nil {
		return err
	}
	// Fails over QUIC if the server has stopped this half, as it has the request already. The answer tells.
	s.CloseWrite()
	// One byte of room beyond the payload lets the same read see the end of the stream.
	response := make([]byte, len(request)-3)
	n, err := io.ReadFull(s, response)
	if err == nil {
		return errors.New("answer is longer than the request")
	}
	if err != io.ErrUnexpectedEOF && err != io.EOF {
		return err
	}
	if !bytes.Equal(response[:n], request[4:]) {
		return errors.New("answer differs from the request")
	}
	return nil
}

func (c *client) messages() (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	message := make([]byte, 4+c.opts.bytes)
	binary.BigEndian.PutUint32(message, uint32(c.opts.bytes))
	s, err := c.open(h, msgsProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	watch := startWatch()
	for range c.opts.n {
		if _, err := s.Write(message); err != nil {
			return nil, err
		}
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	var count uint64
	if err := binary.Read(s, binary.BigEndian, &count); err != nil {
		return nil, err
	}
	r := watch.stop(int64(c.opts.n), int64(c.opts.n)*c.opts.bytes, nil)
	if count != uint64(c.opts.n) {
		return nil, fmt.Errorf("server counted %d messages, expected %d", count, c.opts.n)
	}
	return r, s.Close()
}

func (c *client) handshakes(concurrency int) (any, error) {
	if err := c.newNodes(concurrency); err != nil {
		return nil, err
	}
	watch := startWatch()
	latencies, err := eachOf(c.opts.n, concurrency, func(worker int) error {
		return c.handshake(c.hosts[worker])
	})
	if err != nil {
		return nil, err
	}
	return watch.stop(int64(c.opts.n), 0, latencies), nil
}

// handshake dials below the host, which would also wait for identify.
func (c *client) handshake(h host.Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	conn, err := h.Network().DialPeer(ctx, c.server.ID)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (c *client) idle() (any, error) {
	if err := c.newNodes(c.opts.n); err != nil {
		return nil, err
	}
	phase := func(name string) {
		time.Sleep(idleSettle)
		c.phase(map[string]any{"phase": name, "rss_kb": residentKiB()})
	}
	phase("base")
	var next atomic.Int64
	_, err := eachOf(c.opts.n, c.opts.concurrency, func(int) error {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		return c.hosts[next.Add(1)-1].Connect(ctx, c.server)
	})
	if err != nil {
		return nil, err
	}
	phase("full")
	for _, h := range c.hosts {
		if err := h.Network().ClosePeer(c.server.ID); err != nil {
			return nil, err
		}
	}
	phase("gone")
	return nil, nil
}

func (c *client) echo() (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	watch := startWatch()
	failures := make(chan error, c.opts.concurrency)
	for i := range c.opts.concurrency {
		go func() { failures <- c.echoOne(h, uint64(i)) }()
	}
	for range c.opts.concurrency {
		if err := <-failures; err != nil {
			return nil, err
		}
	}
	return watch.stopBulk(int64(c.opts.concurrency), int64(c.opts.concurrency)*c.opts.bytes), nil
}

func (c *client) echoOne(h host.Host, seed uint64) error {
	s, err := c.open(h, echoProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	sent := make(chan error, 1)
	sentHash, receivedHash := sha256.New(), sha256.New()
	go func() {
		err := writePattern(io.MultiWriter(sentHash, s), seed, c.opts.bytes)
		if err == nil {
			err = s.CloseWrite()
		}
		sent <- err
	}()
	received, err := io.Copy(receivedHash, s)
	if err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	if received != c.opts.bytes || !bytes.Equal(sentHash.Sum(nil), receivedHash.Sum(nil)) {
		return fmt.Errorf("echo of %d bytes differs: %d bytes came back", c.opts.bytes, received)
	}
	return s.Close()
}

func (c *client) halfClose() (any, error) {
	if c.opts.bytes > halfCloseMax {
		return nil, fmt.Errorf("half-close of %d bytes exceeds the limit of %d", c.opts.bytes, halfCloseMax)
	}
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	s, err := c.open(h, echoProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	var pattern bytes.Buffer
	if err := writePattern(io.MultiWriter(&pattern, s), 0, c.opts.bytes); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	received, err := io.ReadAll(s)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(received, pattern.Bytes()) {
		return nil, fmt.Errorf("echo of %d bytes differs: %d bytes came back", pattern.Len(), len(received))
	}
	return map[string]any{"ops": 1, "bytes": c.opts.bytes}, s.Close()
}

func (c *client) identify() (any, error) {
	if err := c.newNodes(1); err != nil {
		return nil, err
	}
	h := c.hosts[0]
	identified, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, err
	}
	defer identified.Close()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := h.Connect(ctx, c.server); err != nil {
		return nil, err
	}
	select {
	case e := <-identified.Out():
		remote := e.(event.EvtPeerIdentificationCompleted)
		return map[string]any{
			"agentVersion":    remote.AgentVersion,
			"protocolVersion": remote.ProtocolVersion,
			"protocols":       protocol.ConvertToStrings(remote.Protocols),
			"listenAddrs":     addressTexts(remote.ListenAddrs),
			"observedAddr":    addressText(remote.ObservedAddr),
		}, nil
	case <-ctx.Done():
		return nil, errors.New("identify did not complete")
	}
}

func (c *client) open(h host.Host, id protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	return h.NewStream(network.WithNoDial(ctx, "the connection under test"), c.server.ID, id)
}

// eachOf runs operation n times on the given number of workers and returns the latencies.
func eachOf(n, workers int, operation func(worker int) error) ([]time.Duration, error) {
	latencies := make([]time.Duration, n)
	failures := make([]error, workers)
	var next atomic.Int64
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				start := time.Now()
				if failures[worker] = operation(worker); failures[worker] != nil {
					return
				}
				latencies[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	return latencies, errors.Join(failures...)
}

// writePattern writes count pseudo-random bytes, the same for the same seed, in calls of 64 KiB.
func writePattern(w io.Writer, seed uint64, count int64) error {
	random := newRandom(seed)
	block := make([]byte, blockSize)
	for count > 0 {
		size := min(count, blockSize)
		random.Read(block[:size])
		if _, err := w.Write(block[:size]); err != nil {
			return err
		}
		count -= size
	}
	return nil
}

func newRandom(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}
