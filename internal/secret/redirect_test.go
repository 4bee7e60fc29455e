package secret_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/secret"
)

var redirectCases = []struct {
	method     string
	path       string
	body       string
	secretAt   []string // paths that were requested with a secret
	noSecretAt []string
	isRefused  bool
}{
	{method: "GET", path: "/here-end", secretAt: []string{"/here-end", "/end"}},
	{method: "POST", path: "/here-end", body: "secret", secretAt: []string{"/here-end", "/end"}},
	{method: "GET", path: "/there-end", secretAt: []string{"/there-end"}, noSecretAt: []string{"/end"}},
	{method: "GET", path: "/there-back", secretAt: []string{"/there-back"}, noSecretAt: []string{"/back", "/end"}},
	{method: "POST", path: "/there-end", body: "secret", secretAt: []string{"/there-end"}, isRefused: true},
}

// Credentials are sent to their origin only, even after a redirect back to it; bodies to no other origin.
func TestRedirectsCarryNoSecrets(t *testing.T) {
	type receivedRequest struct{ path, authorization, cookie, body string }
	var received []receivedRequest
	record := func(r *http.Request) {
		body := make([]byte, 10)
		n, _ := r.Body.Read(body)
		received = append(received, receivedRequest{
			path:          r.URL.Path,
			authorization: r.Header.Get("Authorization"),
			cookie:        r.Header.Get("Cookie"),
			body:          string(body[:n]),
		})
	}
	var first, second *httptest.Server
	second = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record(r)
		if r.URL.Path == "/back" {
			http.Redirect(w, r, first.URL+"/end", http.StatusTemporaryRedirect)
		}
	}))
	defer second.Close()
	first = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record(r)
		switch path, target, _ := strings.Cut(r.URL.Path, "-"); path {
		case "/here":
			http.Redirect(w, r, "/"+target, http.StatusTemporaryRedirect)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusTemporaryRedirect)
		case "/there":
			http.Redirect(w, r, second.URL+"/"+target, http.StatusTemporaryRedirect)
		}
	}))
	defer first.Close()
	client := http.Client{CheckRedirect: secret.Redirect}
	if _, err := client.Get(first.URL + "/round"); err == nil || len(received) != 10 {
		t.Errorf("expected 10 requests and an error, found %d, %v", len(received), err)
	}
	for _, c := range redirectCases {
		received = nil
		r, err := http.NewRequest(c.method, first.URL+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Cookie", "x=y")
		a, err := client.Do(r)
		if err == nil {
			a.Body.Close()
		}
		refusal := new(secret.RedirectError)
		assert.True(t, errors.As(err, &refusal) == c.isRefused && (c.isRefused || err == nil),
			"%s %s: expected a refusal: %t, found %v", c.method, c.path, c.isRefused, err)
		var want []receivedRequest
		for _, path := range c.secretAt {
			want = append(want, receivedRequest{path: path, authorization: "Bearer x", cookie: "x=y", body: c.body})
		}
		for _, path := range c.noSecretAt {
			want = append(want, receivedRequest{path: path})
		}
		require.Len(t, len(want), received, c.method, c.path, want)
		for i := range want {
			assert.Equal(t, want[i], received[i], c.method, c.path)
		}
	}
}
