package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/multiformats/go-multiaddr"
)

const connectTimeout = 30 * time.Second

// newHost creates a host with a fresh Ed25519 key and one stack, whose transport is that of addr.
func newHost(
	opts options, manager network.ResourceManager, addr multiaddr.Multiaddr, listen libp2p.Option,
) (host.Host, error) {
	transport, err := opts.files.transportOf(addr)
	if err != nil {
		return nil, err
	}
	privateNetwork, err := opts.files.privateNetwork()
	if err != nil {
		return nil, err
	}
	return libp2p.New(append([]libp2p.Option{
		transport,
		listen,
		opts.stack.security,
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(manager),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.UserAgent("go-libp2p/0.51.0"),
		libp2p.ProtocolVersion("ipfs/0.1.0"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
	}, privateNetwork...)...)
}

// newNodes creates count hosts with the server's address in their peerstores.
func (c *client) newNodes(count int) error {
	for range count {
		h, err := newHost(c.opts, &network.NullResourceManager{}, c.server.Addrs[0], libp2p.NoListenAddrs)
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
