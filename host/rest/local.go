package rest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Local answers requests by a handler of this process, without a connection.
type Local struct{ Handler http.Handler }

// RoundTrip is as [http.RoundTripper] says.
func (l Local) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &localAnswer{header: http.Header{}, status: http.StatusOK}
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	l.Handler.ServeHTTP(w, served)
	return &http.Response{StatusCode: w.status, Status: fmt.Sprint(w.status, " ", http.StatusText(w.status)),
		Header: w.header, Body: io.NopCloser(&w.body), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// localAnswer is an answer in memory.
type localAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *localAnswer) Header() http.Header         { return a.header }
func (a *localAnswer) WriteHeader(status int)      { a.status = status }
func (a *localAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
