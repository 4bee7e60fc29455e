package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/internal/secret"
)

// Client calls routes of the REST API of a worker, Culvert's or Kafka Connect's.
type Client struct {
	URL string // the base URL of the REST API, such as http://localhost:8083
	// Header is sent with each request. It overrides Accept and Content-Type; the header of a call overrides it.
	Header    http.Header
	Transport http.RoundTripper // must not follow redirections
	MaxBytes  int64             // of a response
}

// Call sends a request to a route, see [Target]. A string body is sent as properties, any other as JSON; nil means no
// body. into is a *string for the response's text, or a pointer for JSON; nil drops the response. If the worker rejects
// the request, the error is a [*Refusal].
func (c *Client) Call(ctx context.Context, route string, header http.Header, body, into any,
	values ...string) (http.Header, error) {
	method, target := Target(route, values...)
	var reader io.Reader
	contentType := "application/json"
	if properties, ok := body.(string); ok {
		reader = strings.NewReader(properties)
		contentType = propertiesType
	} else if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+target, reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	maps.Copy(r.Header, c.Header)
	maps.Copy(r.Header, header)
	answer, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, c.MaxBytes+1))
	switch plain, ok := into.(*string); {
	case err != nil:
		return nil, err
	case int64(len(data)) > c.MaxBytes:
		return nil, fmt.Errorf("expected an answer of at most %d bytes to %s %s", c.MaxBytes, method, target)
	case answer.StatusCode >= http.StatusMultipleChoices:
		var failed failure
		_ = json.Unmarshal(data, &failed) // an answer that is not a worker's has only a status
		message := cmp.Or(failed.Message, method+" "+target+": "+answer.Status)
		return answer.Header, &Refusal{Status: answer.StatusCode, Message: message}
	case ok:
		*plain = string(data)
	case into != nil && len(data) > 0:
		if err := secret.UnmarshalJSON(data, into); err != nil {
			return nil, fmt.Errorf("%s %s: expected a worker's answer in JSON: %w", method, target, err)
		}
	}
	return answer.Header, nil
}

// Local is a transport that passes requests to a handler of this process, without a connection.
type Local struct{ Handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (l Local) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &localAnswer{header: http.Header{}, status: http.StatusOK}
	clone := r.Clone(r.Context())
	if clone.Body == nil {
		clone.Body = http.NoBody
	}
	l.Handler.ServeHTTP(w, clone)
	return &http.Response{StatusCode: w.status, Status: fmt.Sprint(w.status, " ", http.StatusText(w.status)),
		Header: w.header, Body: io.NopCloser(&w.body), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

type localAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *localAnswer) Header() http.Header         { return a.header }
func (a *localAnswer) WriteHeader(status int)      { a.status = status }
func (a *localAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
