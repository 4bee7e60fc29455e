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

// talk is a list of messages, starting with the client's.
type talk []turn

type turn struct{ expect, answer string }

// played is a proxy that plays talks, one per connection. received reports unexpected bytes.
type played struct {
	talks    []talk
	received chan string
	// after is written after the last reply, in the same write if whole is set.
	after string
	// piece is the number of bytes per write. Zero means all.
	piece int
}

func (p *played) DialContext(context.Context, string, string) (net.Conn, error) {
	if len(p.talks) == 0 {
		return nil, errors.New("nobody expected another connection")
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
				answer += p.after
			}
			for answer != "" {
				size := len(answer)
				if p.piece > 0 {
					size = min(size, p.piece)
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

func play(talks ...talk) *played { return &played{talks: talks, received: make(chan string, 16)} }

func always(token string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return token, nil }
}

func dialer(forward proxy.ContextDialer, locations ...string) *socks.Dialer {
	return &socks.Dialer{Address: "proxy.example:20004", Token: always("eyJh.eyJz.c2ln"), Locations: locations,
		Forward: forward}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

const (
	greeting   = "\x05\x01\x80"
	taken      = "\x05\x80"
	plainLogon = "\x01\x00\x00\x00\x0eeyJh.eyJz.c2ln\x00"
	logonOK    = "\x01\x00"
	connected  = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	// The reference's worked example.
	exampleLogon   = "\x01\x00\x00\x00\x0e\x65\x79\x4a\x68\x2e\x65\x79\x4a\x7a\x2e\x63\x32\x6c\x6e\x0c\x52\x45\x55\x74\x51\x6d\x56\x79\x62\x47\x6c\x75"
	exampleConnect = "\x05\x01\x00\x03\x0e\x6b\x61\x66\x6b\x61\x2d\x62\x72\x6f\x6b\x65\x72\x2d\x30\x23\x85"
)

func TestBytes(t *testing.T) {
	name255 := strings.Repeat("a", 255)
	location189 := strings.Repeat("l", 189)
	location189Logon := plainLogon[:len(plainLogon)-1] + "\xfc" + base64.StdEncoding.EncodeToString([]byte(location189))
	for _, c := range []struct {
		name     string
		location string
		address  string
		logon    string
		connect  string
		reply    string
	}{
		{"worked example", "DE-Berlin", "kafka-broker-0:9093", exampleLogon, exampleConnect, connected},
		{"worked example without location", "", "kafka-broker-0:9093", plainLogon, exampleConnect, connected},
		{"location id with padding", "EU", "kafka-broker-0:9093", plainLogon[:len(plainLogon)-1] + "\x04RVU=",
			exampleConnect, connected},
		{"location id with the letters of the standard alphabet", "\u07ff>\u07ff?", "kafka-broker-0:9093",
			plainLogon[:len(plainLogon)-1] + "\x08378+378/", exampleConnect, connected},
		{"longest location id", location189, "kafka-broker-0:9093", location189Logon, exampleConnect, connected},
		{"IPv4 address", "", "10.1.2.255:443", plainLogon, "\x05\x01\x00\x01\x0a\x01\x02\xff\x01\xbb", connected},
		{"not quite an IPv4 address", "", "10.1.2.256:443", plainLogon, "\x05\x01\x00\x03\x0a10.1.2.256\x01\xbb",
			connected},
		{"longest name, last port", "", name255 + ":65535", plainLogon, "\x05\x01\x00\x03\xff" + name255 + "\xff\xff",
			connected},
		{"name in UTF-8", "", "k\u00e4fig:1", plainLogon, "\x05\x01\x00\x03\x06k\xc3\xa4fig\x00\x01", connected},
		{"reply with a name", "", "kafka-broker-0:9093", plainLogon, exampleConnect,
			"\x05\x00\x00\x03\x05scc-1\x12\x34"},
		{"reply with an empty name", "", "kafka-broker-0:9093", plainLogon, exampleConnect,
			"\x05\x00\x00\x03\x00\x12\x34"},
		{"reply with the longest name", "", "kafka-broker-0:9093", plainLogon, exampleConnect, "\x05\x00\x00\x03\xff" +
			name255 + "\x12\x34"},
		{"reply with an IPv6 address", "", "kafka-broker-0:9093", plainLogon, exampleConnect, "\x05\x00\x00\x04" +
			strings.Repeat("\xfe", 16) + "\x12\x34"},
	} {
		for _, piece := range []int{0, 1, 3} {
			t.Run(c.name, func(t *testing.T) {
				p := play(talk{{greeting, taken}, {c.logon, logonOK}, {c.connect, c.reply}})
				p.piece = piece
				p.after = "the stream's own"
				conn, err := dialer(p, c.location).DialContext(bounded(t), "tcp", c.address)
				if err != nil {
					t.Fatalf("%v; the proxy received %x", err, <-p.received)
				}
				defer conn.Close()
				got := make([]byte, len(p.after))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != p.after {
					t.Fatalf("expected the stream's bytes after the reply, found %q, %v", got, err)
				}
				if _, err := conn.Write([]byte("x")); err != nil {
					t.Fatalf("expected a connection without a deadline: %v", err)
				}
			})
		}
	}
}

func TestInvalidDialArguments(t *testing.T) {
	for _, c := range []struct{ name, network, address, location, token, expect string }{
		{"IPv6", "tcp", "[fe80::1]:9092", "", "", "IPv6"},
		{"IPv4 in IPv6", "tcp", "[::ffff:10.0.0.1]:9092", "", "", "IPv6"},
		{"tcp6", "tcp6", "kafka:9092", "", "", `"tcp6"`},
		{"udp", "udp", "kafka:9092", "", "", `"udp"`},
		{"no port", "tcp", "kafka", "", "", `"kafka"`},
		{"port 0", "tcp", "kafka:0", "", "", `"kafka:0"`},
		{"port 65536", "tcp", "kafka:65536", "", "", `"kafka:65536"`},
		{"service name", "tcp", "kafka:http", "", "", `"kafka:http"`},
		{"no name", "tcp", ":9092", "", "", "0 bytes"},
		{"long name", "tcp", strings.Repeat("a", 256) + ":9092", "", "", "256 bytes"},
		{"long location id", "tcp", "kafka:9092", strings.Repeat("l", 190), "", "190 bytes"},
		{"empty token", "tcp", "kafka:9092", "", " ", "byte 20"},
		{"token with a line break", "tcp", "kafka:9092", "", "eyJsecret.\n", "byte 0a at 10 of 11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dialer(play(), c.location)
			if c.token != "" {
				d.Token = always(c.token)
			}
			conn, err := d.DialContext(bounded(t), c.network, c.address)
			if err == nil {
				conn.Close()
				t.Fatal("expected an error")
			}
			var unusable *socks.Unusable
			if !errors.As(err, &unusable) || !unusable.Permanent() || !strings.Contains(err.Error(), c.expect) {
				t.Fatalf("expected a permanent error with %q, found %v", c.expect, err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Fatalf("expected no token in the error, found %v", err)
			}
		})
	}
}

func TestUnexpectedPeers(t *testing.T) {
	for _, c := range []struct {
		name   string
		talk   talk
		expect string
	}{
		{"HTTP", talk{{greeting, "HTTP/1.1 400 Bad Request\r\n\r\n"}}, "probably HTTP"},
		{"SOCKS4", talk{{greeting, "\x04\x5b"}}, "found 04"},
		{"logon of another version", talk{{greeting, taken}, {plainLogon, "\x05\x00"}},
			"authentication: expected an answer that begins with 01, found 05"},
		{"connect of another version", talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, "\x04\x5a"}},
			"connect: expected an answer that begins with 05, found 04"},
		{"address of another kind", talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect,
			"\x05\x00\x00\x02"}}, "found 02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dialer(play(c.talk)).DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
			var unexpected *socks.Unexpected
			if !errors.As(err, &unexpected) || !unexpected.Permanent() || !strings.Contains(err.Error(), c.expect) {
				t.Fatalf("expected a permanent error with %q, found %v", c.expect, err)
			}
		})
	}
}

