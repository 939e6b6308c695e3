package main

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	bulkProtocol protocol.ID = "/bench/bulk/1.0.0"
	rrProtocol   protocol.ID = "/bench/rr/1.0.0"
	msgsProtocol protocol.ID = "/bench/msgs/1.0.0"
	echoProtocol protocol.ID = "/bench/echo/1.0.0"
	pingProtocol protocol.ID = "/ipfs/ping/1.0.0"

	blockSize = 64 << 10
	// frameSizeMax bounds what a length prefix may make the server allocate.
	frameSizeMax = 64 << 20
)

// serve registers every handler of the contract; ping and identify are the host's own.
func serve(h host.Host) {
	handle := func(id protocol.ID, handler func(network.Stream) error) {
		h.SetStreamHandler(id, func(s network.Stream) {
			if handler(s) != nil {
				s.Reset()
			} else {
				s.Close()
			}
		})
	}
	handle(bulkProtocol, serveBulk)
	handle(rrProtocol, serveRequest)
	handle(msgsProtocol, serveMessages)
	handle(echoProtocol, serveEcho)
	handle(lengthsProtocol, serveLengths)
	h.SetStreamHandler(resetProtocol, afterOneByte(func(s network.Stream) { s.ResetWithError(resetCode) }))
	h.SetStreamHandler(closeProtocol, afterOneByte(func(s network.Stream) { s.Conn().CloseWithError(closeCode) }))
}

func serveRequest(s network.Stream) error {
	payload, err := readFrame(s, nil)
	if err != nil {
		return err
	}
	_, err = s.Write(payload)
	return err
}

func serveMessages(s network.Stream) error {
	reader := bufio.NewReaderSize(s, blockSize)
	var payload []byte
	var count uint64
	for {
		var err error
		payload, err = readFrame(reader, payload)
		if err == io.EOF {
			return binary.Write(s, binary.BigEndian, count)
		}
		if err != nil {
			return err
		}
		count++
	}
}

func serveEcho(s network.Stream) error {
	block := make([]byte, blockSize)
	for {
		n, err := s.Read(block)
		if _, werr := s.Write(block[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readFrame reads one u32 length and its payload into buffer, which it grows as needed.
// io.EOF means the stream ended between frames.
func readFrame(r io.Reader, buffer []byte) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(prefix[:]))
	if size > frameSizeMax {
		return nil, io.ErrShortBuffer
	}
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	if _, err := io.ReadFull(r, buffer[:size]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return buffer[:size], nil
}
