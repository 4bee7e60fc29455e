package transport

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The query of a BTP destination, which may contain a key, is sent with each request and hidden everywhere.
func TestDestinationQueryIsHidden(t *testing.T) {
	var log bytes.Buffer
	var requests []string // method and target of each request
	service(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.RequestURI)
		switch {
		case r.URL.Path == "/away":
			w.WriteHeader(503)
		case r.URL.Path == "/cut":
			panic(http.ErrAbortHandler)
		}
	}, func(c *Config) {
		c.Query = url.Values{"apikey": {"s3cret"}}
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		maxRetries := 1
		c.Retry = Retry{Max: &maxRetries, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
	}, func(t *testing.T, c *Client) {
		output := "" // targets of answers, and errors
		for _, target := range []string{"/x?$top=1", "/away", "/cut", "/x?apikey=own"} {
			r := withToken(post(target), "/x")
			r.Repeatable = true
			a, err := c.Exchange(t.Context(), r)
			output += a.Target + "\n"
			if err != nil {
				output += err.Error() + "\n"
			}
		}
		assert.True(t, !strings.Contains(output+log.String(), "s3cret"), "expected no key, found\n%s%s", output, &log)
	})
	slices.Sort(requests)
	want := []string{
		// requests for the CSRF token
		"GET /x/?apikey=s3cret", "GET /x?apikey=s3cret", "HEAD /x?apikey=s3cret",
		// two attempts each
		"POST /away?apikey=s3cret", "POST /away?apikey=s3cret",
		"POST /cut?apikey=s3cret", "POST /cut?apikey=s3cret",
		"POST /x?$top=1&apikey=s3cret",
		// a parameter of the plugin's request stays as it is
		"POST /x?apikey=own",
	}
	assert.Equal(t, want, requests)
}
