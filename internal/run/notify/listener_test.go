package notify

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
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

// freePorts returns ports on which nothing listens.
func freePorts(t *testing.T, n int) (numbers []int) {
	t.Helper()
	for range n {
		l := porttest.Listen(t)
		defer l.Close()
		numbers = append(numbers, l.Addr().(*net.TCPAddr).Port)
	}
	return numbers
}

// post sends a notification and returns the status.
func post(t *testing.T, port int, path, user, password, body string) int {
	t.Helper()
	request, err := http.NewRequest("POST", "http://127.0.0.1:"+strconv.Itoa(port)+path, strings.NewReader(body))
	require.NoError(t, err)
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	return response.StatusCode
}

// register registers a handler for a path of a new hub, on the port that it returns, until the test ends.
func register(t *testing.T, user, path string, handle Handler) (*Hub, int) {
	t.Helper()
	h := &Hub{}
	port, unregister, err := h.Register(path, settings(t, user), handle)
	require.NoError(t, err)
	t.Cleanup(unregister)
	return h, port
}

func settings(t *testing.T, user string) Settings {
	t.Helper()
	return Settings{Ports: freePorts(t, 1), Address: "127.0.0.1", User: user, Password: "secret"}
}

func respondWith(err error) Handler {
	return func(context.Context, wit.Notification) error { return err }
}

// Connectors with the same settings share a port; others use the next free one. The last connector closes it.
func TestPorts(t *testing.T) {
	h := &Hub{}
	ports := freePorts(t, 3)
	occupied, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])))
	require.NoError(t, err)
	defer occupied.Close()
	s := Settings{Ports: ports, Address: "127.0.0.1"}
	first, unregisterFirst, err := h.Register("/a/X", s, respondWith(nil))
	require.True(t, err == nil && first == ports[1], "expected port %d, found %d, %v", ports[1], first, err)
	second, unregisterSecond, err := h.Register("/b%20c/X", s, respondWith(nil))
	assert.True(t, err == nil && second == first, "expected port %d again, found %d, %v", first, second, err)
	_, _, err = h.Register("/a/X", s, respondWith(nil))
	assert.True(t, err != nil, "expected an error for a path that is registered twice")
	other := s
	other.Identity = "a store"
	third, unregisterThird, err := h.Register("/a/X", other, respondWith(nil))
	assert.True(t, err == nil && third == ports[2],
		"expected port %d for another store, found %d, %v", ports[2], third, err)
	other.Identity = "a third store"
	_, _, err = h.Register("/a/X", other, respondWith(nil))
	runtest.Fails(t, err, strconv.Itoa(ports[0]))
	assert.Equal(t, http.StatusNoContent, post(t, first, "/b%20c/X", "", "", "x"))
	unregisterFirst()
	unregisterFirst() // does nothing
	assert.Equal(t, http.StatusNotFound, post(t, first, "/a/X", "", "", "x"), "an unregistered path")
	unregisterSecond()
	unregisterThird()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first)))
	require.NoError(t, err) // the port is free again
	l.Close()
}

// A path that ends with a slash includes all unregistered paths below it.
func TestPathsBelow(t *testing.T) {
	h, port := register(t, "", "/a%2Fb/", respondWith(nil))
	s := Settings{Ports: []int{port}, Address: "127.0.0.1"}
	_, unregister, err := h.Register("/a%2Fb/own", s, respondWith(ErrBusy))
	require.NoError(t, err)
	defer unregister()
	for path, status := range map[string]int{
		"/a%2Fb/":        204,
		"/a%2fb/x":       204,
		"/a%2Fb/x/y?z=1": 204,
		"/%61%2Fb/x":     204,
		"/a%2Fb":         204,
		"/a%2Fb/own":     503,
		"/a/b/x":         404,
		"/a/b/own":       503,
		"/":              404,
		"//":             404,
		"/x":             404,
	} {
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
		"/taken":   {status: 204, outcome: "taken"},
		"/garbage": {err: &wit.Error{Kind: wit.ErrorData, Message: "no entry"}, status: 400, outcome: "garbage"},
		"/other":   {err: &wit.Error{Kind: wit.ErrorNotFound}, status: 404, outcome: "misdirected"},
		"/refused": {err: &wit.Error{Kind: wit.ErrorUnauthorized}, status: 401, outcome: "unauthorized"},
		"/later":   {err: ErrBusy, status: 503, outcome: "busy"},
		"/broken":  {err: errors.New("broken"), status: 500, outcome: "failed"},
	} {
		port, unregister, err := h.Register(path, s, respondWith(c.err))
		require.NoError(t, err)
		count := h.Counts()[c.outcome]
		assert.Equal(t, c.status, post(t, port, path, "sap", "secret", "x"), path)
		assert.Equal(t, count+1, h.Counts()[c.outcome], path)
		for _, user := range []*url.Userinfo{{}, url.UserPassword("sap", "wrong"),
			url.UserPassword("other", "secret")} {
			password, _ := user.Password()
			assert.Equal(t, 401, post(t, port, path, user.Username(), password, "x"), user)
		}
		unregister()
	}
	panics := func(context.Context, wit.Notification) error { panic("a mistake") }
	_, port := register(t, "sap", "/panics", panics)
	assert.Equal(t, 500, post(t, port, "/panics", "sap", "secret", "x"))
}

