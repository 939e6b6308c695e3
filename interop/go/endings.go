package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	resetProtocol protocol.ID = "/bench/reset/1.0.0"
	// resetCode is sent by the reset handler of implementations that have error codes.
	resetCode network.StreamErrorCode = 42
	// resetTimeout bounds the wait for the refusal of a write, once the remote has ended its half.
	resetTimeout = 5 * time.Second

	// closeProtocol is not part of the contract, as no other implementation closes connections with a code: the server
	// reads one byte and closes the connection with closeCode.
	closeProtocol protocol.ID           = "/bench/close/1.0.0"
	closeCode     network.ConnErrorCode = 43
)

// afterOneByte returns a handler that calls end once a byte has arrived.
func afterOneByte(end func(network.Stream)) network.StreamHandler {
	return func(s network.Stream) {
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			s.Reset()
			return
		}
		end(s)
	}
}

// endOf sends the one byte and returns the error that ends the stream.
func (c *client) endOf(id protocol.ID) error {
	h, err := c.connect()
	if err != nil {
		return err
	}
	s, err := c.open(h, id)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write([]byte{1}); err != nil {
		return err
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	switch err {
	case nil:
		return errors.New("the stream gave a byte")
	case io.EOF:
		return refusedWrite(s)
	default:
		return err
	}
}

// refusedWrite returns the error of a write that the remote no longer wants. rust and js end a stream over QUIC so: their
// half finishes, and only ours is stopped.
func refusedWrite(s network.Stream) error {
	if err := s.SetWriteDeadline(time.Now().Add(resetTimeout)); err != nil {
		return err
	}
	for {
		if _, err := s.Write([]byte{1}); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// reset reports the code of the remote's reset.
func (c *client) reset() (any, error) {
	err := c.endOf(resetProtocol)
	if !errors.Is(err, network.ErrReset) {
		return nil, fmt.Errorf("expected a reset: %w", err)
	}
	return resetLine(err), nil
}

// resetLine is the line with the code of a reset, if it has one.
func resetLine(err error) map[string]any {
	line := map[string]any{"ops": 1, "errorCode": nil}
	var reset *network.StreamError
	if errors.As(err, &reset) {
		line["errorCode"] = reset.ErrorCode
	}
	return line
}

// close reports the error of a stream whose connection is closed by the remote with a code.
func (c *client) close() (any, error) {
	err := c.endOf(closeProtocol)
	var ended *network.ConnError
	if !errors.As(err, &ended) {
		return nil, fmt.Errorf("expected the end of the connection: %w", err)
	}
	return map[string]any{
		"ops": 1, "errorCode": ended.ErrorCode, "remote": ended.Remote, "isReset": errors.Is(err, network.ErrReset),
	}, nil
}
