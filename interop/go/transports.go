package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/multiformats/go-multiaddr"
)

// stack is a security protocol and a transport, as the format of its addresses after the host. QUIC uses neither the
// security protocol nor the muxer of its host.
type stack struct {
	security libp2p.Option
	address  string
}

var (
	noiseOnly = libp2p.Security(noise.ID, noise.New)
	tlsOnly   = libp2p.Security(libp2ptls.ID, libp2ptls.New)

	stacks = map[string]stack{
		"tcp-noise-yamux": {noiseOnly, "/tcp/%s"},
		"tcp-tls-yamux":   {tlsOnly, "/tcp/%s"},
		"ws-noise-yamux":  {noiseOnly, "/tcp/%s/ws"},
		"ws-tls-yamux":    {tlsOnly, "/tcp/%s/ws"},
		"wss-noise-yamux": {noiseOnly, "/tcp/%s/tls/ws"},
		"wss-tls-yamux":   {tlsOnly, "/tcp/%s/tls/ws"},
		"quic":            {libp2p.DefaultSecurity, "/udp/%s/quic-v1"},
	}
)

// listenMultiaddr returns the address of --listen: a multiaddr, or host:port for the transport of the stack.
func (s stack) listenMultiaddr(listen string) (multiaddr.Multiaddr, error) {
	if strings.HasPrefix(listen, "/") {
		return multiaddr.NewMultiaddr(listen)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	family := "ip4"
	if strings.Contains(host, ":") {
		family = "ip6"
	}
	return multiaddr.NewMultiaddr(fmt.Sprintf("/%s/%s"+s.address, family, host, port))
}

// files are named by flags: those of secure WebSockets and of private networks.
type files struct {
	certificate string
	key         string
	roots       string
	psk         string
}

func (f *files) define(flags *flag.FlagSet) {
	flags.StringVar(&f.certificate, "cert", "", "server: PEM file with the certificate of wss")
	flags.StringVar(&f.key, "key", "", "server: PEM file with its private key")
	flags.StringVar(&f.roots, "ca", "", "client: PEM file with the roots trusted for wss")
	flags.StringVar(&f.psk, "psk", "", "swarm.key of a private network")
}

// transportOf returns the transport of an address, which is the only one of its node.
func (f files) transportOf(addr multiaddr.Multiaddr) (libp2p.Option, error) {
	switch {
	case has(addr, multiaddr.P_QUIC_V1):
		return libp2p.Transport(libp2pquic.NewTransport), nil
	case has(addr, multiaddr.P_WS) || has(addr, multiaddr.P_WSS):
		options, err := f.websocket()
		if err != nil {
			return nil, err
		}
		return libp2p.Transport(websocket.New, options...), nil
	default:
		return libp2p.Transport(tcp.NewTCPTransport), nil
	}
}

func has(addr multiaddr.Multiaddr, code int) bool {
	_, err := addr.ValueForProtocol(code)
	return err == nil
}

// websocket returns the options of the transport with its certificate and roots, if there are any.
func (f files) websocket() ([]any, error) {
	var options []any
	if f.certificate != "" {
		certificate, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		options = append(options, websocket.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	}
	if f.roots != "" {
		text, err := os.ReadFile(f.roots)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, errors.New("--ca: no certificate in the file")
		}
		options = append(options, websocket.WithTLSClientConfig(&tls.Config{RootCAs: roots}))
	}
	return options, nil
}

// privateNetwork returns the option for the file of its key, if there is one.
func (f files) privateNetwork() ([]libp2p.Option, error) {
	if f.psk == "" {
		return nil, nil
	}
	file, err := os.Open(f.psk)
	if err != nil {
		return nil, fmt.Errorf("--psk: %w", err)
	}
	defer file.Close()
	key, err := pnet.DecodeV1PSK(file)
	if err != nil {
		return nil, fmt.Errorf("--psk: %w", err)
	}
	return []libp2p.Option{libp2p.PrivateNetwork(key)}, nil
}
