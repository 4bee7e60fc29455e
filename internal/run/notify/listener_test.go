package notify

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

func ports(t *testing.T, n int) (list []int) {
	t.Helper()
	for range n {
		l := porttest.Listen(t)
		defer l.Close()
		list = append(list, l.Addr().(*net.TCPAddr).Port)
	}
	return list
}

func post(t *testing.T, port int, path, user, password, body string) int {
	t.Helper()
	q, err := http.NewRequest("POST", "http://127.0.0.1:"+strconv.Itoa(port)+path, strings.NewReader(body))
	require.NoError(t, err)
	if user != "" {
		q.SetBasicAuth(user, password)
	}
	answer, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	answer.Body.Close()
	return answer.StatusCode
}

func registered(t *testing.T, user, path string, handle Handler) (*Hub, int) {
	t.Helper()
	h := &Hub{}
	port, leave, err := h.Register(path, settings(t, user), handle)
	require.NoError(t, err)
	t.Cleanup(leave)
	return h, port
}

func settings(t *testing.T, user string) Settings {
	t.Helper()
	return Settings{Ports: ports(t, 1), Address: "127.0.0.1", User: user, Password: "secret"}
}

func answers(err error) Handler {
	return func(context.Context, wit.Notification) error { return err }
}

// Connectors with the same settings share a port; others use the next free one. The last connector closes it.
func TestPorts(t *testing.T) {
	h := &Hub{}
	three := ports(t, 3)
	taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(three[0])))
	require.NoError(t, err)
	defer taken.Close()
	s := Settings{Ports: three, Address: "127.0.0.1"}
	first, leave, err := h.Register("/a/X", s, answers(nil))
	if err != nil || first != three[1] {
		t.Fatalf("expected port %d, found %d, %v", three[1], first, err)
	}
	second, leaveToo, err := h.Register("/b%20c/X", s, answers(nil))
	if err != nil || second != first {
		t.Errorf("expected port %d again, found %d, %v", first, second, err)
	}
	if _, _, err := h.Register("/a/X", s, answers(nil)); err == nil {
		t.Error("one path was registered twice")
	}
	other := s
	other.Identity = "a store"
	third, leaveThird, err := h.Register("/a/X", other, answers(nil))
	if err != nil || third != three[2] {
		t.Errorf("expected port %d for another store, found %d, %v", three[2], third, err)
	}
	other.Identity = "a third store"
	_, _, err = h.Register("/a/X", other, answers(nil))
	runtest.Fails(t, err, strconv.Itoa(three[0]))
	assert.Equal(t, http.StatusNoContent, post(t, first, "/b%20c/X", "", "", "x"))
	leave()
	leave()
	assert.Equal(t, http.StatusNotFound, post(t, first, "/a/X", "", "", "x"), "a sender that has left")
	leaveToo()
	leaveThird()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first)))
	require.NoError(t, err) // the port is free again
	l.Close()
}

func TestPathsBelow(t *testing.T) {
	h, port := registered(t, "", "/a%2Fb/", answers(nil))
	s := Settings{Ports: []int{port}, Address: "127.0.0.1"}
	_, leave, err := h.Register("/a%2Fb/own", s, answers(ErrBusy))
	require.NoError(t, err)
	defer leave()
	for path, status := range map[string]int{"/a%2Fb/": 204, "/a%2fb/x": 204, "/a%2Fb/x/y?z=1": 204, "/%61%2Fb/x": 204,
		"/a%2Fb": 204, "/a%2Fb/own": 503, "/a/b/x": 404, "/a/b/own": 503, "/": 404, "//": 404, "/x": 404} {
		assert.Equal(t, status, post(t, port, path, "", "", "x"), path)
	}
}

