package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"github.com/multiformats/go-varint"
)

const lengthsProtocol protocol.ID = "/interop/lengths/1.0.0"

// Ends of an input.
const (
	endedClean byte = iota
	endedInside
	endedTooLarge
	endedMalformed
)

// serveLengths splits each input with go-msgio and sends the messages back as go-msgio frames them.
func serveLengths(s network.Stream) error {
	reader := bufio.NewReaderSize(s, blockSize)
	var head struct {
		Framing uint8
		Limit   uint32
	}
	if err := binary.Read(reader, binary.BigEndian, &head); err != nil {
		return err
	}
	writer := bufio.NewWriterSize(s, blockSize)
	for {
		input, err := readFrame(reader, nil)
		if err == io.EOF {
			return writer.Flush()
		}
		if err != nil {
			return err
		}
		end, messages, err := cut(head.Framing, int(head.Limit), input)
		if err != nil {
			return err
		}
		writer.WriteByte(end)
		binary.Write(writer, binary.BigEndian, uint32(len(messages)))
		if _, err := writer.Write(messages); err != nil {
			return err
		}
	}
}

func cut(framing uint8, limit int, input []byte) (byte, []byte, error) {
	var framed bytes.Buffer
	reader := msgio.NewReaderSize(bytes.NewReader(input), limit)
	writer := msgio.NewWriter(&framed)
	if framing == 0 {
		reader = msgio.NewVarintReaderSize(bytes.NewReader(input), limit)
		writer = msgio.NewVarintWriter(&framed)
	}
	for {
		// Separate, because ReadMsg also returns io.EOF if a message ends right after its length.
		_, err := reader.NextMsgLen()
		if err == io.EOF {
			return endedClean, framed.Bytes(), nil
		}
		var message []byte
		if err == nil {
			message, err = reader.ReadMsg()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return endedInside, framed.Bytes(), nil
		case errors.Is(err, msgio.ErrMsgTooLarge):
			return endedTooLarge, framed.Bytes(), nil
		case errors.Is(err, varint.ErrNotMinimal), errors.Is(err, varint.ErrOverflow):
			return endedMalformed, framed.Bytes(), nil
		default:
			return 0, nil, err
		}
		if err := writer.WriteMsg(message); err != nil {
			return 0, nil, err
		}
		reader.ReleaseMsg(message)
	}
}
