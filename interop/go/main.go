// Command peer is go-libp2p as a foreign peer of ferroswarm; see ../contract.md.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

type options struct {
	stack       stack
	listen      string
	addr        string
	workload    string
	n           int
	warmUp      int
	bytes       int64
	concurrency int
	rate        int64
	seconds     float64
	files       files
	limits      limits
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		printLine(map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("expected a mode: server or client")
	}
	opts, err := parseOptions(args[0], args[1:])
	if err != nil {
		return err
	}
	switch args[0] {
	case "server":
		return runServer(opts)
	case "client":
		return runClient(opts)
	default:
		return fmt.Errorf("unknown mode %q", args[0])
	}
}

func parseOptions(mode string, args []string) (options, error) {
	var opts options
	flags := flag.NewFlagSet(mode, flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	name := flags.String("stack", "tcp-noise-yamux", "see contract.md")
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:0", "server: host:port or a multiaddr")
	flags.StringVar(&opts.addr, "addr", "", "client: the server's multiaddr with /p2p")
	flags.StringVar(&opts.workload, "workload", "", "client: see contract.md")
	flags.IntVar(&opts.n, "n", 1, "operations")
	flags.IntVar(&opts.warmUp, "warm-up", 0, "operations of a preceding run, whose line is not printed")
	flags.Int64Var(&opts.bytes, "bytes", 1024, "bytes of the timed transfer, or of one payload")
	flags.IntVar(&opts.concurrency, "concurrency", 1, "streams at once (echo), dials at once (idle)")
	flags.Int64Var(&opts.rate, "rate", 1000, "pings or bytes a second")
	flags.Float64Var(&opts.seconds, "seconds", 1, "seconds at that rate")
	opts.files.define(flags)
	opts.limits.define(flags)
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	var ok bool
	if opts.stack, ok = stacks[*name]; !ok {
		return opts, fmt.Errorf("unknown stack %q", *name)
	}
	return opts, nil
}

func runServer(opts options) error {
	listenAddr, err := opts.stack.listenMultiaddr(opts.listen)
	if err != nil {
		return err
	}
	manager, err := opts.limits.manager()
	if err != nil {
		return err
	}
	h, err := newHost(opts, manager, listenAddr, libp2p.ListenAddrs(listenAddr))
	if err != nil {
		return err
	}
	defer h.Close()
	serve(h)

	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Network().ListenAddresses()})
	if err != nil {
		return err
	}
	printLine(map[string]any{"addr": addrs[0].String()})
	return serveCommands(h, os.Stdin)
}

// serveCommands answers the server's commands until its input ends. There is no event loop to watch.
func serveCommands(h host.Host, input io.Reader) error {
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		line := lines.Text()
		if addr, ok := strings.CutPrefix(line, "dial "); ok {
			printLine(dial(h, addr))
			continue
		}
		if line != "stats" && line != "watch" {
			return fmt.Errorf("there is no command %q", line)
		}
		printLine(readStats())
	}
	return lines.Err()
}

// dial returns the answer to the server's command of this name.
func dial(h host.Host, addr string) map[string]any {
	server, err := peer.AddrInfoFromString(addr)
	if err == nil {
		err = pingOnce(h, *server)
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"dialled": addr}
}

func runClient(opts options) error {
	server, err := peer.AddrInfoFromString(opts.addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if len(server.Addrs) == 0 {
		return errors.New("--addr: expected an address before /p2p")
	}
	w, ok := workloads[opts.workload]
	if !ok {
		return fmt.Errorf("unknown workload %q", opts.workload)
	}
	input := bufio.NewReader(os.Stdin)
	measure := func(n int) (any, error) {
		measured := opts
		measured.n = n
		return w(&client{opts: measured, server: *server, input: input})
	}
	if opts.warmUp > 0 {
		if _, err := measure(opts.warmUp); err != nil {
			return err
		}
	}
	result, err := measure(opts.n)
	if err != nil {
		return err
	}
	if result != nil {
		printLine(result)
	}
	return nil
}

// client is the initial state of every workload: no node yet, so that each creates as many as it needs.
type client struct {
	opts   options
	server peer.AddrInfo
	hosts  []host.Host
	input  *bufio.Reader
}

// phase prints a line in the middle of a run and waits for one of input.
func (c *client) phase(line map[string]any) {
	printLine(line)
	c.input.ReadString('\n')
}

func printLine(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err) // Callers pass only maps and structs of plain values.
	}
	os.Stdout.Write(append(line, '\n'))
}
