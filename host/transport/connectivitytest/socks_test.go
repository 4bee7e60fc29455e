package connectivitytest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
)

// The clients here are written by hand after the reference: the double must not be right only together with Culvert's
// client.

func start(t *testing.T) *connectivitytest.Server {
	t.Helper()
	s := connectivitytest.NewServer()
	t.Cleanup(s.Close)
	return s
}

// echo is a system that greets, if it has a greeting, and then answers every byte with itself.
func echo(t *testing.T, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.WriteString(conn, greeting)
				io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func connect(t *testing.T, s *connectivitytest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.SOCKS5)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	return conn
}

// say sends bytes in hex and expects bytes in hex; an answer of "end" is the end of the connection.
func say(t *testing.T, conn net.Conn, send, expect string) {
	t.Helper()
	sent, err := hex.DecodeString(strings.ReplaceAll(send, " ", ""))
	require.NoError(t, err)
	_, err = conn.Write(sent)
	require.NoError(t, err)
	if expect == "end" {
		if b, err := io.ReadAll(conn); len(b) > 0 || err != nil && !errors.Is(err, io.EOF) &&
			!strings.Contains(err.Error(), "reset") {
			t.Fatalf("expected the end of the connection, found % x, %v", b, err)
		}
		return
	}
	want, _ := hex.DecodeString(strings.ReplaceAll(expect, " ", ""))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("% x: expected % x, found % x, %v", sent, want, got[:n], err)
	}
}

func hexLogon(token, location string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(location))
	return hex.EncodeToString([]byte{1, 0, 0, byte(len(token) >> 8), byte(len(token))}) +
		hex.EncodeToString([]byte(token)) +
		hex.EncodeToString([]byte{byte(len(encoded))}) + hex.EncodeToString([]byte(encoded))
}

const (
	greet   = "05 01 80"
	taken   = "05 80"
	example = "05 01 00 03 0e 6b 61 66 6b 61 2d 62 72 6f 6b 65 72 2d 30 23 85"
	good    = "05 00 00 01 00 00 00 00 00 00"
)

