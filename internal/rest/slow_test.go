package rest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/base/require"
)

// pipes is a listener with pipes as connections, for synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// A client that is slow or silent is disconnected after a timeout, and so its request ends.
func TestSlowClients(t *testing.T) {
	const slack = time.Second
	for name, c := range map[string]struct {
		request       string
		readsResponse bool          // whether the client reads the response
		status        int           // of the response, 0 for no response
		closedAfter   time.Duration // the time until the connection is closed
	}{
		"nothing":     {readsResponse: true, closedAfter: headerTimeout},
		"half a head": {request: "GET / HTTP/1.1\r\nHo", readsResponse: true, status: 400, closedAfter: headerTimeout},
		"nothing more": {
			request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", readsResponse: true, status: 200, closedAfter: idleTimeout,
		},
		"half a body": {
			request: "POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
				"Content-Length: 9\r\n\r\n{",
			readsResponse: true, status: 408, closedAfter: bodyTimeout,
		},
		"half a chunk": {
			request: "PUT /connectors/a/config HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
				"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
			readsResponse: true, status: 408, closedAfter: bodyTimeout,
		},
		"a body that no handler reads": {
			request: "PUT /connectors/a/pause HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
				"Content-Length: 9\r\n\r\n{",
			readsResponse: true, status: 404, closedAfter: bodyTimeout,
		},
		"a body of GET": {
			request: "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", readsResponse: true, status: 200,
			closedAfter: bodyTimeout,
		},
		"an answer is not read": {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", closedAfter: answerTimeout},
		"too long a head": {
			request:       "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*maxHeaderBytes),
			readsResponse: true, status: 431, closedAfter: slack,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				s := newServer(Options{}, slog.New(slog.DiscardHandler))
				s.listeners = []listener{{Listener: l}}
				s.Serve(new(standIn).worker())
				defer s.Close()
				client, server := net.Pipe()
				defer client.Close()
				l.conns <- server
				began := time.Now()
				go io.WriteString(client, c.request) // as far as the server reads
				var answer []byte
				if c.readsResponse {
					answer, _ = io.ReadAll(client)
				} else {
					time.Sleep(c.closedAfter + slack)
					next := make([]byte, 1)
					_, err := client.Read(next)
					assert.ErrorIs(t, err, io.EOF, "the connection to be closed")
				}
				elapsed := time.Since(began)
				isEarly := c.readsResponse && elapsed+slack < c.closedAfter
				assert.True(t, !isEarly && elapsed <= c.closedAfter+2*slack,
					"expected the connection to be closed after %v, found %v", c.closedAfter, elapsed)
				head, _, _ := strings.Cut(string(answer), "\r\n")
				assert.True(t, (c.status != 0 || head == "") &&
					(c.status == 0 || strings.Contains(head, " "+strconv.Itoa(c.status)+" ")),
					"expected status %d, found %q", c.status, head)
			})
		})
	}
}

// The maximum size of a body is that of a connector's file.
func TestBodiesAreBounded(t *testing.T) {
	for _, c := range []struct{ size, status int }{
		{size: maxBodyBytes, status: http.StatusCreated},
		{size: maxBodyBytes + 1, status: http.StatusRequestEntityTooLarge},
	} {
		worker := &standIn{connectors: map[string]*standInConnector{}}
		const withoutText = `{"name": "a", "config": {"connector.class": "x", "long": ""}}`
		answer := serveRequest(worker, "POST", "/connectors",
			strings.Replace(withoutText, `""`, `"`+strings.Repeat("x", c.size-len(withoutText))+`"`, 1), "Content-Type",
			"application/json")
		assert.True(t, answer.Code == c.status,
			"%d bytes: expected %d, found %d %.200s", c.size, c.status, answer.Code, answer.Body)
	}
}

// /health responds in time even if the worker does not.
func TestHealthRespondsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		answer := serveRequest(new(stuckWorker), "GET", "/health", "")
		if answer.Code != 500 || !strings.Contains(answer.Body.String(),
			"Worker was unable to handle this request and may be unable to handle other requests.") ||
			time.Since(began) != healthTimeout {
			t.Errorf("found %d %s after %v", answer.Code, answer.Body, time.Since(began))
		}
	})
}

// stuckWorker never reports whether it is ready.
type stuckWorker struct{ standIn }

func (s *stuckWorker) worker() Worker {
	w := s.with(s)
	w.Ready = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	return w
}

// sendHalf opens a connection and sends a number of bytes of a longer body.
func sendHalf(t *testing.T, address string, bytes int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	go fmt.Fprintf(c, "PUT /connectors/a/config HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", maxBodyBytes, strings.Repeat(" ", bytes))
	return c
}

// The size of all concurrent bodies is bounded. Beyond it a client gets 503, and requests without a body are served.
func TestBodiesOfRequestsAreBounded(t *testing.T) {
	address := startServer(t, Options{}).Addresses()[0]
	const clients = 300
	statusLines := make(chan string, clients)
	for range clients {
		c := sendHalf(t, address, maxBodyBytes-1)
		go func() {
			head, _ := bufio.NewReader(c).ReadString('\n')
			statusLines <- head
		}()
	}
	for n := range clients - maxBufferedBytes/maxBodyBytes {
		select {
		case head := <-statusLines:
			require.True(t, strings.Contains(head, " 503 "), "expected 503 beyond the bound, found %q", head)
		case <-time.After(bodyTimeout - 5*time.Second):
			t.Fatalf("expected %d rejected requests, found %d", clients-maxBufferedBytes/maxBodyBytes, n)
		}
	}
	// A request without a body is not bounded.
	assertStatus(t, http.DefaultClient, "http://"+address+"/connectors", http.StatusOK)
}

// The number of connections is bounded. Another one is served when an open one has ended.
func TestConnectionsAreBounded(t *testing.T) {
	address := startServer(t, Options{}).Addresses()[0]
	var connections []net.Conn
	for range inbound.MaxConnections {
		c := sendHalf(t, address, 0)
		connections = append(connections, c)
	}
	statuses := make(chan int, 1)
	go func() {
		answer, err := http.Get("http://" + address + "/connectors")
		if err != nil {
			t.Error(err)
			statuses <- 0
			return
		}
		answer.Body.Close()
		statuses <- answer.StatusCode
	}()
	select {
	case status := <-statuses:
		t.Fatalf("expected a connection beyond %d to wait, found %d", inbound.MaxConnections, status)
	case <-time.After(time.Second):
	}
	connections[0].Close()
	assert.Equal(t, http.StatusOK, <-statuses, "after a connection was closed")
}
