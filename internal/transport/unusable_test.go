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
	"github.com/culvert-project/culvert/wit"
)

// An unreadable response to a request that must not be repeated leaves its outcome unknown, unless the status
// determines it.
func TestUnusableResponses(t *testing.T) {
	headers := func(status int, body string, of ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(of); i += 2 {
				w.Header().Set(of[i], of[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		// status is the *NoResponseError's. Zero means none.
		status int
		text   string
	}{
		"another encoding": {headers(201, "x", "Content-Encoding", "br"), 201,
			`found "br"`},
		"another encoding of nothing": {headers(201, "", "Content-Encoding", "br"), 0, ""},
		"another encoding of a 502": {headers(502, "x", "Content-Encoding", "zstd"), 502,
			`found "zstd"`},
		"another encoding of a 400": {headers(400, "x", "Content-Encoding", "br"), 0,
			"the response with status 400 cannot be read"},
		"no gzip": {headers(201, "plain text", "Content-Encoding", "gzip"), 201,
			"ended early, after 0 bytes: gzip: invalid header"},
		"shorter than it says": {headers(201, "abc", "Content-Length", "10"), 201, "ended early, after 3 bytes"},
		"a redirect elsewhere": {headers(302, "", "Location", "http://elsewhere/"), 302,
			"with a redirect to http://elsewhere/"},
		"a redirect here": {headers(303, "", "Location", "/here"), 303, "with a redirect to /here"},
		"another client": {headers(201, "{}", "Set-Cookie", "sap-usercontext=sap-client=200"), 201,
			"expected answers of client 100"},
		"another client that refuses": {headers(403, "{}", "Set-Cookie", "sap-usercontext=sap-client=200"), 0,
			"expected answers of client 100"},
		"more than there may be": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			tooMuch(w)
		}, 201, "expected at most 64 MiB"},
		"more than there may be, 409": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(409)
			tooMuch(w)
		}, 0, "the response with status 409"},
		"an answer that can be used":   {headers(201, "{}"), 0, ""},
		"a server error, to be judged": {headers(599, "?"), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			counted := func(w http.ResponseWriter, r *http.Request) { requests++; c.handler(w, r) }
			service(t, counted, func(c *Config) { c.Headers = map[string]string{"sap-client": "100"} },
				func(t *testing.T, client *Client) {
					_, err := client.Exchange(t.Context(), post("/orders"))
					var lost *NoResponseError
					if found := errors.As(err, &lost); found != (c.status != 0) || (found && (lost.Status != c.status ||
						!strings.Contains(err.Error(), "POST /orders"))) {
						t.Errorf("expected status %d, found %v", c.status, err)
					}
					if (c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text))) || (c.text == "" &&
						err != nil) {
						t.Errorf("expected %q, found %v", c.text, err)
					}
					assert.Equal(t, 1, requests, "requests")
				})
		})
	}
}

func tooMuch(w io.Writer) {
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range maxBodies>>20 + 1 {
		w.Write(piece)
	}
}

// The total size of the documents that a plugin requests together is bounded. The error says that it is a sum, and of
// which documents.
func TestTotalSizeOfDocumentsIsBounded(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/all" {
			tooMuch(w)
			return
		}
		io.WriteString(w, strings.Repeat("x", maxBodies/2+1))
	}, nil, func(t *testing.T, c *Client) {
		get := func(path string) wit.Request { return wit.Request{Method: "GET", Target: path} }
		for _, wanted := range []struct {
			text  string
			paths []string
		}{{"GET /all: expected at most 64 MiB in a response, found more", []string{"/all"}},
			{"GET /b: expected at most 64 MiB in all documents that the connector requests together, found more: " +
				"the documents before this one have 32.0 MiB", []string{"/a", "/b"}}, {"", []string{"/a"}}} {
			n := wit.RequestBatch{}
			for _, path := range wanted.paths {
				n.Requests = append(n.Requests, get(path))
			}
			_, err := c.Fetch(t.Context(), n)
			if (wanted.text == "" && err != nil) || (wanted.text != "" && (err == nil ||
				!strings.Contains(err.Error(), wanted.text))) {
				t.Errorf("%v: expected %q, found %v", wanted.paths, wanted.text, err)
			}
		}
	})
}

// A status that means to retry applies whatever the encoding of the body.
func TestRetryStatusWithUnknownEncoding(t *testing.T) {
	requests := 0
	service(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if requests == 1 {
			w.Header().Set("Content-Encoding", "br")
			w.WriteHeader(429)
			io.WriteString(w, "packed")
		}
	}, nil, func(t *testing.T, c *Client) {
		if a, err := c.Exchange(t.Context(), post("/")); err != nil || a.Status != 200 || requests != 2 {
			t.Errorf("found %d after %d requests, %v", a.Status, requests, err)
		}
	})
}

// A number that repeats the HTTP status is not a message code.
func TestMessageCodes(t *testing.T) {
	r := Retry{Codes: []string{"503", "X/1", "1000"}}
	for code, again := range map[string]bool{"503": false, "X/1": true, "1000": true, "502": false, "": false} {
		assert.Equal(t, again, r.NamesMessage(code), code)
	}
	var none wit.Response
	assert.Equal(t, time.Duration(0), RetryAfter(none))
}
