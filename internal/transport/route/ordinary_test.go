package route_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/route"
)

func tlsConfig(s *connectivitytest.Server) *tls.Config { return &tls.Config{RootCAs: s.Roots()} }

// startSOCKS starts a SOCKS5 proxy with one user, or no user if user is "". It connects one target, to systemAddress,
// and refuses others. It returns its address.
func startSOCKS(t *testing.T, user, password, target, systemAddress string) string {
	return porttest.Serve(t, func(conn net.Conn) {
		read := func(n int) []byte { b := make([]byte, n); io.ReadFull(conn, b); return b }
		methods := read(int(read(2)[1]))
		switch {
		case user == "":
			conn.Write([]byte{5, 0})
		case !bytes.Contains(methods, []byte{2}):
			conn.Write([]byte{5, 0xff})
			return
		default:
			conn.Write([]byte{5, 2})
			u := string(read(int(read(2)[1])))
			p := string(read(int(read(1)[0])))
			if u != user || p != password {
				conn.Write([]byte{1, 1})
				return
			}
			conn.Write([]byte{1, 0})
		}
		head := read(4)
		if head[3] != 3 {
			conn.Write([]byte{5, 8, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		host := string(read(int(read(1)[0])))
		if got := fmt.Sprintf("%s:%d", host, binary.BigEndian.Uint16(read(2))); got != target {
			conn.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		system, err := net.Dial("tcp", systemAddress)
		if err != nil {
			return
		}
		defer system.Close()
		conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		go io.Copy(system, conn)
		io.Copy(conn, system)
	})
}

func TestSOCKS5(t *testing.T) {
	for _, user := range []string{"", "me"} {
		settings := route.Settings{
			Type:       route.SOCKS5,
			User:       user,
			AddressMap: map[string]string{"broker.corp:9092": "kafka.corp:9092"},
		}
		if user != "" {
			settings.Password = "secret"
		}
		settings.Address = startSOCKS(t, user, "secret", "kafka.corp:9092", startEcho(t))
		r := routeOf(t, settings)
		checkEcho(t, r, "kafka.corp:9092")
		checkEcho(t, r, "broker.corp:9092")
		_, err := r.DialContext(boundedContext(t), "tcp", "other:1")
		assert.True(t, err != nil, "expected a refusal")
		if user == "" {
			continue
		}
		settings.Password = "another"
		r = routeOf(t, settings)
		var refused *route.LogonRefused
		_, err = r.DialContext(boundedContext(t), "tcp", "kafka.corp:9092")
		assert.True(t, errors.As(err, &refused) && refused.Permanent() &&
			strings.Contains(err.Error(), "(see user, password)") && !strings.Contains(err.Error(), "another"),
			"expected a permanent refusal without the password in it, found %v", err)
		settings.User = ""
		settings.Password = ""
		r = routeOf(t, settings)
		if _, err := r.DialContext(boundedContext(t), "tcp", "kafka.corp:9092"); !errors.As(err, &refused) ||
			!strings.Contains(err.Error(), "no acceptable authentication methods") {
			t.Errorf("expected a refusal of the method, found %v", err)
		}
	}
}

// connectProxy starts a proxy that sends the answer to CONNECT, in writes of piece bytes (zero means one write), and
// then echoes. It returns its address.
func connectProxy(t *testing.T, answer string, piece int, received chan<- *http.Request) string {
	return porttest.Serve(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if received != nil {
			received <- request
		}
		for answer := answer; answer != ""; {
			n := min(piece, len(answer))
			if piece == 0 {
				n = len(answer)
			}
			if _, err := io.WriteString(conn, answer[:n]); err != nil {
				return
			}
			answer = answer[n:]
		}
		io.Copy(conn, r)
	})
}

func TestHTTPConnect(t *testing.T) {
	for _, c := range []struct {
		name      string
		answer    string
		permanent bool
		message   string
	}{
		{name: "200", answer: "HTTP/1.1 200 Connection established\r\n\r\n"},
		{name: "200, HTTP 1.0", answer: "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n"},
		{name: "200, with a length that is ignored", answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"},
		{name: "200, with chunks that are ignored", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "204", answer: "HTTP/1.1 204 \r\n\r\n"},
		{name: "an interim answer first", answer: "HTTP/1.1 102 Processing\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
		{
			name: "401, as Tinyproxy sends it", answer: "HTTP/1.1 401 Unauthorized\r\n\r\n", permanent: true,
			message: "401 Unauthorized (see kafka.proxy.user, kafka.proxy.password)",
		},
		{
			name: "407", answer: "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nhello",
			permanent: true, message: "407 Proxy Authentication Required (see kafka.proxy.user, kafka.proxy.password)",
		},
		{name: "403", answer: "HTTP/1.1 403 no\x07 way\r\n\r\n", permanent: true, message: "403 no  way"},
		{name: "502", answer: "HTTP/1.1 502 Bad Gateway\r\n\r\n", message: "502 Bad Gateway"},
		{name: "503", answer: "HTTP/1.1 503 Service Unavailable\r\n\r\n", message: "503"},
		{name: "429", answer: "HTTP/1.1 429 Too Many Requests\r\n\r\n", message: "429"},
		{name: "SOCKS", answer: "\x05\xff", permanent: true, message: "kafka.proxy.address"},
		{name: "TLS", answer: "\x15\x03\x01\x00\x02\x02\x16", permanent: true, message: "bytes 15"},
		{name: "nonsense", answer: "HTTP/nonsense\r\n\r\n", permanent: true, message: "expected an HTTP proxy"},
		{
			name: "endless", answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 80),
			permanent: true, message: "65536 bytes",
		},
	} {
		for _, piece := range []int{0, 1} {
			if c.name == "endless" && piece == 1 {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				isAccepted := c.message == ""
				answer := c.answer
				if isAccepted {
					answer += "greeting"
				}
				received := make(chan *http.Request, 1)
				r := routeOf(t, route.Settings{Type: route.HTTP, Address: connectProxy(t, answer, piece, received),
					User: "me", Password: "secret:x", Name: settingName})
				conn, err := r.DialContext(boundedContext(t), "tcp", "kafka.corp:9092")
				request := <-received
				if request.Method != "CONNECT" || request.Host != "kafka.corp:9092" ||
					request.RequestURI != "kafka.corp:9092" ||
					request.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString(
						[]byte("me:secret:x")) {
					t.Errorf("expected CONNECT of the target with a password, found %s %s %s %v", request.Method,
						request.RequestURI, request.Host, request.Header)
				}
				if !isAccepted {
					var permanent interface{ Permanent() bool }
					require.True(t, errors.As(err, &permanent) && permanent.Permanent() == c.permanent &&
						strings.Contains(err.Error(), c.message) && !strings.Contains(err.Error(), "secret"),
						"expected %q, permanent: %t, found %v", c.message, c.permanent, err)
					return
				}
				require.NoError(t, err)
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(5 * time.Minute))
				io.WriteString(conn, "abc")
				got := make([]byte, 11)
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != "greetingabc" {
					t.Fatalf("expected the stream from its first byte, found %q, %v", got, err)
				}
			})
		}
	}
}

// A proxy that stops in its answer ends the attempt after Settings.Attempt, or with the caller's context.
func TestSilentProxies(t *testing.T) {
	for kind, reply := range map[string]string{route.HTTP: "HTTP/1.1 200 O", route.SOCKS5: "\x05"} {
		address := porttest.Serve(t, func(c net.Conn) { io.WriteString(c, reply); io.Copy(io.Discard, c) })
		r := routeOf(t, route.Settings{Type: kind, Address: address, Attempt: 50 * time.Millisecond})
		ctx := boundedContext(t)
		if conn, err := r.DialContext(ctx, "tcp", "kafka:9092"); err == nil {
			conn.Close()
			t.Errorf("%s: expected an error", kind)
		} else if ctx.Err() != nil {
			t.Errorf("%s: expected the attempt's end, found the caller's: %v", kind, err)
		}
		r = routeOf(t, route.Settings{Type: kind, Address: address})
		canceledCtx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := r.DialContext(canceledCtx, "tcp", "kafka:9092")
		assert.ErrorIs(t, err, context.Canceled, kind, "the caller's end")
	}
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}
