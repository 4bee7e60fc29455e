package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// setShortTimeout configures a client that waits 30 s for bytes, and repeats no request.
func setShortTimeout(c *Config) {
	setRetries(0)(c)
	c.ReadTimeout = 30 * time.Second
}

// A request fails once nothing was received for the read timeout.
func TestServerThatStaysSilentIsGivenUp(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(40 * time.Second) }, setShortTimeout,
		func(t *testing.T, c *Client) {
			began := time.Now()
			wantFaultOf(t, c, get("/"), wit.ErrorTransient, "nothing was received for 30s")
			assert.Equal(t, 30*time.Second, time.Since(began), "time until the error")
			time.Sleep(time.Minute) // until the handler has returned
		})
}

// A request may have a longer timeout of its own for the first byte.
func TestPatientRequestWaitsForFirstByte(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Hour) }, setShortTimeout,
		func(t *testing.T, c *Client) {
			r := get("/")
			r.FirstByteTimeoutMs = wit.Ptr(uint32(7_200_000))
			wantStatus(t, c, r, 200)
		})
}

// The read timeout bounds each wait for bytes, not the whole response.
func TestLongResponseThatKeepsComingIsRead(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			time.Sleep(29 * time.Second)
		}
	}, setShortTimeout, func(t *testing.T, c *Client) {
		_, body, err := readText(t, c, get("/"))
		assert.True(t, body == "xxxxxxxxxx" && err == nil, "expected ten bytes, found %q, %v", body, err)
	})
}

// The read timeout applies within a body, too.
func TestServerThatFallsSilentInABodyIsGivenUp(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Minute)
	}, setShortTimeout, func(t *testing.T, c *Client) {
		_, body, err := readText(t, c, get("/page"))
		wantFault(t, err, wit.ErrorTransient,
			"GET /page: the response ended early, after 3 bytes: nothing was received for 30s")
		assert.Equal(t, "abc", body)
		time.Sleep(time.Minute) // until the handler has returned
	})
}

// A caller may pause while it reads a body: only waits for the service count.
func TestSlowReaderIsNotSilence(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		http.NewResponseController(w).Flush()
		io.WriteString(w, "def")
	}, setShortTimeout, func(t *testing.T, c *Client) {
		a, err := c.Do(t.Context(), get("/"))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		body, err := io.ReadAll(a.Body)
		assert.True(t, string(body) == "abcdef" && err == nil, "expected abcdef, found %q, %v", body, err)
	})
}

// The timeout begins again whenever the service reads a part of the upload.
func TestSlowUploadIsNotSilence(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		for part := make([]byte, 100_000); ; {
			time.Sleep(5 * time.Second)
			if _, err := io.ReadFull(r.Body, part); err != nil {
				return
			}
		}
	}, setShortTimeout, func(t *testing.T, c *Client) {
		r := post("/")
		r.Body = bytes.Repeat([]byte("x"), 2_000_000)
		wantStatus(t, c, r, 200)
		assert.Equal(t, int64(2_000_000), c.Counters().BytesSent, "bytes sent")
	})
}

// The error of an unanswered request that must not be repeated reports that it may have arrived.
func TestUnansweredPOSTMayHaveArrived(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(40 * time.Second) }, setShortTimeout,
		func(t *testing.T, c *Client) {
			_, _, err := readText(t, c, post("/orders"))
			_, isNoResponse := errors.AsType[*NoResponseError](err)
			const want = "POST /orders may have arrived, but there was no response: nothing was received for 30s"
			assert.True(t, isNoResponse && strings.Contains(err.Error(), want), "expected %q, found %v", want, err)
			time.Sleep(time.Minute) // until the handler has returned
		})
}
