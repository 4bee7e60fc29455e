package tunnel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// bufferSize of each direction of a connection; what need not be read passes through it.
const bufferSize = 64 << 10

// The keys and the error that the tunnel itself knows, from Kafka's protocol guide.
const (
	keyProduce       = 0
	keyFetch         = 1
	keySASLHandshake = 17
	keyApiVersions   = 18

	errUnsupportedVersion = 35

	// tlsHandshake is the first byte of a TLS connection; as the size of a request it would be 369 MB, more than
	// brokers take.
	tlsHandshake = 0x16
)

// newestVersion is the last version of an API whose layout is known, -1 where none is.
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
		if layout := kmsg.RequestForKey(int16(key)); layout != nil {
			versions[key] = layout.MaxVersion()
		}
	}
	return versions
})

// requestHead is what every request begins with, in all versions of the header.
type requestHead struct {
	size         int32 // of what follows the size
	key, version int16
	correlation  int32
}

func peekRequest(r *bufio.Reader) (requestHead, error) {
	b, err := r.Peek(12)
	if err != nil {
		if len(b) > 0 && errors.Is(err, io.EOF) {
			return requestHead{}, fmt.Errorf("the client's connection ended within the head of a request, after %d "+
				"bytes", len(b))
		}
		return requestHead{}, err
	}
	h := requestHead{int32(binary.BigEndian.Uint32(b)), int16(binary.BigEndian.Uint16(b[4:])),
		int16(binary.BigEndian.Uint16(b[6:])),
		int32(binary.BigEndian.Uint32(b[8:]))}
	if b[0] == tlsHandshake && b[1] == 3 {
		return h, errors.New("the client speaks TLS: expected security.protocol PLAINTEXT (or SASL_PLAINTEXT) at the " +
			"tunnel's end")
	}
	if h.size < 8 || h.key < 0 || h.version < 0 {
		return h, fmt.Errorf("expected a Kafka request, found bytes % x", b)
	}
	return h, nil
}

// expectsResponse tells whether a produce request has acks other than 0, to which brokers give no answer. It looks into the
// request without taking anything from it.
func expectsResponse(r *bufio.Reader, h requestHead) (bool, error) {
	layout := kmsg.RequestForKey(keyProduce)
	layout.SetVersion(h.version)
	b, err := r.Peek(min(int(h.size)+4, bufferSize))
	if err != nil {
		return false, err
	}
	c := cursor{rest: b[12:]}
	c.skipString() // client id; its length stays a 16-bit one in flexible headers
	if layout.IsFlexible() {
		c.skipTags()
	}
	if h.version >= 3 { // transactional id
		if layout.IsFlexible() {
			c.skipCompactString()
		} else {
			c.skipString()
		}
	}
	acks := c.next(2)
	if acks == nil {
		return false, fmt.Errorf("a produce request of %d bytes ends before its acks, or its ids are longer than %d "+
			"bytes", h.size, bufferSize)
	}
	return binary.BigEndian.Uint16(acks) != 0, nil
}

// cursor steps through the encodings of the protocol. Behind the end, rest is nil.
type cursor struct{ rest []byte }

func (c *cursor) next(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.rest = nil
		return nil
	}
	taken := c.rest[:n:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) skipString() {
	if b := c.next(2); b != nil {
		if n := int(int16(binary.BigEndian.Uint16(b))); n > 0 {
			c.next(n)
		}
	}
}

func (c *cursor) skipCompactString() {
	if n := c.uvarint(); n > 1 {
		c.next(n - 1)
	}
}

func (c *cursor) uvarint() int {
	n, size := binary.Uvarint(c.rest)
	if size <= 0 || n > 1<<31-1 {
		c.rest = nil
		return 0
	}
	c.rest = c.rest[size:]
	return int(n)
}

func (c *cursor) skipTags() {
	for n := c.uvarint(); n > 0 && c.rest != nil; n-- {
		c.uvarint()
		c.next(c.uvarint())
	}
}

// setFrameLength writes the length of a frame into its first four bytes.
func setFrameLength(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
