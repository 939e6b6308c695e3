package main

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
)

// block is the content of every write of a transfer; a byte distinguishes most offsets from their neighbours.
var block = func() (bytes [blockSize]byte) {
	for at := range bytes {
		bytes[at] = byte(at*31 ^ at>>8)
	}
	return bytes
}()

func serveBulk(s network.Stream) error {
	var wanted uint64
	if err := binary.Read(s, binary.BigEndian, &wanted); err != nil {
		return err
	}
	received, err := receive(s)
	if err != nil {
		return err
	}
	if err := binary.Write(s, binary.BigEndian, received); err != nil {
		return err
	}
	return send(s, wanted)
}

// receive reads to the end of the stream, compares the first and last byte of each chunk with the expected ones, and
// returns the number of bytes.
func receive(r io.Reader) (uint64, error) {
	buffer := make([]byte, blockSize)
	var received uint64
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			end := received + uint64(n)
			if buffer[0] != block[received%blockSize] || buffer[n-1] != block[(end-1)%blockSize] {
				return received, fmt.Errorf("other bytes than were sent before byte %d", end)
			}
			received = end
		}
		if err == io.EOF {
			return received, nil
		}
		if err != nil {
			return received, err
		}
	}
}

func send(w io.Writer, count uint64) error {
	for count > 0 {
		size := min(count, blockSize)
		if _, err := w.Write(block[:size]); err != nil {
			return err
		}
		count -= size
	}
	return nil
}
