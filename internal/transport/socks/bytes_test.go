package socks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

// talk is a conversation with the proxy.
type talk []exchange

// exchange is a message of the client and the proxy's answer.
type exchange struct{ expect, answer string }

// playedProxy plays talks, one per connection.
type playedProxy struct {
	talks []talk
	// received receives, at the end of each connection, the message that was not expected, or "".
	received chan string
	// tail is written after the last answer.
	tail string
	// pieceSize is the number of bytes per write. Zero means all.
	pieceSize int
}

func (p *playedProxy) DialContext(context.Context, string, string) (net.Conn, error) {
	if len(p.talks) == 0 {
		return nil, errors.New("expected no further connection")
	}
	client, server := net.Pipe()
	turns := p.talks[0]
	p.talks = p.talks[1:]
	go func() {
		defer server.Close()
		for i, t := range turns {
			got := make([]byte, len(t.expect))
			n, _ := io.ReadFull(server, got)
			if string(got[:n]) != t.expect {
				p.received <- string(got[:n])
				return
			}
			answer := t.answer
			if i == len(turns)-1 {
				answer += p.tail
			}
			for answer != "" {
				size := len(answer)
				if p.pieceSize > 0 {
					size = min(size, p.pieceSize)
				}
				if _, err := server.Write([]byte(answer[:size])); err != nil {
					p.received <- ""
					return
				}
				answer = answer[size:]
			}
		}
		io.Copy(io.Discard, server)
		p.received <- ""
	}()
	return client, nil
}

func play(talks ...talk) *playedProxy {
	return &playedProxy{talks: talks, received: make(chan string, 16)}
}

func fixedToken(token string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return token, nil }
}

func newDialer(forward proxy.ContextDialer, locations ...string) *socks.Dialer {
	return &socks.Dialer{Address: "proxy.example:20004", Token: fixedToken("eyJh.eyJz.c2ln"), Locations: locations,
		Forward: forward}
}

func boundedContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

const (
	// Messages of the client, with the token eyJh.eyJz.c2ln, and answers of the proxy.
	greeting       = "\x05\x01\x80"
	methodAccepted = "\x05\x80"
	plainLogon     = "\x01\x00\x00\x00\x0eeyJh.eyJz.c2ln\x00"
	logonOK        = "\x01\x00"
	connected      = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	// The worked example of SAP's documentation: location DE-Berlin, target kafka-broker-0:9093.
	exampleLogon   = "\x01\x00\x00\x00\x0e\x65\x79\x4a\x68\x2e\x65\x79\x4a\x7a\x2e\x63\x32\x6c\x6e\x0c\x52\x45\x55\x74\x51\x6d\x56\x79\x62\x47\x6c\x75"
	exampleConnect = "\x05\x01\x00\x03\x0e\x6b\x61\x66\x6b\x61\x2d\x62\x72\x6f\x6b\x65\x72\x2d\x30\x23\x85"
)

// dialCase is the conversation of a dial: the messages of the client, and the proxy's reply to the last one.
type dialCase struct {
	name     string
	location string
	address  string
	logon    string
	connect  string
	reply    string
}

