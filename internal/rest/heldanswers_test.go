package rest

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// largeWorker returns a worker with a number of connectors. Each name, and each value of a setting, has 1 MiB.
func largeWorker(connectors int) *standIn {
	s := &standIn{connectors: map[string]*standInConnector{}}
	for n := range connectors {
		text := strings.Repeat("x", 1<<20)
		s.connectors[fmt.Sprint(n, text)] = &standInConnector{config: map[string]string{"a": text}}
	}
	return s
}

// dial starts a server with pipes as connections, and returns a function that sends a request to it.
func dial(t *testing.T, worker testWorker) func(path string) net.Conn {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := newServer(Options{}, slog.New(slog.DiscardHandler))
	s.listeners = []listener{{Listener: l}}
	s.Serve(worker.worker())
	t.Cleanup(func() { s.Close() })
	return func(path string) net.Conn {
		client, server := net.Pipe()
		t.Cleanup(func() { client.Close() })
		l.conns <- server
		_, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		return client
	}
}

func readAnswer(t *testing.T, c net.Conn) (*http.Response, string) {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(body)
}

// Clients that do not read large responses hold a bounded number of bytes, and only until they are disconnected. Small
// responses are always sent.
func TestUnreadResponsesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request := dial(t, largeWorker(20))
		for range maxHeldAnswers / (20 << 20) {
			request("/connectors")
		}
		synctest.Wait()
		answer, text := readAnswer(t, request("/connectors"))
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		assert.Equal(t, "10", answer.Header.Get("Retry-After"))
		assert.Contains(t, text, "responses that other clients have not read yet use all memory for responses")
		answer, _ = readAnswer(t, request("/"))
		assert.Equal(t, http.StatusOK, answer.StatusCode)
		time.Sleep(pieceTimeout)
		synctest.Wait()
		answer, text = readAnswer(t, request("/connectors"))
		assert.Equal(t, http.StatusOK, answer.StatusCode)
		assert.AtLeast(t, 20<<20, len(text), "the whole response: bytes")
	})
}

// A client may read slowly, but not longer than a response may take.
func TestSlowReaderIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, largeWorker(20))("/connectors")
		start := time.Now()
		piece := make([]byte, smallAnswer)
		for {
			time.Sleep(pieceTimeout / 3)
			if _, err := io.ReadFull(c, piece); err != nil {
				break
			}
		}
		if elapsed := time.Since(start); elapsed < answerTimeout || elapsed > answerTimeout+pieceTimeout {
			t.Errorf("expected the connection to be closed after %v, found %v", answerTimeout, elapsed)
		}
	})
}

// A single response is bounded, too. The result of a change is counted, and never refused.
func TestLargeResponses(t *testing.T) {
	var h heldAnswers
	release, err := h.hold(maxHeldAnswers, false)
	require.NoError(t, err)
	_, err = h.hold(smallAnswer+1, false)
	assert.Error(t, err, "responses that other clients have not read yet")
	_, err = h.hold(smallAnswer, false)
	require.NoError(t, err)
	releaseChange, err := h.hold(smallAnswer+1, true)
	require.NoError(t, err)
	release()
	_, err = h.hold(maxHeldAnswers-smallAnswer, false)
	assert.Error(t, err, "responses that other clients have not read yet")
	releaseChange()
	_, err = h.hold(maxHeldAnswers+1, false)
	assert.Error(t, err, "the response would have more than 64 MiB: request less, such as a single connector")
	assert.Equal(t, int64(0), h.bytes.InUse())
}

// All connectors with their configurations are a response of at most 64 MiB.
func TestExpandedConnectorsAreBounded(t *testing.T) {
	for connectors, want := range map[int]int{maxHeldAnswers/(2<<20) - 1: 200, maxHeldAnswers/(2<<20) + 1: 500} {
		answer := serveRequest(largeWorker(connectors), "GET", "/connectors?expand=info", "")
		assert.Equal(t, want, answer.Code)
	}
}
