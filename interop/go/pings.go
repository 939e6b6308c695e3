package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multistream"
)

const (
	pingSize = 32
	// spin is the time before a ping is due that is spent spinning, not sleeping: a goroutine wakes late.
	spin = 100 * time.Microsecond
)

// echoOnce sends the ping of this turn and waits for its answer.
func echoOnce(s io.ReadWriter, turn int, answer []byte) error {
	if _, err := s.Write(echoed(turn)); err != nil {
		return err
	}
	return readEcho(s, turn, answer)
}

func readEcho(s io.Reader, turn int, answer []byte) error {
	if _, err := io.ReadFull(s, answer); err != nil {
		return err
	}
	if !bytes.Equal(echoed(turn), answer) {
		return errors.New("ping answer differs from what was sent")
	}
	return nil
}

// echoed returns the payload of a ping in this turn; it differs from the next turn's.
func echoed(turn int) []byte {
	at := turn % (blockSize - pingSize)
	return block[at : at+pingSize]
}

// openPing opens a stream and completes its negotiation, which begins with the first write.
func (c *client) openPing() (network.Stream, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	s, err := c.open(h, pingProtocol)
	if err != nil {
		return nil, err
	}
	if err := echoOnce(s, 0, make([]byte, pingSize)); err != nil {
		s.Reset()
		return nil, err
	}
	return s, nil
}

// pingOnce connects to a peer, unless it is connected, and echoes a ping on a new stream.
func pingOnce(h host.Host, server peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := h.Connect(ctx, server); err != nil {
		return err
	}
	s, err := h.NewStream(ctx, server.ID, pingProtocol)
	if err != nil {
		return err
	}
	defer s.Close()
	return echoOnce(s, 0, make([]byte, pingSize))
}

func (c *client) ping() (any, error) {
	s, err := c.openPing()
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	answer := make([]byte, pingSize)
	turn := 0
	watch := startWatch()
	latencies, err := eachOf(c.opts.n, 1, func(int) error {
		turn++
		return echoOnce(s, turn, answer)
	})
	if err != nil {
		return nil, err
	}
	return watch.stop(int64(c.opts.n), int64(c.opts.n)*pingSize, latencies), nil
}

// pingOpen sends each ping when it is due, regardless of earlier ones.
func (c *client) pingOpen() (any, error) {
	s, err := c.openPing()
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	latencies := make([]time.Duration, c.opts.n)
	watch := startWatch()
	due := func(turn int) time.Time { return watch.start.Add(c.timeOf(int64(turn))) }
	sent := make(chan error, 1)
	go func() {
		for turn := range c.opts.n {
			time.Sleep(time.Until(due(turn)) - spin)
			for time.Now().Before(due(turn)) {
			}
			if _, err := s.Write(echoed(turn)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	answer := make([]byte, pingSize)
	for turn := range latencies {
		if err := readEcho(s, turn, answer); err != nil {
			return nil, err
		}
		latencies[turn] = time.Since(due(turn))
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	return watch.stop(int64(c.opts.n), int64(c.opts.n)*pingSize, latencies).withTail(latencies), nil
}

func (c *client) firstByte() (any, error) {
	if err := c.newNodes(1); err != nil {
		return nil, err
	}
	watch := startWatch()
	latencies, err := eachOf(c.opts.n, 1, func(int) error { return c.dialAndEcho() })
	if err != nil {
		return nil, err
	}
	return watch.stop(int64(c.opts.n), int64(c.opts.n)*pingSize, latencies), nil
}

// dialAndEcho works below the host, whose streams wait for identify, and negotiates lazily as the host would after it.
func (c *client) dialAndEcho() error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	conn, err := c.hosts[0].Network().DialPeer(ctx, c.server.ID)
	if err != nil {
		return err
	}
	s, err := conn.NewStream(ctx)
	if err != nil {
		return err
	}
	if err := echoOnce(multistream.NewMSSelect(s, pingProtocol), 0, make([]byte, pingSize)); err != nil {
		return err
	}
	return conn.Close()
}