func dialCases() []dialCase {
	name255 := strings.Repeat("a", 255)
	location189 := strings.Repeat("l", 189)
	location189Logon := plainLogon[:len(plainLogon)-1] + "\xfc" + base64.StdEncoding.EncodeToString([]byte(location189))
	return []dialCase{
		{
			name:     "worked example",
			location: "DE-Berlin",
			address:  "kafka-broker-0:9093",
			logon:    exampleLogon,
			connect:  exampleConnect,
			reply:    connected,
		},
		{
			name:    "worked example without location",
			address: "kafka-broker-0:9093",
			logon:   plainLogon,
			connect: exampleConnect,
			reply:   connected,
		},
		{
			name:     "location id with padding",
			location: "EU",
			address:  "kafka-broker-0:9093",
			logon:    plainLogon[:len(plainLogon)-1] + "\x04RVU=",
			connect:  exampleConnect,
			reply:    connected,
		},
		{
			name:     "location id with the letters of the standard alphabet",
			location: "\u07ff>\u07ff?",
			address:  "kafka-broker-0:9093",
			logon:    plainLogon[:len(plainLogon)-1] + "\x08378+378/",
			connect:  exampleConnect,
			reply:    connected,
		},
		{
			name:     "longest location id",
			location: location189,
			address:  "kafka-broker-0:9093",
			logon:    location189Logon,
			connect:  exampleConnect,
			reply:    connected,
		},
		{
			name:    "IPv4 address",
			address: "10.1.2.255:443",
			logon:   plainLogon,
			connect: "\x05\x01\x00\x01\x0a\x01\x02\xff\x01\xbb",
			reply:   connected,
		},
		{
			name:    "not quite an IPv4 address",
			address: "10.1.2.256:443",
			logon:   plainLogon,
			connect: "\x05\x01\x00\x03\x0a10.1.2.256\x01\xbb",
			reply:   connected,
		},
		{
			name:    "longest name, last port",
			address: name255 + ":65535",
			logon:   plainLogon,
			connect: "\x05\x01\x00\x03\xff" + name255 + "\xff\xff",
			reply:   connected,
		},
		{
			name:    "name in UTF-8",
			address: "k\u00e4fig:1",
			logon:   plainLogon,
			connect: "\x05\x01\x00\x03\x06k\xc3\xa4fig\x00\x01",
			reply:   connected,
		},
		{
			name:    "reply with a name",
			address: "kafka-broker-0:9093",
			logon:   plainLogon,
			connect: exampleConnect,
			reply:   "\x05\x00\x00\x03\x05scc-1\x12\x34",
		},
		{
			name:    "reply with an empty name",
			address: "kafka-broker-0:9093",
			logon:   plainLogon,
			connect: exampleConnect,
			reply:   "\x05\x00\x00\x03\x00\x12\x34",
		},
		{
			name:    "reply with the longest name",
			address: "kafka-broker-0:9093",
			logon:   plainLogon,
			connect: exampleConnect,
			reply:   "\x05\x00\x00\x03\xff" + name255 + "\x12\x34",
		},
		{
			name:    "reply with an IPv6 address",
			address: "kafka-broker-0:9093",
			logon:   plainLogon,
			connect: exampleConnect,
			reply:   "\x05\x00\x00\x04" + strings.Repeat("\xfe", 16) + "\x12\x34",
		},
	}
}

// The dialer sends the documented bytes and reads the proxy's reply to its end, but nothing of the stream after it.
func TestBytes(t *testing.T) {
	for _, c := range dialCases() {
		for _, piece := range []int{0, 1, 3} {
			t.Run(c.name, func(t *testing.T) {
				p := play(talk{{greeting, methodAccepted}, {c.logon, logonOK}, {c.connect, c.reply}})
				p.pieceSize = piece
				p.tail = "the stream's own"
				conn, err := newDialer(p, c.location).DialContext(boundedContext(t), "tcp", c.address)
				if err != nil {
					t.Fatalf("%v; the proxy received %x", err, <-p.received)
				}
				defer conn.Close()
				got := make([]byte, len(p.tail))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != p.tail {
					t.Fatalf("expected the stream's bytes after the reply, found %q, %v", got, err)
				}
				_, err = conn.Write([]byte("x"))
				require.NoError(t, err, "a connection without a deadline")
			})
		}
	}
}

