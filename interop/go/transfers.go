package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
)

const warmUpBytes = 32 << 20

// bulk transfers the bytes over the given number of streams at once, which share them.
func (c *client) bulk(streams int, transfer func(*client, host.Host, uint64) error) (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	transfers := func(count uint64) error {
		failures := make(chan error, streams)
		for range streams {
			go func() { failures <- transfer(c, h, count/uint64(streams)) }()
		}
		var failure error
		for range streams {
			if err := <-failures; err != nil {
				failure = err
			}
		}
		return failure
	}
	if err := transfers(warmUpBytes); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	watch := startWatch()
	if err := transfers(uint64(c.opts.bytes)); err != nil {
		return nil, err
	}
	return watch.stopBulk(int64(streams), c.opts.bytes/int64(streams)*int64(streams)), nil
}

func (c *client) upload(h host.Host, count uint64) error {
	s, err := c.openTransfer(h, 0)
	if err != nil {
		return err
	}
	defer s.Reset()
	if err := send(s, count); err != nil {
		return err
	}
	return endTransfer(s, count, 0)
}

func (c *client) download(h host.Host, count uint64) error {
	s, err := c.openTransfer(h, count)
	if err != nil {
		return err
	}
	defer s.Reset()
	return endTransfer(s, 0, count)
}

func (c *client) openTransfer(h host.Host, wanted uint64) (network.Stream, error) {
	s, err := c.open(h, bulkProtocol)
	if err != nil {
		return nil, err
	}
	if err := binary.Write(s, binary.BigEndian, wanted); err != nil {
		s.Reset()
		return nil, err
	}
	return s, nil
}

// endTransfer ends our half and verifies the answer: the count received by the server, and the wanted bytes.
func endTransfer(s network.Stream, uploaded, wanted uint64) error {
	if err := s.CloseWrite(); err != nil {
		return err
	}
	var came uint64
	if err := binary.Read(s, binary.BigEndian, &came); err != nil {
		return err
	}
	received, err := receive(s)
	if err != nil {
		return err
	}
	if came != uploaded || received != wanted {
		return fmt.Errorf("%d bytes went up and %d came back, expected %d and %d", came, received, uploaded, wanted)
	}
	return s.Close()
}

// paced uploads at a rate, each block when it is due.
func (c *client) paced() (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	if err := c.upload(h, warmUpBytes); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	c.phase(map[string]any{"phase": "ready"})
	count := uint64(float64(c.opts.rate) * c.opts.seconds)
	watch := startWatch()
	s, err := c.openTransfer(h, 0)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	for sent := uint64(0); sent < count; {
		time.Sleep(time.Until(watch.start.Add(c.timeOf(int64(sent)))))
		size := min(count-sent, blockSize)
		if _, err := s.Write(block[:size]); err != nil {
			return nil, err
		}
		sent += size
	}
	if err := endTransfer(s, count, 0); err != nil {
		return nil, err
	}
	return watch.stopBulk(1, int64(count)), nil
}

// timeOf returns the time after the start at which count is due.
func (c *client) timeOf(count int64) time.Duration {
	return time.Duration(float64(count) / float64(c.opts.rate) * float64(time.Second))
}
