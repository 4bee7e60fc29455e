package socks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/transport/socks"
)

func refusal(reply byte) talk {
	return talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, "\x05" + string(rune(reply)) +
		"\x00\x01\x00\x00\x00\x00\x00\x00"}}
}

// SAP's table of REP codes, and which are permanent (P26).
func TestReplies(t *testing.T) {
	for reply := 1; reply <= 9; reply++ {
		want := map[int]struct {
			attempts  int // of one round, of which there is one here
			permanent bool
			message   string
		}{
			1: {attempts: 1, message: "general failure"},
			2: {
				attempts: 1, permanent: true,
				message: `location id "DE-Berlin") does not expose this virtual host and port: add kafka-broker-0:9093`,
			},
			3: {
				attempts: 1,
				message:  `no Cloud Connector is connected to the subaccount under location id "DE-Berlin"`,
			},
			4: {attempts: 1, message: "cannot open a connection to the system behind"},
			5: {attempts: 2, permanent: true, message: "the token was rejected: it must be"},
			6: {attempts: 1, message: "TTL"},
			7: {attempts: 1, permanent: true, message: "bug in Culvert"},
			8: {attempts: 1, permanent: true, message: "names and IPv4 addresses"},
			9: {attempts: 1, message: "does not document"},
		}[reply]
		t.Run(fmt.Sprintf("REP %02x", reply), func(t *testing.T) {
			var talks []talk
			for range want.attempts {
				rejection := refusal(byte(reply))
				rejection[1].expect = exampleLogon
				talks = append(talks, rejection)
			}
			p := play(talks...)
			_, err := dialer(p, "DE-Berlin").DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
			var refused *socks.Refused
			if !errors.As(err, &refused) {
				t.Fatalf("expected a refusal, found %v", err)
			}
			if refused.Target != "kafka-broker-0:9093" || refused.Location != "DE-Berlin" ||
				refused.Code != byte(reply) || refused.Step != socks.StepConnect {
				t.Errorf("found %+v", refused)
			}
			if refused.Permanent() != want.permanent || !strings.Contains(err.Error(), want.message) ||
				!strings.Contains(err.Error(), "kafka-broker-0:9093") {
				t.Errorf("permanent %v, expected %v: %v", refused.Permanent(), want.permanent, err)
			}
			if len(p.talks) > 0 {
				t.Errorf("%d attempts fewer than expected", len(p.talks))
			}
		})
	}
}

// The bytes after the code of a rejection are not required.
func TestTruncatedRejection(t *testing.T) {
	for _, reply := range []string{"\x05\x02", "\x05\x02\x00", "\x05\x02\x00\x01\x00", "\x05\x02\x00\x07",
		"\x05\x02\x00\x03\x20abc"} {
		p := &closing{play(talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, reply}})}
		_, err := dialer(p).DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
		var refused *socks.Refused
		if !errors.As(err, &refused) || refused.Code != socks.Forbidden {
			t.Errorf("% x: expected REP 02, found %v", reply, err)
		}
	}
}

func TestRejectedMethod(t *testing.T) {
	for _, method := range []byte{0xff, 0x00, 0x02} {
		_, err := dialer(play(talk{{greeting, "\x05" + string([]byte{method})}})).DialContext(bounded(t), "tcp",
			"kafka-broker-0:9093")
		var refused *socks.Refused
		if !errors.As(err, &refused) || !refused.Permanent() || refused.Step != socks.StepGreeting ||
			!strings.Contains(err.Error(), "onpremise_socks5_proxy_port") {
			t.Errorf("method %02x: found %v", method, err)
		}
	}
}

// renewing returns secret-1, secret-2, ... and records rejected ones.
type renewing struct {
	n       int
	refused []string
}

func (r *renewing) token(_ context.Context, refused string) (string, error) {
	if refused != "" || r.n == 0 {
		r.n++
		r.refused = append(r.refused, refused)
	}
	return fmt.Sprintf("eyJsecret%d", r.n), nil
}

func logonOf(n int) string { return fmt.Sprintf("\x01\x00\x00\x00\x0aeyJsecret%d\x00", n) }

func TestRejectedToken(t *testing.T) {
	byStatus := func(n int, status byte) talk {
		return talk{{greeting, taken}, {logonOf(n), "\x01" + string([]byte{status})}}
	}
	byReply := func(n int) talk {
		return talk{{greeting, taken}, {logonOf(n), logonOK}, {exampleConnect,
			"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"}}
	}
	good := func(n int) talk { return talk{{greeting, taken}, {logonOf(n), logonOK}, {exampleConnect, connected}} }
	for _, c := range []struct {
		name  string
		talks []talk
		ok    bool
		step  socks.Step
	}{
		{name: "status, once", talks: []talk{byStatus(1, 0x01), good(2)}, ok: true},
		{name: "status ff, once", talks: []talk{byStatus(1, 0xff), good(2)}, ok: true},
		{name: "REP 05, once", talks: []talk{byReply(1), good(2)}, ok: true},
		{name: "status, twice", talks: []talk{byStatus(1, 0x02), byStatus(2, 0x02)}, step: socks.StepAuthentication},
		{name: "REP 05, twice", talks: []talk{byReply(1), byReply(2)}, step: socks.StepConnect},
		{name: "one of each", talks: []talk{byStatus(1, 0x03), byReply(2)}, step: socks.StepConnect},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged strings.Builder
			tokens := &renewing{}
			p := play(c.talks...)
			d := &socks.Dialer{Address: "proxy.example:20004", Token: tokens.token, Forward: p, Outage: time.Hour,
				Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			conn, err := d.DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
			if (err == nil) != c.ok {
				t.Fatalf("found %v; the proxy heard %q", err, <-p.received)
			}
			if err == nil {
				conn.Close()
			} else {
				var refused *socks.Refused
				if !errors.As(err, &refused) || !refused.Permanent() || !refused.Authentication() ||
					refused.Step != c.step {
					t.Errorf("found %v", err)
				}
			}
			if tokens.n != 2 || tokens.refused[1] != "eyJsecret1" {
				t.Errorf("expected one refresh, found %+v", tokens)
			}
			if shown := fmt.Sprint(err) + logged.String(); strings.Contains(shown, "secret") {
				t.Errorf("expected no token in the error and the log, found %s", shown)
			}
		})
	}
}

func TestTokenError(t *testing.T) {
	down := errors.New("the token service says no")
	d := dialer(play())
	calls := 0
	d.Outage = time.Hour
	d.Token = func(context.Context, string) (string, error) { calls++; return "", down }
	_, err := d.DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
	if !errors.Is(err, down) || calls != 1 || !strings.Contains(err.Error(), "token for the Connectivity proxy") {
		t.Fatalf("after %d calls: %v", calls, err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := play(talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, connected}})
		d := dialer(p)
		calls := 0
		d.Outage = time.Minute
		d.Token = func(context.Context, string) (string, error) {
			calls++
			if calls < 4 {
				return "", passing{}
			}
			return "eyJh.eyJz.c2ln", nil
		}
		conn, err := d.DialContext(t.Context(), "tcp", "kafka-broker-0:9093")
		if err != nil || calls != 4 {
			t.Fatalf("after %d calls: %v", calls, err)
		}
		conn.Close()
	})
}

// passing is a temporary error.
type passing struct{}

func (passing) Error() string { return "the token service is down" }

func (passing) Temporary() bool { return true }
