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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

func refusedTalk(reply byte) talk {
	answer := "\x05" + string(rune(reply)) + "\x00\x01\x00\x00\x00\x00\x00\x00"
	return talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, answer}}
}

// SAP's table of REP codes, and which are permanent (P26).
func TestReplies(t *testing.T) {
	for reply := 1; reply <= 9; reply++ {
		want := map[int]struct {
			attempts  int
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
				rejection := refusedTalk(byte(reply))
				rejection[1].expect = exampleLogon
				talks = append(talks, rejection)
			}
			p := play(talks...)
			_, err := newDialer(p, "DE-Berlin").DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
			var refused *socks.Refused
			require.True(t, errors.As(err, &refused), "expected a refusal, found %v", err)
			assert.True(t, refused.Target == "kafka-broker-0:9093" && refused.Location == "DE-Berlin" &&
				refused.Code == byte(reply) && refused.Step == socks.StepConnect,
				"expected the refusal of the connection with the target and location, found %+v", refused)
			assert.True(t, refused.Permanent() == want.permanent && strings.Contains(err.Error(), want.message) &&
				strings.Contains(err.Error(), "kafka-broker-0:9093"),
				"permanent %v, expected %v: %v", refused.Permanent(), want.permanent, err)
			assert.True(t, len(p.talks) == 0,
				"expected %d attempts, found %d", want.attempts, want.attempts-len(p.talks))
		})
	}
}

// The bytes after the code of a rejection are not required.
func TestTruncatedRejection(t *testing.T) {
	for _, reply := range []string{"\x05\x02", "\x05\x02\x00", "\x05\x02\x00\x01\x00", "\x05\x02\x00\x07",
		"\x05\x02\x00\x03\x20abc"} {
		p := &closingProxy{play(talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, reply}})}
		_, err := newDialer(p).DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
		var refused *socks.Refused
		assert.True(t, errors.As(err, &refused) && refused.Code == socks.Forbidden,
			"% x: expected REP 02, found %v", reply, err)
	}
}

func TestRejectedMethod(t *testing.T) {
	for _, method := range []byte{0xff, 0x00, 0x02} {
		p := play(talk{{greeting, "\x05" + string([]byte{method})}})
		_, err := newDialer(p).DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
		var refused *socks.Refused
		assert.True(t, errors.As(err, &refused) && refused.Permanent() && refused.Step == socks.StepGreeting &&
			strings.Contains(err.Error(), "onpremise_socks5_proxy_port"),
			"method %02x: expected a permanent error with the port's name, found %v", method, err)
	}
}

// renewedTokens returns the tokens eyJsecret1, eyJsecret2, ... and records the rejected ones.
type renewedTokens struct {
	n       int // number of the current token
	refused []string
}

func (r *renewedTokens) token(_ context.Context, refused string) (string, error) {
	if refused != "" || r.n == 0 {
		r.n++
		r.refused = append(r.refused, refused)
	}
	return fmt.Sprintf("eyJsecret%d", r.n), nil
}

func logonWithToken(n int) string { return fmt.Sprintf("\x01\x00\x00\x00\x0aeyJsecret%d\x00", n) }

func TestRejectedToken(t *testing.T) {
	rejectedByStatus := func(n int, status byte) talk {
		return talk{{greeting, methodAccepted}, {logonWithToken(n), "\x01" + string([]byte{status})}}
	}
	rejectedByReply := func(n int) talk {
		answer := "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"
		return talk{{greeting, methodAccepted}, {logonWithToken(n), logonOK}, {exampleConnect, answer}}
	}
	accepted := func(n int) talk {
		return talk{{greeting, methodAccepted}, {logonWithToken(n), logonOK}, {exampleConnect, connected}}
	}
	for _, c := range []struct {
		name       string
		talks      []talk
		isAccepted bool
		step       socks.Step
	}{
		{name: "status, once", talks: []talk{rejectedByStatus(1, 0x01), accepted(2)}, isAccepted: true},
		{name: "status ff, once", talks: []talk{rejectedByStatus(1, 0xff), accepted(2)}, isAccepted: true},
		{name: "REP 05, once", talks: []talk{rejectedByReply(1), accepted(2)}, isAccepted: true},
		{
			name:  "status, twice",
			talks: []talk{rejectedByStatus(1, 0x02), rejectedByStatus(2, 0x02)},
			step:  socks.StepAuthentication,
		},
		{name: "REP 05, twice", talks: []talk{rejectedByReply(1), rejectedByReply(2)}, step: socks.StepConnect},
		{name: "one of each", talks: []talk{rejectedByStatus(1, 0x03), rejectedByReply(2)}, step: socks.StepConnect},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged strings.Builder
			tokens := &renewedTokens{}
			p := play(c.talks...)
			d := &socks.Dialer{Address: "proxy.example:20004", Token: tokens.token, Forward: p, Outage: time.Hour,
				Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			conn, err := d.DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
			if (err == nil) != c.isAccepted {
				t.Fatalf("expected success: %t, found %v; the proxy received %q", c.isAccepted, err, <-p.received)
			}
			if err == nil {
				conn.Close()
			} else {
				var refused *socks.Refused
				assert.True(t, errors.As(err, &refused) && refused.Permanent() && refused.Authentication() &&
					refused.Step == c.step, "expected a rejected token in step %s, found %v", c.step, err)
			}
			assert.True(t, tokens.n == 2 && tokens.refused[1] == "eyJsecret1",
				"expected one refresh, found %+v", tokens)
			assert.NotContains(t, fmt.Sprint(err)+logged.String(), "secret", "token in the error and the log")
		})
	}
}

func TestTokenError(t *testing.T) {
	tokenErr := errors.New("the token service says no")
	d := newDialer(play())
	calls := 0
	d.Outage = time.Hour
	d.Token = func(context.Context, string) (string, error) { calls++; return "", tokenErr }
	_, err := d.DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
	if !errors.Is(err, tokenErr) || calls != 1 || !strings.Contains(err.Error(), "token for the Connectivity proxy") {
		t.Fatalf("expected the token's error after 1 call, found %v after %d calls", err, calls)
	}
	synctest.Test(t, func(t *testing.T) {
		p := play(talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, connected}})
		d := newDialer(p)
		calls := 0
		d.Outage = time.Minute
		d.Token = func(context.Context, string) (string, error) {
			calls++
			if calls < 4 {
				return "", temporaryError{}
			}
			return "eyJh.eyJz.c2ln", nil
		}
		conn, err := d.DialContext(t.Context(), "tcp", "kafka-broker-0:9093")
		require.True(t, err == nil && calls == 4,
			"expected a tunnel after 4 calls, found %v after %d calls", err, calls)
		conn.Close()
	})
}

// temporaryError is an error of the token service that a retry may fix.
type temporaryError struct{}

func (temporaryError) Error() string { return "the token service is down" }

func (temporaryError) Temporary() bool { return true }
