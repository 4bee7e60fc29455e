package tunnel

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The copy of a frame does not wait for bytes after the frame, and does not consume them.
func TestPassReadsOneFrame(t *testing.T) {
	sizes := []int{1, 8, 1000, minSplice - 1, minSplice, bufferSize - 1, bufferSize, bufferSize + 1,
		2*bufferSize + minSplice/2, 1 << 20}
	for name, newPair := range map[string]func(*testing.T) (near, far net.Conn){
		"TCP":   newTCPPair,
		"other": func(*testing.T) (near, far net.Conn) { return net.Pipe() },
	} {
		for _, size := range sizes {
			for _, bytesAfter := range []int{0, 1, 5000} {
				description := fmt.Sprintf("%s, %d bytes and %d after them", name, size, bytesAfter)
				source, from := newPair(t)
				to, sink := newPair(t)
				frame := bytes.Repeat([]byte{7}, size)
				after := bytes.Repeat([]byte{8}, bytesAfter)
				go source.Write(append(bytes.Clone(frame), after...)) // without closing the connection
				buffered := bufio.NewReaderSize(from, bufferSize)
				buffered.Peek(min(size, 8)) // as the reader of a header does
				got := make(chan []byte, 1)
				go func() {
					b := make([]byte, size)
					io.ReadFull(sink, b)
					got <- b
				}()
				for _, c := range []net.Conn{source, from, to, sink} {
					c.SetDeadline(time.Now().Add(5 * time.Minute))
				}
				require.NoError(t, copyBytes(to, from, buffered, int64(size)), description)
				require.True(t, bytes.Equal(<-got, frame), "%s: expected the same bytes, found others", description)
				remaining := make([]byte, bytesAfter)
				if _, err := io.ReadFull(buffered, remaining); err != nil || !bytes.Equal(remaining, after) {
					t.Fatalf("%s: expected the bytes after the frame to be unread, found others (%v)", description, err)
				}
				for _, c := range []net.Conn{source, from, to, sink} {
					c.Close()
				}
			}
		}
	}
}

// A truncated frame is an error, and its bytes are forwarded.
func TestPassForwardsTruncatedFrame(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		source, from := newTCPPair(t)
		to, sink := newTCPPair(t)
		source.Write(make([]byte, size/2))
		source.Close()
		err := copyBytes(to, from, bufio.NewReaderSize(from, bufferSize), int64(size))
		assert.True(t, err != nil, "half of %d bytes: expected an error, found none", size)
		to.Close()
		b, err := io.ReadAll(sink)
		assert.True(t, err == nil && len(b) == size/2, "expected %d bytes, found %d (%v)", size/2, len(b), err)
	}
}

// newTCPPair returns both ends of a connection.
func newTCPPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	near, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	far, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}
