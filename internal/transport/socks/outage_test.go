package socks_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/proxy"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

// pipedProxy is the simulated proxy over pipes, for synctest. It must be created in the bubble.
type pipedProxy struct{ *connectivitytest.Server }

func (p pipedProxy) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go p.ServeSOCKS5(server)
	return client, nil
}

// newPipedProxy returns a proxy that exposes kafka.virtual:9092, which echoes, and a dialer through it.
func newPipedProxy(t *testing.T) (pipedProxy, *socks.Dialer) {
	s := connectivitytest.NewUnstartedServer()
	s.Map("kafka.virtual:9092", "broker:9092")
	s.Dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			io.Copy(server, server)
		}()
		return client, nil
	}
	t.Cleanup(s.Close)
	token := s.Issue(s.Connectivity)
	return pipedProxy{s}, &socks.Dialer{Address: "proxy.example:20004", Forward: pipedProxy{s},
		Token: func(_ context.Context, refused string) (string, error) {
			if refused == token {
				token = s.Issue(s.Connectivity)
			}
			return token, nil
		}}
}

func checkEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(time.Minute))
	_, err := conn.Write([]byte("abc"))
	require.NoError(t, err)
	got := make([]byte, 3)
	_, err = io.ReadFull(conn, got)
	require.True(t, err == nil && string(got) == "abc", "expected the echo, found %q, %v", got, err)
	conn.SetDeadline(time.Time{})
}

// After a dropped tunnel, dialing is retried as long as replies are temporary (REP 03 and others), here for 60 s.
func TestOutage(t *testing.T) {
	const undocumented = 0x77
	for _, code := range []byte{
		socks.NetworkUnreachable,
		socks.HostUnreachable,
		socks.Failure,
		socks.TTLExpired,
		undocumented,
	} {
		synctest.Test(t, func(t *testing.T) {
			proxyServer, d := newPipedProxy(t)
			d.Outage = 5 * time.Minute
			first, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			require.NoError(t, err)
			checkEcho(t, first)
			assert.Equal(t, 1, proxyServer.DropTunnels(), "tunnels")
			if _, err := io.ReadAll(first); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatalf("expected the end of the tunnel, found %v", err)
			}
			proxyServer.ExpireTokens() // and the token has expired by then, too
			clearFault := proxyServer.Answer(code, 0)
			time.AfterFunc(time.Minute, clearFault)
			began := time.Now()
			second, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			require.True(t, err == nil, "REP %02x: %v", code, err)
			if elapsed := time.Since(began); elapsed < time.Minute || elapsed > time.Minute+20*time.Second {
				t.Errorf("REP %02x: expected a tunnel soon after a minute, found it after %v", code, elapsed)
			}
			checkEcho(t, second)
			second.Close()
			hasCode := func(e connectivitytest.Entry) bool { return e.Code == int(code) }
			n := proxyServer.Count(hasCode)
			assert.True(t, n >= 6 && n <= 40, "expected a reasonable number of attempts in a minute, found %d", n)
		})
	}
}

func TestOutageEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxyServer, d := newPipedProxy(t)
		proxyServer.Detach("")
		d.Outage = 5 * time.Minute
		began := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		var refused *socks.Refused
		require.True(t, errors.As(err, &refused) && refused.Code == socks.NetworkUnreachable && !refused.Permanent(),
			"expected REP 03, found %v", err)
		if elapsed := time.Since(began); elapsed < d.Outage || elapsed > d.Outage+time.Second {
			t.Errorf("expected to give up after %v, found %v", d.Outage, elapsed)
		}
	})
}

// A permanent error ends the retries of a temporary one.
func TestForbiddenEndsOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxyServer, d := newPipedProxy(t)
		d.Outage = time.Hour
		clearFault := proxyServer.Answer(socks.NetworkUnreachable, 0)
		time.AfterFunc(10*time.Second, func() { proxyServer.Unmap("kafka.virtual:9092"); clearFault() })
		began := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		var refused *socks.Refused
		require.True(t, errors.As(err, &refused) && refused.Permanent() &&
			strings.Contains(err.Error(), "add kafka.virtual:9092"), "expected REP 02, found %v", err)
		assert.AtMost(t, 30*time.Second, time.Since(began), "to fail at once")
	})
}

func TestLocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxyServer, d := newPipedProxy(t)
		d.Locations = []string{"first", "", "third"}
		d.Outage = time.Minute
		proxyServer.Attach("third")
		locations := func() (found []string) {
			for _, e := range proxyServer.Ledger() {
				found = append(found, e.Location)
			}
			return found
		}
		dial := func(want ...string) {
			t.Helper()
			earlier := len(locations())
			conn, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			require.NoError(t, err)
			conn.Close()
			assert.Equal(t, want, locations()[earlier:])
		}
		began := time.Now()
		dial("first", "")
		proxyServer.Detach("")
		dial("first", "", "third")
		assert.Equal(t, time.Duration(0), time.Since(began), "pause before the next location")
		proxyServer.Attach("first")
		dial("first")
		proxyServer.Detach("first")
		proxyServer.Inject(connectivitytest.Fault{At: connectivitytest.Connect, Code: socks.HostUnreachable,
			Location: "third", Times: 1})
		dial("first", "", "third", "first", "", "third")
		assert.True(t, time.Since(began) != 0, "expected a pause between rounds")
	})
}