// A handler sees no credentials, and the number of waiting senders is bounded.
func TestBounds(t *testing.T) {
	received := make(chan wit.Notification, maxConcurrent)
	release := make(chan struct{})
	_, port := register(t, "sap", "/held", func(_ context.Context, n wit.Notification) error {
		received <- n
		<-release
		return nil
	})
	done := make(chan int, maxConcurrent)
	for range maxConcurrent {
		go func() { done <- post(t, port, "/held?x=1", "sap", "secret", "body") }()
	}
	for range maxConcurrent {
		n := <-received
		for _, header := range n.Headers {
			assert.True(t, header.Name != "Authorization", "expected no password for the handler")
		}
		assert.True(t, n.Target == "/held?x=1" && string(n.Body) == "body" && n.Method == "POST",
			"expected POST /held?x=1 with a body, found %+v", n)
	}
	assert.Equal(t, 503, post(t, port, "/held", "sap", "secret", "x"), "a request without free space")
	close(release)
	for range maxConcurrent {
		assert.Equal(t, 204, <-done, "a waiting request")
	}
}

// A body or headers that are too large get their status, and do not reach the handler.
func TestLargeNotifications(t *testing.T) {
	received := 0
	_, port := register(t, "", "/large", func(context.Context, wit.Notification) error { received++; return nil })
	status := post(t, port, "/large", "", "", strings.Repeat("x", maxBody+1))
	assert.Equal(t, http.StatusRequestEntityTooLarge, status, "a body that is too large")
	status = post(t, port, "/large", "u", strings.Repeat("x", maxHeaders+8192), "x")
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status, "headers that are too large")
	assert.Equal(t, http.StatusNoContent, post(t, port, "/large", "", "", strings.Repeat("x", maxBody)))
	assert.Equal(t, 1, received, "notifications")
}

// The total size of all bodies is limited, including those of waiting senders. Announced bytes that were not sent do
// not count.
func TestBodiesTogetherAreBounded(t *testing.T) {
	var bytesHandled atomic.Int64
	received := make(chan int64, maxConcurrent)
	release := make(chan struct{})
	h, port := register(t, "", "/held", func(_ context.Context, n wit.Notification) error {
		received <- bytesHandled.Add(int64(len(n.Body)))
		<-release
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
	busyCount := 0
	for busyCount < senders-maxTotalBodies/maxBody { // the remaining senders use all of the space, or less
		select {
		case status := <-done:
			assert.Equal(t, http.StatusServiceUnavailable, status, "beyond the limit")
			busyCount++
		case <-time.After(30 * time.Second):
			t.Fatalf("expected 503 beyond %d bytes, found %d bytes in memory", maxTotalBodies, bytesHandled.Load())
		}
	}
	if size := bytesHandled.Load(); size > maxTotalBodies {
		t.Errorf("expected bodies of at most %d bytes together, found %d", maxTotalBodies, size)
	}
	assert.AtMost(t, maxTotalBodies, h.bodies.InUse(), "bytes in memory")
	close(release)
	for range senders - busyCount {
		if status := <-done; status != http.StatusNoContent && status != http.StatusServiceUnavailable {
			t.Errorf("expected 204 or 503, found %d", status)
		}
	}
	assert.Equal(t, http.StatusNoContent, post(t, port, "/held", "", "", body), "a request after space was freed")
}
