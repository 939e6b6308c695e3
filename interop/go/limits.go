package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
)

// The flags and workloads of this file are not part of the contract: no other implementation has a resource manager
// that answers a refusal with a code.

// limits of a server; 0 is no limit.
type limits struct {
	connections     int
	peerConnections int
	peerStreams     int
	protocolStreams int
}

func (l *limits) define(flags *flag.FlagSet) {
	flags.IntVar(&l.connections, "connections-inbound", 0, "server: limit of inbound connections")
	flags.IntVar(&l.peerConnections, "peer-connections-inbound", 0, "server: the same for each peer")
	flags.IntVar(&l.peerStreams, "peer-streams-inbound", 0, "server: limit of inbound streams of each peer")
	flags.IntVar(&l.protocolStreams, "protocol-streams-inbound", 0, "server: the same for each protocol")
}

// manager is the resource manager with these limits and the defaults of go-libp2p, or none.
func (l limits) manager() (network.ResourceManager, error) {
	if l == (limits{}) {
		return &network.NullResourceManager{}, nil
	}
	// A limit of 0 is that of the defaults.
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{ConnsInbound: rcmgr.LimitVal(l.connections)},
		PeerDefault: rcmgr.ResourceLimits{
			ConnsInbound:   rcmgr.LimitVal(l.peerConnections),
			StreamsInbound: rcmgr.LimitVal(l.peerStreams),
		},
		ProtocolDefault: rcmgr.ResourceLimits{StreamsInbound: rcmgr.LimitVal(l.protocolStreams)},
	}
	limiter := rcmgr.NewFixedLimiter(partial.Build(rcmgr.DefaultLimits.AutoScale()))
	return rcmgr.NewResourceManager(limiter, rcmgr.WithMetricsDisabled())
}

// refusedStream holds an echo stream, opens another, and reports the code of the reset by which it is refused. The
// first stream must still echo.
func (c *client) refusedStream() (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	held, err := c.open(h, echoProtocol)
	if err != nil {
		return nil, err
	}
	defer held.Reset()
	if err := echoByte(held); err != nil {
		return nil, fmt.Errorf("first stream: %w", err)
	}
	refusal := c.refusal(h)
	if !errors.Is(refusal, network.ErrReset) {
		return nil, fmt.Errorf("expected a reset: %w", refusal)
	}
	if err := echoByte(held); err != nil {
		return nil, fmt.Errorf("first stream, after the refusal: %w", err)
	}
	return resetLine(refusal), nil
}

// refusal returns the error of an echo stream.
func (c *client) refusal(h host.Host) error {
	s, err := c.open(h, echoProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if err := echoByte(s); err != nil {
		return err
	}
	return errors.New("the stream echoed")
}

func echoByte(s network.Stream) error {
	if _, err := s.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(s, make([]byte, 1))
	return err
}

// refusedConnection reports the error of a connection attempt that must fail.
func (c *client) refusedConnection() (any, error) {
	_, err := c.connect()
	if err == nil {
		return nil, errors.New("the server accepted the connection")
	}
	isDeadline := errors.Is(err, context.DeadlineExceeded)
	return map[string]any{"ops": 1, "message": err.Error(), "isDeadline": isDeadline}, nil
}