// A silent peer ends the attempt, or the call with the caller's context, at each step.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		at    connectivitytest.Step
		bytes int
		step  string
	}{
		{at: connectivitytest.Accept, bytes: 0, step: "greeting"},
		{at: connectivitytest.Greeting, bytes: 0, step: "greeting"},
		{at: connectivitytest.Greeting, bytes: 1, step: "greeting"},
		{at: connectivitytest.Logon, bytes: 0, step: "authentication"},
		{at: connectivitytest.Logon, bytes: 1, step: "authentication"},
		{at: connectivitytest.Connect, bytes: 0, step: "connect"},
		{at: connectivitytest.Connect, bytes: 2, step: "connect"},
		{at: connectivitytest.Connect, bytes: 4, step: "connect"},
		{at: connectivitytest.Connect, bytes: 9, step: "connect"},
	} {
		synctest.Test(t, func(t *testing.T) {
			proxyServer, d := newPipedProxy(t)
			d.Attempt = 20 * time.Second
			clearFault := proxyServer.Stall(c.at, c.bytes)

			began := time.Now()
			_, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			if elapsed := time.Since(began); err == nil || elapsed != d.Attempt ||
				!strings.Contains(err.Error(), ", "+c.step+": ") || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %d bytes: expected the deadline in step %s after %v, found %v after %v", c.at, c.bytes,
					c.step, d.Attempt, err, elapsed)
			}

			reason := errors.New("the task is being stopped")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(7*time.Second, func() { cancel(reason) })
			d.Outage = time.Hour
			began = time.Now()
			_, err = d.DialContext(ctx, "tcp", "kafka.virtual:9092")
			elapsed := time.Since(began)
			assert.True(t, errors.Is(err, reason) && errors.Is(err, context.Canceled) && elapsed == 7*time.Second,
				"%s, %d bytes: expected the context's cause after 7 s, found %v after %v", c.at, c.bytes, err, elapsed)

			time.AfterFunc(50*time.Second, clearFault)
			conn, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			require.NoError(t, err, c.at, c.bytes, "bytes: a tunnel when the stall is over")
			checkEcho(t, conn)
			conn.Close()
		})
	}
}

// If the context ends between rounds, the error contains the last failure.
func TestContextEndsBetweenRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxyServer, d := newPipedProxy(t)
		proxyServer.Detach("")
		d.Outage = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 33*time.Second)
		defer cancel()
		_, err := d.DialContext(ctx, "tcp", "kafka.virtual:9092")
		var refused *socks.Refused
		require.True(t, errors.Is(err, context.DeadlineExceeded) && errors.As(err, &refused) &&
			refused.Code == socks.NetworkUnreachable, "expected the deadline and REP 03, found %v", err)
	})
}

func TestUnreachableProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxyServer, d := newPipedProxy(t)
		calls := 0
		d.Outage = time.Minute
		d.Forward = dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			calls++
			if calls < 4 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return proxyServer.DialContext(ctx, network, address)
		})
		conn, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		require.NoError(t, err)
		conn.Close()

		unknownHost := &net.DNSError{Err: "no such host", Name: "proxy.example", IsNotFound: true}
		calls = 0
		d.Forward = dialFunc(func(context.Context, string, string) (net.Conn, error) {
			calls++
			return nil, unknownHost
		})
		_, err = d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		require.True(t, errors.Is(err, unknownHost) && calls == 1,
			"expected the error of an unknown host after 1 call, found %v after %d calls", err, calls)
	})
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

var _ proxy.ContextDialer = dialFunc(nil)

// A tunnel that is complete when ctx ends is not returned, since it has a deadline in the past.
func TestContextEndsAfterLastByte(t *testing.T) {
	p := play(talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, connected}})
	ctx, cancel := context.WithCancel(boundedContext(t))
	var counted *countedConn
	d := newDialer(dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := p.DialContext(ctx, network, address)
		counted = &countedConn{Conn: conn, left: len(methodAccepted) + len(logonOK) + len(connected), end: cancel}
		return counted, err
	}))
	conn, err := d.DialContext(ctx, "tcp", "kafka-broker-0:9093")
	require.True(t, conn == nil && errors.Is(err, context.Canceled), "expected an error, found %v, %v", conn, err)
	_, err = counted.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.ErrClosedPipe, "a closed connection")
}

// countedConn calls end after left read bytes.
type countedConn struct {
	net.Conn
	left int
	end  func()
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.left -= n; c.left == 0 {
		c.end()
	}
	return n, err
}
