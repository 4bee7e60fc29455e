package route

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// A parsed map has addresses on both sides, and the same number of entries after formatting.
func FuzzParseAddressMap(f *testing.F) {
	for _, s := range []string{
		"",
		"a:1=b:2",
		"a:1-3=b:4-6, c:1=d:1,",
		"[::1]:1=b:1",
		"a:1=b:1=c:1",
		"A:1=a:1,a:1=a:1",
		"a:1-300=b:1-300",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mapping, err := ParseAddressMap(text)
		if err != nil {
			return
		}
		var entries []string
		for advertised, virtual := range mapping {
			for _, address := range []string{advertised, virtual} {
				host, port, err := net.SplitHostPort(address)
				require.True(t, err == nil && host != "", "%q: expected host:port, found %q, %v", text, address, err)
				_, err = parsePort(port)
				require.True(t, err == nil, "%q: expected a port, found %q, %v", text, port, err)
			}
			entries = append(entries, advertised+"="+virtual)
		}
		reparsed, err := ParseAddressMap(strings.Join(entries, ","))
		require.True(t, err == nil && len(reparsed) == len(mapping),
			"%q: expected %d entries again, found %d, %v", text, len(mapping), len(reparsed), err)
	})
}

// textConn is a connection that reads from a text.
type textConn struct {
	net.Conn
	*bytes.Reader
}

func (c textConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// The head of a response to CONNECT ends with its empty line, and no byte after it is read.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\n\r\nrest",
		"HTTP/1.0 407 No\nA: b\n\nrest",
		"HTTP/1.1 200 OK\r\nA: b\r\n",
		"SSH-2.0",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &connectDialer{settings: &Settings{Address: "proxy:1"}}
		r := bytes.NewReader(data)
		response, err := c.readHead(textConn{Reader: r})
		used := data[:len(data)-r.Len()]
		if response != nil {
			require.True(t, bytes.HasSuffix(used, []byte("\n\r\n")) || bytes.HasSuffix(used, []byte("\n\n")),
				"%q: expected the end of the head at the empty line", used)
			return
		}
		var notHTTP *NotHTTP
		require.True(t, errors.As(err, &notHTTP) || errors.Is(err, io.EOF),
			"%q: expected *NotHTTP or the end of the input, found %v", data, err)
		require.True(t, !errors.Is(err, io.EOF) || r.Len() <= 0, "%q: expected no end before the empty line", data)
	})
}
