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

// piped is the simulated proxy over pipes, for synctest. It must be created in the bubble.
type piped struct{ *connectivitytest.Server }

func (p piped) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go p.ServeSOCKS5(server)
	return client, nil
}

// newPiped has systems that echo.
func newPiped(t *testing.T) (piped, *socks.Dialer) {
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
	return piped{s}, &socks.Dialer{Address: "proxy.example:20004", Forward: piped{s},
		Token: func(_ context.Context, refused string) (string, error) {
			if refused == token {
				token = s.Issue(s.Connectivity)
			}
			return token, nil
		}}
}

func echoes(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(time.Minute))
	_, err := conn.Write([]byte("abc"))
	require.NoError(t, err)
	got := make([]byte, 3)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "abc" {
		t.Fatalf("expected the echo, found %q, %v", got, err)
	}
	conn.SetDeadline(time.Time{})
}

// Dialing waits out temporary replies (REP 03 and others) for 60 s, and dropped tunnels.
func TestOutage(t *testing.T) {
	for _, code := range []byte{socks.NetworkUnreachable, socks.HostUnreachable, socks.Failure, socks.TTLExpired,
		0x77} {
		synctest.Test(t, func(t *testing.T) {
			double, d := newPiped(t)
			d.Outage = 5 * time.Minute
			first, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			require.NoError(t, err)
			echoes(t, first)
			assert.Equal(t, 1, double.DropTunnels(), "tunnels")
			if _, err := io.ReadAll(first); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatalf("expected the end of the tunnel, found %v", err)
			}
			double.ExpireTokens() // and the token has expired by then, too
			clear := double.Answer(code, 0)
			time.AfterFunc(time.Minute, clear)
			began := time.Now()
			second, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			if err != nil {
				t.Fatalf("REP %02x: %v", code, err)
			}
			if elapsed := time.Since(began); elapsed < time.Minute || elapsed > time.Minute+20*time.Second {
				t.Errorf("REP %02x: expected a tunnel soon after a minute, found it after %v", code, elapsed)
			}
			echoes(t, second)
			second.Close()
			if n := double.Count(func(e connectivitytest.Entry) bool { return e.Code == int(code) }); n < 6 || n > 40 {
				t.Errorf("expected a reasonable number of attempts in a minute, found %d", n)
			}
		})
	}
}

func TestOutageEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, d := newPiped(t)
		double.Detach("")
		d.Outage = 5 * time.Minute
		began := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		var refused *socks.Refused
		if !errors.As(err, &refused) || refused.Code != socks.NetworkUnreachable || refused.Permanent() {
			t.Fatalf("expected REP 03, found %v", err)
		}
		if elapsed := time.Since(began); elapsed < d.Outage || elapsed > d.Outage+time.Second {
			t.Errorf("expected to give up after %v, found %v", d.Outage, elapsed)
		}
	})
}

// A permanent error ends the retries of a temporary one.
func TestForbiddenEndsOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, d := newPiped(t)
		d.Outage = time.Hour
		clear := double.Answer(socks.NetworkUnreachable, 0)
		time.AfterFunc(10*time.Second, func() { double.Unmap("kafka.virtual:9092"); clear() })
		began := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		var refused *socks.Refused
		if !errors.As(err, &refused) || !refused.Permanent() || !strings.Contains(err.Error(),
			"add kafka.virtual:9092") {
			t.Fatalf("expected REP 02, found %v", err)
		}
		if elapsed := time.Since(began); elapsed > 30*time.Second {
			t.Errorf("expected to fail at once, found it after %v", elapsed)
		}
	})
}

func TestLocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, d := newPiped(t)
		d.Locations = []string{"first", "", "third"}
		d.Outage = time.Minute
		double.Attach("third")
		asked := func() (locations []string) {
			for _, e := range double.Ledger() {
				locations = append(locations, e.Location)
			}
			return locations
		}
		dial := func(want ...string) {
			t.Helper()
			before := len(asked())
			conn, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			require.NoError(t, err)
			conn.Close()
			assert.Equal(t, want, asked()[before:])
		}
		began := time.Now()
		dial("first", "")
		double.Detach("")
		dial("first", "", "third")
		assert.Equal(t, time.Duration(0), time.Since(began), "pause before the next location")
		double.Attach("first")
		dial("first")
		double.Detach("first")
		double.Inject(connectivitytest.Fault{At: connectivitytest.Connect, Code: socks.HostUnreachable,
			Location: "third", Times: 1})
		dial("first", "", "third", "first", "", "third")
		if time.Since(began) == 0 {
			t.Error("expected a pause between rounds")
		}
	})
}