// The result of a notification determines the status and the counter.
func TestAnswers(t *testing.T) {
	h := &Hub{}
	s := settings(t, "sap")
	for path, c := range map[string]struct {
		err     error
		status  int
		outcome string
	}{
		"/taken":   {nil, 204, "taken"},
		"/garbage": {&wit.Error{Kind: wit.ErrorData, Message: "no entry"}, 400, "garbage"},
		"/other":   {&wit.Error{Kind: wit.ErrorNotFound}, 404, "misdirected"},
		"/refused": {&wit.Error{Kind: wit.ErrorUnauthorized}, 401, "unauthorized"},
		"/later":   {ErrBusy, 503, "busy"},
		"/broken":  {errors.New("broken"), 500, "failed"},
	} {
		port, leave, err := h.Register(path, s, answers(c.err))
		require.NoError(t, err)
		before := h.Counts()[c.outcome]
		assert.Equal(t, c.status, post(t, port, path, "sap", "secret", "x"), path)
		assert.Equal(t, before+1, h.Counts()[c.outcome], path)
		for _, wrong := range [][2]string{{"", ""}, {"sap", "wrong"}, {"other", "secret"}} {
			assert.Equal(t, 401, post(t, port, path, wrong[0], wrong[1], "x"), wrong)
		}
		leave()
	}
	panics := func(context.Context, wit.Notification) error { panic("a mistake") }
	_, port := registered(t, "sap", "/panics", panics)
	assert.Equal(t, 500, post(t, port, "/panics", "sap", "secret", "x"))
}

// A handler sees no credentials, and the number of waiting senders is bounded.
func TestBounds(t *testing.T) {
	received := make(chan wit.Notification, maxConcurrent)
	goOn := make(chan struct{})
	_, port := registered(t, "sap", "/held", func(_ context.Context, n wit.Notification) error {
		received <- n
		<-goOn
		return nil
	})
	done := make(chan int, maxConcurrent)
	for range maxConcurrent {
		go func() { done <- post(t, port, "/held?x=1", "sap", "secret", "body") }()
	}
	for range maxConcurrent {
		n := <-received
		for _, header := range n.Headers {
			if header.Name == "Authorization" {
				t.Error("the handler received the password")
			}
		}
		if n.Target != "/held?x=1" || string(n.Body) != "body" || n.Method != "POST" {
			t.Errorf("found %+v", n)
		}
	}
	assert.Equal(t, 503, post(t, port, "/held", "sap", "secret", "x"), "a request without free space")
	close(goOn)
	for range maxConcurrent {
		assert.Equal(t, 204, <-done, "a waiting request")
	}
}

func TestLargeNotifications(t *testing.T) {
	received := 0
	_, port := registered(t, "", "/large", func(context.Context, wit.Notification) error { received++; return nil })
	if status := post(t, port, "/large", "", "", strings.Repeat("x",
		maxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body that is too large: found %d", status)
	}
	if status := post(t, port, "/large", "u", strings.Repeat("x", maxHeaders+8192),
		"x"); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers that are too large: found %d", status)
	}
	assert.Equal(t, http.StatusNoContent, post(t, port, "/large", "", "", strings.Repeat("x", maxBody)))
	assert.Equal(t, 1, received, "notifications")
}

// The total size of all bodies is limited, including those of waiting senders. Announced bytes that were not sent do
// not count.
func TestBodiesTogetherAreBounded(t *testing.T) {
	var under atomic.Int64
	received := make(chan int64, maxConcurrent)
	goOn := make(chan struct{})
	h, port := registered(t, "", "/held", func(_ context.Context, n wit.Notification) error {
		received <- under.Add(int64(len(n.Body)))
		<-goOn
		return nil
	})
	for range 100 {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n\r\nx")
		require.NoError(t, err)
	}
	const senders = maxConcurrent - 100
	body := strings.Repeat("x", maxBody)
	done := make(chan int, senders)
	for range senders {
		go func() { done <- post(t, port, "/held", "", "", body) }()
	}
	assert.Equal(t, maxBody, <-received, "bytes of the first body")
	again := 0
	for again < senders-maxTotalBodies/maxBody { // the remaining senders use all of the space, or less
		select {
		case status := <-done:
			assert.Equal(t, http.StatusServiceUnavailable, status, "beyond the limit")
			again++
		case <-time.After(30 * time.Second):
			t.Fatalf("expected 503 beyond %d bytes, found %d bytes in memory", maxTotalBodies, under.Load())
		}
	}
	if held := under.Load(); held > maxTotalBodies {
		t.Errorf("expected bodies of at most %d bytes together, found %d", maxTotalBodies, held)
	}
	if held := h.bodies.InUse(); held > maxTotalBodies {
		t.Errorf("expected at most %d bytes in memory, found %d", maxTotalBodies, held)
	}
	close(goOn)
	for range senders - again {
		if status := <-done; status != http.StatusNoContent && status != http.StatusServiceUnavailable {
			t.Errorf("expected 204 or 503, found %d", status)
		}
	}
	assert.Equal(t, http.StatusNoContent, post(t, port, "/held", "", "", body), "a request after space was freed")
}
