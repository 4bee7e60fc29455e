package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func open(t *testing.T, handler http.HandlerFunc, extra map[string]string) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	settings := []wit.Setting{{Name: "schema.registry.url", Value: server.URL}}
	for name, value := range extra {
		settings = append(settings, wit.Setting{Name: name, Value: value})
	}
	s, err := Parse(setting.NewTable(SettingKeys()...).Values(settings))
	require.NoError(t, err)
	c, err := Open(s, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return c
}

// A schema's references come before it, each once; a schema with an endless chain of references is rejected.
func TestReferencesAreBounded(t *testing.T) {
	references := 3 // the length of the chain
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/subjects/s%d/", &n)
		s := sr.Schema{Schema: fmt.Sprintf(`"text %d"`, n)}
		if n < references {
			s.References = []sr.SchemaReference{{Name: "a", Subject: fmt.Sprint("s", n+1), Version: 1}, {Name: "b",
				Subject: fmt.Sprint("s", n+1), Version: 1}}
		}
		json.NewEncoder(w).Encode(sr.SubjectSchema{Subject: "s", Version: 1, ID: n + 1, Schema: s})
	}, nil)
	texts, kind, err := c.Schema(t.Context(), 1, Read)
	want := []NamedSchema{{"a", `"text 3"`}, {"a", `"text 2"`}, {"a", `"text 1"`}, {"", `"text 0"`}}
	assert.True(t, err == nil && kind == Avro && slices.Equal(texts, want),
		"expected four schemas, found %q of type %s, %v", texts, kind, err)
	references = maxReferences + 10
	_, _, err = c.Schema(t.Context(), 1, Read)
	assert.Error(t, err, "more than 1000 others")
}

// An endless response is cut off, and the registry counts as unreachable.
func TestRegistryResponsesAreBounded(t *testing.T) {
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		piece := []byte(strings.Repeat(" ", 1<<20))
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}, nil)
	body := &limitedBody{io.NopCloser(neverEnding{}), maxResponseBytes}
	if n, err := io.Copy(io.Discard, body); n != maxResponseBytes || err == nil {
		t.Errorf("expected %d bytes and an error, found %d, %v", maxResponseBytes, n, err)
	}
	err := c.api.Do(t.Context(), http.MethodGet, "/subjects", nil, nil)
	assert.Error(t, err, "more than 16777216 bytes")
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// User and password of the address or the setting are sent to the registry, and not to a host that it redirects to.
func TestCredentialsStayWithTheRegistry(t *testing.T) {
	var sentElsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sentElsewhere = append(sentElsewhere, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusGone)
	}))
	t.Cleanup(other.Close)
	for _, credentials := range []map[string]string{
		{"basic.auth.credentials.source": "USER_INFO", "basic.auth.user.info": "u:p:q"},
		{"bearer.auth.token": "t"},
	} {
		// another host, and another port of the same host
		for _, otherURL := range []string{strings.Replace(other.URL, "127.0.0.1", "localhost", 1), other.URL} {
			var received []string
			c := open(t, func(w http.ResponseWriter, r *http.Request) {
				received = append(received, r.Header.Get("Authorization"))
				http.Redirect(w, r, otherURL+r.URL.Path, http.StatusTemporaryRedirect)
			}, credentials)
			_, _, err := c.Schema(t.Context(), 1, Read)
			var rejected *RejectedError
			assert.True(t, errors.As(err, &rejected) && rejected.Status == http.StatusGone,
				"expected the other host's response, found %v", err)
			want := "Basic dTpwOnE="
			if credentials["bearer.auth.token"] != "" {
				want = "Bearer t"
			}
			assert.True(t, len(received) == 1 && received[0] == want, "expected %q, found %q", want, received)
		}
	}
	assert.Equal(t, "", strings.Join(sentElsewhere, ""), "credentials sent to another host", sentElsewhere)
}

// laggingRegistry is a registry without a socket that finds the schema of an ID or a version from a time on.
type laggingRegistry struct {
	known    map[string]time.Time // by the path
	requests int
}

