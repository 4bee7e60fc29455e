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

// impatient is a client that waits 30 s for bytes, and sends nothing again.
func impatient(c *Config) {
	retries(0)(c)
	c.ReadTimeout = 30 * time.Second
}

func TestServerThatStaysSilentIsGivenUp(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(40 * time.Second) }, impatient,
		func(t *testing.T, c *Client) {
			start := time.Now()
			wantFaultOf(t, c, get("/"), wit.ErrorTransient, "nothing was received for 30s")
			assert.Equal(t, 30*time.Second, time.Since(start), "after")
			time.Sleep(time.Minute)
		})
}

func TestPatientRequestWaitsForFirstByte(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Hour) }, impatient,
		func(t *testing.T, c *Client) {
			r := get("/")
			r.FirstByteTimeoutMs = wit.Ptr(uint32(7_200_000))
			wantStatus(t, c, r, 200)
		})
}

func TestLongResponseThatKeepsComingIsRead(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			time.Sleep(29 * time.Second)
		}
	}, impatient, func(t *testing.T, c *Client) {
		if _, body, err := text(t, c, get("/")); body != "xxxxxxxxxx" || err != nil {
			t.Error(body, err)
		}
	})
}

func TestServerThatFallsSilentInABodyIsGivenUp(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Minute)
	}, impatient, func(t *testing.T, c *Client) {
		_, body, err := text(t, c, get("/page"))
		wantFault(t, err, wit.ErrorTransient,
			"GET /page: the response ended early, after 3 bytes: nothing was received for 30s")
		assert.Equal(t, "abc", body)
		time.Sleep(time.Minute)
	})
}

func TestSlowReaderIsNotSilence(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		http.NewResponseController(w).Flush()
		io.WriteString(w, "def")
	}, impatient, func(t *testing.T, c *Client) {
		a, err := c.Do(t.Context(), get("/"))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		b, err := io.ReadAll(a.Body)
		if string(b) != "abcdef" || err != nil {
			t.Error(string(b), err)
		}
	})
}

func TestSlowUploadIsNotSilence(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		for p := make([]byte, 100_000); ; {
			time.Sleep(5 * time.Second)
			if _, err := io.ReadFull(r.Body, p); err != nil {
				return
			}
		}
	}, impatient, func(t *testing.T, c *Client) {
		r := post("/")
		r.Body = bytes.Repeat([]byte("x"), 2_000_000)
		wantStatus(t, c, r, 200)
		assert.Equal(t, int64(2_000_000), c.Counters().BytesSent, "bytes sent")
	})
}

func TestUnansweredPOSTMayHaveArrived(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(40 * time.Second) }, impatient,
		func(t *testing.T, c *Client) {
			_, _, err := text(t, c, post("/orders"))
			_, lost := errors.AsType[*NoResponseError](err)
			const want = "POST /orders may have arrived, but there was no response: nothing was received for 30s"
			if !lost || !strings.Contains(err.Error(), want) {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		})
}