// The connection ends after each possible number of bytes from the proxy.
func TestTruncatedReplies(t *testing.T) {
	whole := talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, "\x05\x00\x00\x03\x02ab\x00\x01"}}
	for i, last := range whole {
		for n := range len(last.answer) {
			cut := append(append(talk{}, whole[:i]...), turn{last.expect, last.answer[:n]})
			p := &closing{play(cut)}
			_, err := dialer(p).DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
			if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("exchange %d, %d bytes: expected the end of the connection, found %v", i, n, err)
			}
		}
	}
}

// closing closes the connection at the end of a talk.
type closing struct{ *played }

func (c *closing) DialContext(context.Context, string, string) (net.Conn, error) {
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
	p := play(talk{{greeting, taken}, {plainLogon, logonOK}, {exampleConnect, connected}})
	d := dialer(p)
	var steps []socks.Step
	d.Trace = func(e socks.Event) {
		if e.Err != nil || e.Target != "kafka-broker-0:9093" {
			t.Errorf("step %s: found %+v", e.Step, e)
		}
		steps = append(steps, e.Step)
	}
	conn, err := d.DialContext(bounded(t), "tcp", "kafka-broker-0:9093")
	require.NoError(t, err)
	conn.Close()
	want := []socks.Step{socks.StepToken, socks.StepProxy, socks.StepGreeting, socks.StepAuthentication,
		socks.StepConnect}
	assert.Equal(t, want, steps)
}
