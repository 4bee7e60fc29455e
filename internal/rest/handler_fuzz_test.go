package rest

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// answerAt returns the response to a read of a URL, whatever its path.
func answerAt(u *url.URL) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", nil)
	r.URL = u
	w := httptest.NewRecorder()
	Handler(new(standIn).worker()).ServeHTTP(w, r)
	return w
}

// Paths that a mux would redirect get a response where they are.
func TestPathsAreNotRedirected(t *testing.T) {
	for path, want := range map[string]int{
		"/connectors/./config":      404,
		"/connectors/%2e%2e/config": 404,
		"/connectors/../x/":         404,
		"/connectors/;a/config":     400,
		"/connectors/x;a=b/":        404,
		"//connectors":              400,
		"/connectors/":              200,
		"/":                         200,
		"/health/x":                 404,
		"/metricsx":                 404,
	} {
		u, err := url.Parse("http://x" + path)
		require.NoError(t, err)
		if w := answerAt(u); w.Code != want || w.Header().Get("Location") != "" {
			t.Errorf("%s: expected %d, found %d %s", path, want, w.Code, w.Body)
		}
	}
}

// Every path gets a response, and its segments keep their escaping.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/connectors/a%20b/status", "//", "/connectors/a;b=c", "/%zz", "/connectors/%C3%28",
		"/connectors/./x/", "/connectors/;a/config"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name := url.PathEscape(path)
		if path != "" && path != "." && path != ".." {
			got, ok := segments("/connectors/" + name)
			assert.True(t, !ok || (len(got) == 2 && got[1] == path), "%q became %q", path, got)
		}
		u, err := url.Parse("http://x/" + path)
		if err != nil {
			return
		}
		w := answerAt(u)
		assert.True(t, w.Code != 0 && w.Body.Len() != 0, "%q: expected a response", path)
	})
}
