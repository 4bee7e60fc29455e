package rest

import (
	"net/http/httptest"
	"net/url"
	"testing"
)

// FuzzPath: every path has an answer, and segments come out as they were escaped.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/connectors/a%20b/status", "//", "/connectors/a;b=c", "/%zz", "/connectors/%C3%28", "/connectors/./x/"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if name := url.PathEscape(path); path != "" && path != "." && path != ".." {
			if got, ok := segments("/connectors/" + name); ok && (len(got) != 2 || got[1] != path) {
				t.Errorf("%q became %q", path, got)
			}
		}
		u, err := url.Parse("http://x/" + path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = u
		w := httptest.NewRecorder()
		Handler(&standIn{}).ServeHTTP(w, r)
		if w.Code == 0 || w.Body.Len() == 0 {
			t.Errorf("%q: no answer", path)
		}
	})
}