// TestWorkedExample is the reference's, with a token that is good.
func TestWorkedExample(t *testing.T) {
	s := start(t)
	s.Attach("DE-Berlin")
	s.MapAt("DE-Berlin", "kafka-broker-0:9093", echo(t, ""))
	for _, fragment := range []bool{false, true} {
		s.Fragment(fragment)
		conn := connect(t, s)
		say(t, conn, greet, taken)
		token := s.Issue(s.Connectivity)
		logon := hexLogon(token, "DE-Berlin")
		if !strings.HasSuffix(logon, hex.EncodeToString([]byte("\x0cREUtQmVybGlu"))) || !strings.HasPrefix(token,
			"eyJ") {
			t.Fatalf("the test is wrong: %s", logon)
		}
		say(t, conn, logon, "01 00")
		say(t, conn, example, good)
		say(t, conn, "616263", "616263")
		conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	over := func(e connectivitytest.Entry) bool {
		return e.Target == "kafka-broker-0:9093" && e.Location == "DE-Berlin" && e.Kind == 3 && e.Code == 0 &&
			e.Sent == 3 && e.Received == 3 && len(e.Token) > 8 && !e.Ended.IsZero()
	}
	if err := s.Wait(ctx, 2, over); err != nil {
		t.Fatalf("%v: %+v", err, s.Ledger())
	}
}

func TestWhatTheProxyRefuses(t *testing.T) {
	s := start(t)
	s.Map("kafka-broker-0:9093", echo(t, ""))
	s.Map("10.0.0.1:443", echo(t, ""))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	s.Map("dead:1", closed.Addr().String())
	token := s.Issue(s.Connectivity)
	ok := hexLogon(token, "")
	for _, c := range []struct {
		name  string
		talks []string // sent, expected, sent, expected ...
	}{
		{"good", []string{greet, taken, ok, "01 00", example, good}},
		{"IPv4", []string{greet, taken, ok, "01 00", "05 01 00 01 0a 00 00 01 01 bb", good}},
		{"several methods", []string{"05 03 00 02 80", taken, ok, "01 00", example, good}},
		{"no method 80", []string{"05 02 00 02", "05 ff", "", "end"}},
		{"no method", []string{"05 00", "05 ff", "", "end"}},
		{"SOCKS4", []string{"04 01", "end"}},
		{"unknown token", []string{greet, taken, hexLogon("eyJh.eyJz.c2ln", ""), "01 01", "", "end"}},
		{"token of another client", []string{greet, taken, hexLogon(s.Issue(s.Destination), ""), "01 01", "", "end"}},
		{"logon of another version", []string{greet, taken, "02 00 00 00 01", "end"}},
		{"length in little endian", []string{greet, taken, "01 10 02 00 00", "end"}},
		{"location id in plain text", []string{greet, taken, ok[:len(ok)-2] +
			hex.EncodeToString([]byte("\x09DE-Berlin")), "01 01", "", "end"}},
		{"location id without padding", []string{greet, taken, ok[:len(ok)-2] + hex.EncodeToString([]byte("\x03RVU")),
			"01 01", "", "end"}},
		{"no such location", []string{greet, taken, hexLogon(token, "EU"), "01 00", example,
			"05 03 00 01 00 00 00 00 00 00", "", "end"}},
		{"not exposed", []string{greet, taken, ok, "01 00", "05 01 00 03 01 78 00 01", "05 02 00 01 00 00 00 00 00 00",
			"", "end"}},
		{"nobody there", []string{greet, taken, ok, "01 00", "05 01 00 03 04 64656164 00 01",
			"05 04 00 01 00 00 00 00 00 00", "", "end"}},
		{"BIND", []string{greet, taken, ok, "01 00", "05 02 00 03 01 78 00 01", "05 07 00 01 00 00 00 00 00 00", "",
			"end"}},
		{"IPv6", []string{greet, taken, ok, "01 00", "05 01 00 04 00000000000000000000000000000001 00 01",
			"05 08 00 01 00 00 00 00 00 00", "", "end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(t, s)
			for i := 0; i < len(c.talks); i += 2 {
				say(t, conn, c.talks[i], c.talks[i+1])
			}
		})
	}
}

func TestFaults(t *testing.T) {
	s := start(t)
	s.Map("kafka-broker-0:9093", echo(t, "hello"))
	token := s.Issue(s.Connectivity)
	logon := hexLogon(token, "")
	upTo := func(n int, last string) {
		t.Helper()
		conn := connect(t, s)
		turns := [][2]string{{greet, taken}, {logon, "01 00"}, {example, good}}
		for _, turn := range turns[:n] {
			say(t, conn, turn[0], turn[1])
		}
		say(t, conn, turns[n][0], last)
	}
	for rep := range 9 {
		if rep == 0 {
			continue
		}
		s.Answer(byte(rep), 1)
		upTo(2, hex.EncodeToString([]byte{5, byte(rep), 0, 1, 0, 0, 0, 0, 0, 0}))
	}
	upTo(2, good+hex.EncodeToString([]byte("hello")))
	clear := s.Refuse(0x7f, 0)
	upTo(1, "01 7f")
	upTo(1, "01 7f")
	clear()
	upTo(1, "01 00")
	s.CloseAt(connectivitytest.Connect, 3, 2)
	upTo(2, "05 00 00")
	upTo(2, "05 00 00")
	upTo(2, good)
	s.CloseAt(connectivitytest.Accept, 0, 1)
	conn := connect(t, s)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("expected the end of the connection")
	}
	s.RefuseByReply(true)
	s.ExpireTokens()
	upTo(2, "05 05 00 01 00 00 00 00 00 00")
	s.RefuseByReply(false)
	upTo(1, "01 01")

	token = s.Issue(s.Connectivity)
	logon = hexLogon(token, "")
	s.Coalesce(true)
	conn = connect(t, s)
	say(t, conn, greet, taken)
	say(t, conn, logon, "01 00")
	b, _ := hex.DecodeString(strings.ReplaceAll(example, " ", ""))
	conn.Write(b)
	got := make([]byte, 100)
	if n, err := conn.Read(got); err != nil || n != 15 {
		t.Fatalf("expected answer and greeting in one piece, found %d bytes, %v", n, err)
	}
	s.Coalesce(false)

	clear = s.Stall(connectivitytest.Greeting, 1)
	conn = connect(t, s)
	say(t, conn, greet, "05")
	clear()
	say(t, conn, "", "end")
}

func TestDropAndDetach(t *testing.T) {
	s := start(t)
	s.Attach("EU")
	s.Map("kafka-broker-0:9093", echo(t, ""))
	s.Record(true)
	tunnel := func(location string) net.Conn {
		conn := connect(t, s)
		say(t, conn, greet, taken)
		say(t, conn, hexLogon(s.Issue(s.Connectivity), location), "01 00")
		say(t, conn, example, good)
		say(t, conn, "7761746572", "7761746572")
		return conn
	}
	a, b := tunnel(""), tunnel("EU")
	assert.Equal(t, 2, s.Tunnels(), "tunnels")
	s.Detach("EU")
	say(t, b, "", "end")
	say(t, a, "61", "61")
	assert.Equal(t, 1, s.DropTunnels(), "tunnels")
	say(t, a, "", "end")
	assert.Equal(t, 4, bytes.Count(s.Recorded(), []byte("water")), "times that it passed")
}
