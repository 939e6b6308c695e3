package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const connectTimeout = 30 * time.Second

// newHost creates a host with one stack and a fresh Ed25519 key. No address means no listener.
func newHost(stack string, manager network.ResourceManager, listenAddrs ...string) (host.Host, error) {
	options := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(manager),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.UserAgent("go-libp2p/0.51.0"),
		libp2p.ProtocolVersion("ipfs/0.1.0"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
	}
	switch stack {
	case "tcp-noise-yamux":
		options = append(options, libp2p.Security(noise.ID, noise.New))
	case "tcp-tls-yamux":
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	default:
		return nil, fmt.Errorf("unknown stack %q", stack)
	}
	if len(listenAddrs) == 0 {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(listenAddrs...))
	}
	return libp2p.New(options...)
}

func tcpMultiaddr(hostPort string) (string, error) {
	addr, err := net.ResolveTCPAddr("tcp", hostPort)
	if err != nil {
		return "", fmt.Errorf("--listen: %w", err)
	}
	if addr.IP.To4() == nil {
		return fmt.Sprintf("/ip6/%s/tcp/%d", addr.IP, addr.Port), nil
	}
	return fmt.Sprintf("/ip4/%s/tcp/%d", addr.IP, addr.Port), nil
}

// newNodes creates count hosts with the server's address in their peerstores.
func (c *client) newNodes(count int) error {
	for range count {
		h, err := newHost(c.opts.stack, &network.NullResourceManager{})
		if err != nil {
			return err
		}
		h.Peerstore().AddAddrs(c.server.ID, c.server.Addrs, peerstore.PermanentAddrTTL)
		c.hosts = append(c.hosts, h)
	}
	return nil
}

// connect creates one host and connects it, identify included.
func (c *client) connect() (host.Host, error) {
	if err := c.newNodes(1); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	return c.hosts[0], c.hosts[0].Connect(ctx, c.server)
}
