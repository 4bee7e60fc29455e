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
	var seen []string
	service(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.RequestURI)
		switch {
		case r.URL.Path == "/away":
			w.WriteHeader(503)
		case r.URL.Path == "/cut":
			panic(http.ErrAbortHandler)
		}
	}, func(c *Config) {
		c.Query = url.Values{"apikey": {"s3cret"}}
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		one := 1
		c.Retry = Retry{Max: &one, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
	}, func(t *testing.T, c *Client) {
		shown := ""
		for _, target := range []string{"/x?$top=1", "/away", "/cut", "/x?apikey=own"} {
			r := post(target)
			r.Repeatable = true
			from := "/x"
			r.TokenPath = &from
			a, err := c.Exchange(t.Context(), r)
			shown += a.Target + "\n"
			if err != nil {
				shown += err.Error() + "\n"
			}
		}
		if strings.Contains(shown+log.String(), "s3cret") {
			t.Errorf("expected no key, found\n%s%s", shown, &log)
		}
	})
	slices.Sort(seen)
	want := []string{"GET /x/?apikey=s3cret", "GET /x?apikey=s3cret", "HEAD /x?apikey=s3cret",
		"POST /away?apikey=s3cret", "POST /away?apikey=s3cret", "POST /cut?apikey=s3cret",
		"POST /cut?apikey=s3cret", "POST /x?$top=1&apikey=s3cret", "POST /x?apikey=own"}
	assert.Equal(t, want, seen)
}
