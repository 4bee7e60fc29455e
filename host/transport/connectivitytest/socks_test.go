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
