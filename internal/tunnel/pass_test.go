package tunnel

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
)

// The bytes after a frame belong to the next one and are not waited for.
func TestPassReadsOneFrame(t *testing.T) {
	for _, kind := range []struct {
		name string
		pair func(*testing.T) (near, far net.Conn)
	}{{"TCP", tcpPair}, {"other", func(*testing.T) (near, far net.Conn) { return net.Pipe() }}} {
		for _, size := range []int{1, 8, 1000, minSplice - 1, minSplice, bufferSize - 1, bufferSize,
			bufferSize + 1, 2*bufferSize + minSplice/2, 1 << 20} {
			for _, more := range []int{0, 1, 5000} {
				source, from := kind.pair(t)
				to, sink := kind.pair(t)
				frame := bytes.Repeat([]byte{7}, size)
				behind := bytes.Repeat([]byte{8}, more)
				go source.Write(append(bytes.Clone(frame), behind...)) // and stays open
				buffered := bufio.NewReaderSize(from, bufferSize)
				buffered.Peek(min(size, 8)) // like a reader of the header
				got := make(chan []byte, 1)
				go func() {
					b := make([]byte, size)
					io.ReadFull(sink, b)
					got <- b
				}()
				for _, c := range []net.Conn{source, from, to, sink} {
					c.SetDeadline(time.Now().Add(5 * time.Minute))
				}
				if err := copyBytes(to, from, buffered, int64(size)); err != nil {
					t.Fatalf("%s, %d bytes and %d after them: %v", kind.name, size, more, err)
				}
				if !bytes.Equal(<-got, frame) {
					t.Fatalf("%s, %d bytes and %d after them: found other bytes", kind.name, size, more)
				}
				rest := make([]byte, more)
				if _, err := io.ReadFull(buffered, rest); err != nil || !bytes.Equal(rest, behind) {
					t.Fatalf("%s, %d bytes, then %d: expected these to be unread (%v)", kind.name, size, more, err)
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
		source, from := tcpPair(t)
		to, sink := tcpPair(t)
		source.Write(make([]byte, size/2))
		source.Close()
		if err := copyBytes(to, from, bufio.NewReaderSize(from, bufferSize), int64(size)); err == nil {
			t.Errorf("half of %d bytes: expected an error", size)
		}
		to.Close()
		if b, err := io.ReadAll(sink); err != nil || len(b) != size/2 {
			t.Errorf("found %d bytes, expected %d (%v)", len(b), size/2, err)
		}
	}
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}
