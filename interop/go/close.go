package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// closeProtocol is beside the contract, as no other implementation closes connections with a code: the server
// reads one byte and closes the connection with closeCode.
const (
	closeProtocol protocol.ID           = "/bench/close/1.0.0"
	closeCode     network.ConnErrorCode = 43
)

func serveClose(s network.Stream) {
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		s.Reset()
		return
	}
	s.Conn().CloseWithError(closeCode)
}

// close tells what a stream gives when the other side closes its connection with a code.
func (c *client) close() (any, error) {
	h, err := c.connect()
	if err != nil {
		return nil, err
	}
	s, err := c.open(h, closeProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	if _, err := s.Write([]byte{1}); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	var ended *network.ConnError
	if !errors.As(err, &ended) {
		return nil, fmt.Errorf("expected the end of the connection, the stream gave: %w", err)
	}
	return map[string]any{
		"ops": 1, "errorCode": ended.ErrorCode, "remote": ended.Remote, "isReset": errors.Is(err, network.ErrReset),
	}, nil
}
