package tunnel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// bufferSize is the size of the buffer of each direction of a connection.
const bufferSize = 64 << 10

// API keys and error codes of Kafka's protocol.
const (
	keyProduce       = 0
	keyFetch         = 1
	keySASLHandshake = 17
	keyApiVersions   = 18

	errUnsupportedVersion = 35

	// tlsHandshake is the first byte of a TLS connection. As the size of a request it would be 369 MB.
	tlsHandshake = 0x16
)

// newestVersion returns the latest known version of an API, or -1 for an unknown API.
func newestVersion(key int16) int16 {
	versions := newestVersions()
	if key < 0 || int(key) >= len(versions) {
		return -1
	}
	return versions[key]
}

var newestVersions = sync.OnceValue(func() []int16 {
	versions := make([]int16, kmsg.MaxKey+1)
	for key := range versions {
		versions[key] = -1
		if request := kmsg.RequestForKey(int16(key)); request != nil {
			versions[key] = request.MaxVersion()
		}
	}
	return versions
})

// requestHead is the start of every request header.
type requestHead struct {
	size        int32 // without the size field itself
	key         int16
	version     int16
	correlation int32
}

const headSize = 12 // bytes of a requestHead

// peekRequest returns the head of the next request without consuming it.
func peekRequest(r *bufio.Reader) (requestHead, error) {
	b, err := r.Peek(headSize)
	if err != nil {
		if len(b) > 0 && errors.Is(err, io.EOF) {
			return requestHead{}, fmt.Errorf("the client's connection ended within a request header, after %d "+
				"bytes", len(b))
		}
		return requestHead{}, err
	}
	h := requestHead{
		size:        int32(binary.BigEndian.Uint32(b)),
		key:         int16(binary.BigEndian.Uint16(b[4:])),
		version:     int16(binary.BigEndian.Uint16(b[6:])),
		correlation: int32(binary.BigEndian.Uint32(b[8:])),
	}
	if b[0] == tlsHandshake && b[1] == 3 { // the major version
		return h, errors.New("the client uses TLS: expected security.protocol PLAINTEXT (or SASL_PLAINTEXT) for the " +
			"tunnel's listener")
	}
	if h.size < headSize-4 || h.key < 0 || h.version < 0 {
		return h, fmt.Errorf("expected a Kafka request, found bytes % x", b)
	}
	return h, nil
}

// expectsResponse reports whether a produce request has acks other than 0. It peeks into the request.
func expectsResponse(r *bufio.Reader, h requestHead) (bool, error) {
	request := kmsg.RequestForKey(keyProduce)
	request.SetVersion(h.version)
	b, err := r.Peek(min(int(h.size)+4, bufferSize))
	if err != nil {
		return false, err
	}
	c := cursor{unread: b[headSize:]}
	c.skipString() // the client id, which has a 16-bit length even in flexible headers
	if request.IsFlexible() {
		c.skipTags()
	}
	if h.version >= 3 { // transactional id
		if request.IsFlexible() {
			if n := c.uvarint(); n > 1 { // the length plus one; zero means null
				c.next(n - 1)
			}
		} else {
			c.skipString()
		}
	}
	acks := c.next(2)
	if acks == nil {
		return false, fmt.Errorf("a produce request of %d bytes has no acks, or they follow ids longer than %d "+
			"bytes", h.size, bufferSize)
	}
	return binary.BigEndian.Uint16(acks) != 0, nil
}

// cursor reads encoded fields. After an error unread is nil.
type cursor struct{ unread []byte }

func (c *cursor) next(n int) []byte {
	if n < 0 || n > len(c.unread) {
		c.unread = nil
		return nil
	}
	field := c.unread[:n:n]
	c.unread = c.unread[n:]
	return field
}

func (c *cursor) skipString() {
	if b := c.next(2); b != nil {
		if n := int(int16(binary.BigEndian.Uint16(b))); n > 0 {
			c.next(n)
		}
	}
}

// uvarint reads a number, zero after an error.
func (c *cursor) uvarint() int {
	n, size := binary.Uvarint(c.unread)
	if size <= 0 || n > math.MaxInt32 {
		c.unread = nil
		return 0
	}
	c.unread = c.unread[size:]
	return int(n)
}

func (c *cursor) skipTags() {
	for n := c.uvarint(); n > 0 && c.unread != nil; n-- {
		c.uvarint()
		c.next(c.uvarint())
	}
}

// setFrameLength writes the length into the first four bytes of a frame, and returns the frame.
func setFrameLength(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