func TestInvalidDialArguments(t *testing.T) {
	for _, c := range []struct{ name, network, address, location, token, expect string }{
		{name: "IPv6", network: "tcp", address: "[fe80::1]:9092", expect: "IPv6"},
		{name: "IPv4 in IPv6", network: "tcp", address: "[::ffff:10.0.0.1]:9092", expect: "IPv6"},
		{name: "tcp6", network: "tcp6", address: "kafka:9092", expect: `"tcp6"`},
		{name: "udp", network: "udp", address: "kafka:9092", expect: `"udp"`},
		{name: "no port", network: "tcp", address: "kafka", expect: `"kafka"`},
		{name: "port 0", network: "tcp", address: "kafka:0", expect: `"kafka:0"`},
		{name: "port 65536", network: "tcp", address: "kafka:65536", expect: `"kafka:65536"`},
		{name: "service name", network: "tcp", address: "kafka:http", expect: `"kafka:http"`},
		{name: "no name", network: "tcp", address: ":9092", expect: "0 bytes"},
		{name: "long name", network: "tcp", address: strings.Repeat("a", 256) + ":9092", expect: "256 bytes"},
		{
			name:     "long location id",
			network:  "tcp",
			address:  "kafka:9092",
			location: strings.Repeat("l", 190),
			expect:   "190 bytes",
		},
		{name: "empty token", network: "tcp", address: "kafka:9092", token: " ", expect: "byte 20"},
		{
			name:    "token with a line break",
			network: "tcp",
			address: "kafka:9092",
			token:   "eyJsecret.\n",
			expect:  "byte 0a at 10 of 11",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialer(play(), c.location)
			if c.token != "" {
				d.Token = fixedToken(c.token)
			}
			conn, err := d.DialContext(boundedContext(t), c.network, c.address)
			if err == nil {
				conn.Close()
				t.Fatal("expected an error")
			}
			var unusable *socks.Unusable
			require.True(t, errors.As(err, &unusable) && unusable.Permanent() &&
				strings.Contains(err.Error(), c.expect), "expected a permanent error with %q, found %v", c.expect, err)
			require.True(t, !strings.Contains(err.Error(), "secret"), "expected no token in the error, found %v", err)
		})
	}
}

func TestUnexpectedPeers(t *testing.T) {
	for _, c := range []struct {
		name   string
		talk   talk
		expect string
	}{
		{name: "HTTP", talk: talk{{greeting, "HTTP/1.1 400 Bad Request\r\n\r\n"}}, expect: "probably HTTP"},
		{name: "SOCKS4", talk: talk{{greeting, "\x04\x5b"}}, expect: "found 04"},
		{
			name:   "logon of another version",
			talk:   talk{{greeting, methodAccepted}, {plainLogon, "\x05\x00"}},
			expect: "authentication: expected an answer that begins with 01, found 05",
		},
		{
			name:   "connect of another version",
			talk:   talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, "\x04\x5a"}},
			expect: "connect: expected an answer that begins with 05, found 04",
		},
		{
			name:   "address of another kind",
			talk:   talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, "\x05\x00\x00\x02"}},
			expect: "found 02",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newDialer(play(c.talk)).DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
			var unexpected *socks.Unexpected
			require.True(t, errors.As(err, &unexpected) && unexpected.Permanent() &&
				strings.Contains(err.Error(), c.expect), "expected a permanent error with %q, found %v", c.expect, err)
		})
	}
}

// The connection ends after each possible number of bytes from the proxy.
func TestTruncatedReplies(t *testing.T) {
	whole := talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, "\x05\x00\x00\x03\x02ab\x00\x01"}}
	for i, last := range whole {
		for n := range len(last.answer) {
			truncated := append(append(talk{}, whole[:i]...), exchange{last.expect, last.answer[:n]})
			p := &closingProxy{play(truncated)}
			_, err := newDialer(p).DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
			assert.True(t, err != nil && errors.Is(err, io.ErrUnexpectedEOF),
				"exchange %d, %d bytes: expected the end of the connection, found %v", i, n, err)
		}
	}
}

// closingProxy closes the connection at the end of a talk.
type closingProxy struct{ *playedProxy }

func (c *closingProxy) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		for _, t := range c.talks[0] {
			io.ReadFull(server, make([]byte, len(t.expect)))
			io.Copy(server, bytes.NewReader([]byte(t.answer)))
		}
	}()
	return client, nil
}

func TestTrace(t *testing.T) {
	p := play(talk{{greeting, methodAccepted}, {plainLogon, logonOK}, {exampleConnect, connected}})
	d := newDialer(p)
	var steps []socks.Step
	d.Trace = func(e socks.Event) {
		assert.True(t, e.Err == nil && e.Target == "kafka-broker-0:9093", "step %s: found %+v", e.Step, e)
		steps = append(steps, e.Step)
	}
	conn, err := d.DialContext(boundedContext(t), "tcp", "kafka-broker-0:9093")
	require.NoError(t, err)
	conn.Close()
	want := []socks.Step{socks.StepToken, socks.StepProxy, socks.StepGreeting, socks.StepAuthentication,
		socks.StepConnect}
	assert.Equal(t, want, steps)
}
