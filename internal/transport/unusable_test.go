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

// respond returns a handler. headers holds names and values in turn.
func respond(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// respondTooMuch returns a handler whose body is too large.
func respondTooMuch(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		writeTooMuch(w)
	}
}

// After an unreadable response to a request that must not be repeated it is unknown whether the service processed the
// request, unless the status shows that it was rejected.
func TestUnusableResponses(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int    // of the *NoResponseError; zero means another error, or no error
		text    string // a part of the error; "" means no error
	}{
		"unknown encoding": {
			handler: respond(201, "x", "Content-Encoding", "br"),
			status:  201,
			text:    `found "br"`,
		},
		"unknown encoding, no body": {handler: respond(201, "", "Content-Encoding", "br")},
		"unknown encoding, 502": {
			handler: respond(502, "x", "Content-Encoding", "zstd"),
			status:  502,
			text:    `found "zstd"`,
		},
		"unknown encoding, 400": {
			handler: respond(400, "x", "Content-Encoding", "br"),
			text:    "the response with status 400 cannot be read",
		},
		"invalid gzip": {
			handler: respond(201, "plain text", "Content-Encoding", "gzip"),
			status:  201,
			text:    "expected a gzip body as its Content-Encoding says, found after 0 bytes: gzip: invalid header",
		},
		"shorter than Content-Length": {
			handler: respond(201, "abc", "Content-Length", "10"),
			status:  201,
			text:    "ended early, after 3 bytes",
		},
		"redirect to another origin": {
			handler: respond(302, "", "Location", "http://elsewhere/"),
			text:    "with a redirect to http://elsewhere/",
		},
		"redirect to the service": {
			handler: respond(303, "", "Location", "/here"),
			status:  303,
			text:    "with a redirect to /here",
		},
		"another SAP client": {
			handler: respond(201, "{}", "Set-Cookie", "sap-usercontext=sap-client=200"),
			status:  201,
			text:    "expected answers of client 100",
		},
		"another SAP client, 403": {
			handler: respond(403, "{}", "Set-Cookie", "sap-usercontext=sap-client=200"),
			text:    "expected answers of client 100",
		},
		"too large":      {handler: respondTooMuch(201), status: 201, text: "expected at most 64 MiB"},
		"too large, 409": {handler: respondTooMuch(409), text: "the response with status 409"},
		"usable":         {handler: respond(201, "{}")},
		"server error":   {handler: respond(599, "?")},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			handler := func(w http.ResponseWriter, r *http.Request) {
				requests++
				c.handler(w, r)
			}
			service(t, handler, func(c *Config) { c.Headers = map[string]string{"sap-client": "100"} },
				func(t *testing.T, client *Client) {
					_, err := client.Exchange(t.Context(), post("/orders"))
					var noResponse *NoResponseError
					isUnknown := errors.As(err, &noResponse)
					assert.True(t, isUnknown == (c.status != 0), "expected status %d, found %v", c.status, err)
					if isUnknown && (noResponse.Status != c.status || !strings.Contains(err.Error(), "POST /orders")) {
						t.Errorf("expected status %d of POST /orders, found %v", c.status, err)
					}
					assert.True(t, (err != nil) == (c.text != "") &&
						(err == nil || strings.Contains(err.Error(), c.text)), "expected %q, found %v", c.text, err)
					assert.Equal(t, 1, requests, "requests")
				})
		})
	}
}

// writeTooMuch writes one MiB more than maxBodies.
func writeTooMuch(w io.Writer) {
	mebibyte := bytes.Repeat([]byte("x"), 1<<20)
	for range maxBodies>>20 + 1 {
		w.Write(mebibyte)
	}
}

// The total size of the documents that a plugin requests together is bounded. The error shows the size of
// the documents before the one that exceeds the limit.
func TestTotalSizeOfDocumentsIsBounded(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/all" {
			writeTooMuch(w)
			return
		}
		io.WriteString(w, strings.Repeat("x", maxBodies/2+1))
	}, nil, func(t *testing.T, c *Client) {
		get := func(path string) wit.Request { return wit.Request{Method: "GET", Target: path} }
		for _, k := range []struct {
			paths []string
			text  string // part of the error; "" means no error
		}{
			{paths: []string{"/all"}, text: "GET /all: expected at most 64 MiB in a response, found more"},
			{
				paths: []string{"/a", "/b"},
				text: "GET /b: expected at most 64 MiB in all documents that the connector requests " +
					"together, found more: the documents before this one have 32.0 MiB",
			},
			{paths: []string{"/a"}},
		} {
			var batch wit.RequestBatch
			for _, path := range k.paths {
				batch.Requests = append(batch.Requests, get(path))
			}
			_, err := c.Fetch(t.Context(), batch)
			assert.True(t, (err != nil) == (k.text != "") && (err == nil || strings.Contains(err.Error(), k.text)),
				"%v: expected %q, found %v", k.paths, k.text, err)
		}
	})
}

// A request is repeated after a retriable status, whatever the encoding of the body.
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
			t.Errorf("expected status 200 after two requests, found %d after %d, %v", a.Status, requests, err)
		}
	})
}

// A number that may be an HTTP status is no message code: services repeat the status in error documents.
func TestMessageCodes(t *testing.T) {
	r := Retry{Codes: []string{"503", "X/1", "1000"}}
	for code, isRetried := range map[string]bool{"503": false, "X/1": true, "1000": true, "502": false, "": false} {
		assert.Equal(t, isRetried, r.NamesMessage(code), code)
	}
	assert.Equal(t, time.Duration(0), RetryAfter(wit.Response{}), "pause without Retry-After")
}