// A silent peer ends the attempt, or the call with the caller's context, at each step.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		at    connectivitytest.Step
		bytes int
		step  string
	}{
		{connectivitytest.Accept, 0, "greeting"}, {connectivitytest.Greeting, 0,
			"greeting"}, {connectivitytest.Greeting, 1, "greeting"},
		{connectivitytest.Logon, 0, "authentication"}, {connectivitytest.Logon, 1, "authentication"},
		{connectivitytest.Connect, 0, "connect"}, {connectivitytest.Connect, 2, "connect"}, {connectivitytest.Connect,
			4, "connect"}, {connectivitytest.Connect, 9, "connect"},
	} {
		synctest.Test(t, func(t *testing.T) {
			double, d := newPiped(t)
			d.Attempt = 20 * time.Second
			clear := double.Stall(c.at, c.bytes)

			began := time.Now()
			_, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			if elapsed := time.Since(began); err == nil || elapsed != d.Attempt || !strings.Contains(err.Error(),
				", "+c.step+": ") || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %d bytes: after %v found %v", c.at, c.bytes, elapsed, err)
			}

			reason := errors.New("the task is being stopped")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(7*time.Second, func() { cancel(reason) })
			d.Outage = time.Hour
			began = time.Now()
			_, err = d.DialContext(ctx, "tcp", "kafka.virtual:9092")
			if elapsed := time.Since(began); !errors.Is(err, reason) || !errors.Is(err, context.Canceled) ||
				elapsed != 7*time.Second {
				t.Errorf("%s, %d bytes: after %v found %v", c.at, c.bytes, elapsed, err)
			}

			time.AfterFunc(50*time.Second, clear)
			conn, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
			if err != nil {
				t.Fatalf("%s, %d bytes: expected a tunnel when the stall is over: %v", c.at, c.bytes, err)
			}
			echoes(t, conn)
			conn.Close()
		})
	}
}

// If the context ends between rounds, the error contains the last failure.
func TestContextEndsBetweenRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, d := newPiped(t)
		double.Detach("")
		d.Outage = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 33*time.Second)
		defer cancel()
		_, err := d.DialContext(ctx, "tcp", "kafka.virtual:9092")
		var refused *socks.Refused
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &refused) ||
			refused.Code != socks.NetworkUnreachable {
			t.Fatalf("expected the deadline and REP 03, found %v", err)
		}
	})
}

func TestUnreachableProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, d := newPiped(t)
		calls := 0
		d.Outage = time.Minute
		d.Forward = dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			calls++
			if calls < 4 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return double.DialContext(ctx, network, address)
		})
		conn, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092")
		require.NoError(t, err)
		conn.Close()

		unknown := &net.DNSError{Err: "no such host", Name: "proxy.example", IsNotFound: true}
		calls = 0
		d.Forward = dialFunc(func(context.Context, string, string) (net.Conn, error) { calls++; return nil, unknown })
		if _, err := d.DialContext(t.Context(), "tcp", "kafka.virtual:9092"); !errors.Is(err, unknown) || calls != 1 {
			t.Fatalf("expected a name that is unknown to be an error at once, found %v after %d calls", err, calls)
		}
	})
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

var _ proxy.ContextDialer = dialFunc(nil)

// A tunnel that is complete when ctx ends is not returned, since it has a deadline in the past.
func TestContextEndsAfterLastByte(t *testing.T) {
	p := play(talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, connected}})
	ctx, cancel := context.WithCancel(bounded(t))
	var made *ending
	d := dialer(dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := p.DialContext(ctx, network, address)
		made = &ending{Conn: conn, left: len(taken) + len(logonOK) + len(connected), end: cancel}
		return made, err
	}))
	conn, err := d.DialContext(ctx, "tcp", "kafka-broker-0:9093")
	if conn != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("expected an error, found %v, %v", conn, err)
	}
	if _, err := made.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("expected a closed connection, found %v", err)
	}
}

// ending calls end after a number of read bytes.
type ending struct {
	net.Conn
	left int
	end  func()
}

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if e.left -= n; e.left == 0 {
		e.end()
	}
	return n, err
}