func (l *laggingRegistry) RoundTrip(r *http.Request) (*http.Response, error) {
	l.requests++
	since, ok := l.known[r.URL.Path]
	response := &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"error_code":40403,"message":"Schema not found."}`))}
	if ok && !time.Now().Before(since) {
		response.StatusCode = http.StatusOK
		response.Body = io.NopCloser(strings.NewReader(
			`{"schema":"\"text\"","references":[{"name":"a","subject":"s","version":1}]}`))
		if strings.HasPrefix(r.URL.Path, "/subjects/") {
			response.Body = io.NopCloser(strings.NewReader(`{"id":7,"subject":"s","version":1,"schema":"\"a\""}`))
		}
	}
	return response, nil
}

// A schema that is missing is requested again for maxLag, once for all records with its ID, and so are the schemas that
// it refers to.
func TestSchemaOfLaggingRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l := &laggingRegistry{known: map[string]time.Time{
			"/schemas/ids/1":         began.Add(maxLag),
			"/subjects/s/versions/1": began.Add(maxLag + 5*time.Second),
			"/schemas/ids/2":         began.Add(time.Hour),
		}}
		var log logtest.Journal
		c, err := OpenWith(Settings{URLs: []string{"http://registry.test"}}, l, log.Logger(slog.LevelInfo))
		require.NoError(t, err)
		missing := func(id int, want time.Duration) {
			t.Helper()
			start := time.Now()
			_, _, err := c.Schema(t.Context(), id, Read)
			rejected, ok := errors.AsType[*RejectedError](err)
			assert.True(t, ok && rejected.IsNotFound() && rejected.Code == 40403,
				"schema %d: expected that it is missing, found %v", id, err)
			assert.Equal(t, want, time.Since(start), "wait for schema", id)
		}
		texts, _, err := c.Schema(t.Context(), 1, Read)
		assert.Equal(t, []NamedSchema{{"a", `"a"`}, {"", `"text"`}}, texts, err)
		missing(2, maxLag)
		l.requests = 0
		for range 3 {
			missing(2, 0)
		}
		assert.Equal(t, 3, l.requests, "requests for a missing schema")
		assert.Equal(t, 3, strings.Count(log.String(), "does not know a schema"), log.String())
		time.Sleep(time.Hour)
		_, _, err = c.Schema(t.Context(), 2, Read)
		assert.NoError(t, err)
		for id := range maxMissing {
			missing(1000+id, maxLag)
		}
		missing(2000, 0)
		// Lookups for writing are rejected at once: the subject is mostly missing for good.
		start := time.Now()
		if _, _, err := c.Latest(t.Context(), "none"); err == nil || time.Since(start) > 0 {
			t.Errorf("expected an error at once, found %v after %v", err, time.Since(start))
		}
	})
}

// A registry's responses are logged without the credentials that were sent, in whatever form they are repeated, whether
// the registry rejects a request or is unreachable.
func TestRegistryResponsesAreRedacted(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusServiceUnavailable} {
		var log logtest.Journal
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			w.WriteHeader(status)
			fmt.Fprintf(w, "no %s with %s or %s, %s\x1b[2J", user, password, url.QueryEscape(password),
				r.Header.Get("Authorization"))
		}))
		t.Cleanup(server.Close)
		s := Settings{URLs: []string{server.URL}, User: "reader", Password: "gehe/im+42"}
		c, err := Open(s, nil, log.Logger(slog.LevelDebug))
		require.NoError(t, err)
		go func() { // requests to an unreachable registry are repeated until the caller cancels
			for c.Outage() == "" && ctx.Err() == nil {
				runtime.Gosched()
			}
			cancel()
		}()
		_, _, err = c.Schema(ctx, 1, Read)
		cancel()
		output := fmt.Sprint(err, c.Outage(), log.String())
		for _, hidden := range []string{"gehe/im+42", "gehe%2Fim%2B42", "cmVhZGVyOmdlaGUvaW0rNDI=", "\x1b"} {
			assert.NotContains(t, output, hidden, "status", status, "hidden")
		}
		assert.True(t, strings.Contains(output, "[hidden]"),
			"status %d: expected the response, found %s", status, output)
	}
}

// Confluent's client also accepts its own settings with the prefix `schema.registry.`, which many files use.
func TestPrefixedRegistrySettings(t *testing.T) {
	table := setting.NewTable(SettingKeys()...)
	for _, prefix := range []string{"", "schema.registry."} {
		v := table.Values([]wit.Setting{{Name: "schema.registry.url", Value: "https://r"},
			{Name: prefix + "basic.auth.credentials.source", Value: "USER_INFO"},
			{Name: prefix + "basic.auth.user.info", Value: "me:pw:x"},
			{Name: prefix + "bearer.auth.token", Value: "tok"},
			{Name: prefix + "bearer.auth.credentials.source", Value: "STATIC_TOKEN"}})
		s, err := Parse(v)
		assert.True(t, err == nil && s.User == "me" && s.Password == "pw:x" && s.Token == "tok",
			"%q: expected user, password and token, found %q, %v", prefix, s.User, err)
	}
}
