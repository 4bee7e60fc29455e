package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

// Invalid origins and parameters are rejected before anything is sent, with the setting to correct.
func TestOriginsAreChecked(t *testing.T) {
	for name, k := range map[string]struct {
		changes []string
		want    string // start of the error; "" means no error
	}{
		"SAP's client in the query": {
			changes: []string{"http.query.sap-client=100"},
			want:    "http.query.sap-client: sap-client cannot be set here",
		},
		"origin with a path": {
			changes: []string{"http.origins=https://a.example/x"},
			want: "http.origins: Invalid value https://a.example/x for configuration http.origins: " +
				"expected an origin",
		},
		"origin with a star": {
			changes: []string{"http.origins=https://*.example"},
			want:    "http.origins: Invalid value https://*.example for configuration http.origins: expected an origin",
		},
		"no origin between commas": {
			changes: []string{"http.origins=https://a,,https://b"},
			want: "http.origins: Invalid value  for configuration http.origins: " +
				"expected origins separated by commas",
		},
		"credentials without TLS": {
			changes: []string{"http.scheme=https", "http.origins=http://a.example with credentials"},
			want: "http.origins: Invalid value http://a.example with credentials for configuration http.origins: " +
				"expected https",
		},
		"credentials in any case": {
			changes: []string{"http.origins=http://a.example WITH Credentials, https://b:8443"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ConfigOf(rolesOf(t, "http://127.0.0.1:1", k.changes...), Environment{})
			if err == nil {
				var client *Client
				if client, err = New(c); err == nil {
					client.Close()
				}
			}
			message := ""
			if f, ok := err.(*wit.Error); ok && f.Setting != nil {
				message = *f.Setting + ": " + f.Message
			}
			assert.True(t, (k.want != "" || err == nil) && strings.HasPrefix(message, k.want),
				"expected %q, found %q, %v", k.want, message, err)
		})
	}
}

// A redirect of the service may lead to a configured origin, without credentials, but not back.
func TestRedirectToConfiguredOrigin(t *testing.T) {
	var service *httptest.Server
	files := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.True(t, len(r.Header["Authorization"])+len(r.Header["X-Key"])+len(r.Header["Cookie"]) <= 0 &&
			r.URL.RawQuery == "sig=abc", "expected no credentials, found %v %s", r.Header, r.URL)
		if r.URL.Path == "/back" {
			http.Redirect(w, r, service.URL+"/deep", http.StatusFound)
		}
		fmt.Fprint(w, "file")
	})
	service = serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.True(t, r.URL.Path != "/deep", "expected no redirect from another origin to the service")
		http.SetCookie(w, &http.Cookie{Name: "SESSION", Value: "s"})
		http.Redirect(w, r, files.URL+r.URL.Path+"?sig=abc", http.StatusFound)
	})
	roles := rolesOf(t, service.URL, "http.user=u", "http.password=x", "http.header.x-key=k", "http.origins="+files.URL)
	c := clientOf(t, roles, Environment{})
	a, err := c.Exchange(t.Context(), get("/file"))
	assert.True(t, err == nil && string(a.Body) == "file" && a.Target == files.URL+"/file?sig=abc",
		"expected the file, found %q of %s, %v", a.Body, a.Target, err)
	_, err = c.Exchange(t.Context(), get("/back"))
	assert.True(t, err != nil && strings.Contains(err.Error(), "not followed") &&
		!strings.Contains(err.Error(), "sig=abc"), "expected the redirect back to be rejected, found %v", err)
	delete(roles, "http.origins")
	_, err = clientOf(t, roles, Environment{}).Exchange(t.Context(), get("/file"))
	assert.True(t, err != nil && !strings.Contains(err.Error(), "sig=abc"),
		"expected a redirect to an origin that is not configured to be rejected, found %v", err)
}

// Requests may go to configured origins, with credentials only if configured. Errors do not contain the query of a
// link.
func TestRequestsToConfiguredOrigins(t *testing.T) {
	for entry, hasCredentials := range map[string]bool{
		"":                                 false, // the origin is not configured
		", http://ORIGIN":                  false,
		", http://ORIGIN with credentials": true,
	} {
		requests := 0
		files := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			requests++
			user, _, _ := r.BasicAuth()
			assert.True(t, (user == "u") == hasCredentials && (r.Header.Get("X-Key") == "k") == hasCredentials &&
				(r.URL.Query().Get("key") == "q") == hasCredentials && r.URL.Query().Get("sig") == "abc",
				"%q: expected credentials: %v, found %v %s", entry, hasCredentials, r.Header, r.URL)
		})
		_, host, _ := strings.Cut(files.URL, "://")
		service := serve(t, func(http.ResponseWriter, *http.Request) {})
		roles := rolesOf(t, service.URL, "http.user=u", "http.password=x", "http.header.x-key=k", "http.query.key=q",
			"http.origins=https://files.invalid"+strings.Replace(entry, "ORIGIN", host, 1))
		_, err := clientOf(t, roles, Environment{}).Exchange(t.Context(), get(files.URL+"/a?sig=abc"))
		isRejected := entry == ""
		assert.True(t, (err != nil) == isRejected && (requests == 0) == isRejected &&
			(err == nil || !strings.Contains(err.Error(), "sig=abc")),
			"%q: expected a rejection without the query: %v, found %d requests, %v", entry, isRejected, requests, err)
	}
}

// User and password in targets are rejected.
func TestTargetsWithUserAreRejected(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		t.Error("expected no request")
	})
	host := strings.TrimPrefix(server.URL, "http://")
	c := clientOf(t, rolesOf(t, server.URL, "http.origins=http://localhost:1"), Environment{})
	for _, target := range []string{"http://u:pw-1@" + host + "/", "//u:pw-1@" + host + "/a",
		"http://u:pw-1@localhost:1/", "http://u:pw-1@%zz/", "u:pw-1@" + host} {
		_, err := c.Exchange(t.Context(), get(target))
		if err == nil || strings.Contains(err.Error(), "pw-1") || !strings.Contains(err.Error(), "[hidden]") {
			t.Errorf("%s: expected a refusal without the password, found %v", target, err)
		}
	}
	for _, address := range []string{"u:pw-1@host", "http://u:pw-1@host"} {
		_, err := New(Config{Service: Service{Address: address}})
		assert.True(t, err != nil && !strings.Contains(err.Error(), "pw-1"),
			"address %s: expected a refusal without the password, found %v", address, err)
	}
}

// Masked bodies contain no secret, and do not depend on the parts in which they are read.
func FuzzMask(f *testing.F) {
	f.Add([]byte("a key=abc, abcabcd"), "abc", "key=abc")
	f.Add([]byte("aaaaaaaa"), "aa", "aaa")
	f.Fuzz(func(t *testing.T, text []byte, a, b string) {
		if a == "" || b == "" || strings.Contains(hidden, a) || strings.Contains(hidden, b) || len(text) > 1<<12 {
			return
		}
		masked, _ := io.ReadAll(mask(io.NopCloser(bytes.NewReader(text)), []string{a, b}))
		maskedByByte, _ := io.ReadAll(mask(io.NopCloser(iotest.OneByteReader(bytes.NewReader(text))), []string{a, b}))
		assert.True(t, bytes.Equal(masked, maskedByByte),
			"expected the same result, found %q in one piece, %q byte by byte", masked, maskedByByte)
		for part := range bytes.SplitSeq(masked, []byte(hidden)) {
			assert.True(t, !bytes.Contains(part, []byte(a)) && !bytes.Contains(part, []byte(b)),
				"expected no %q in %q", a+" or "+b, masked)
		}
	})
}

// An accepted origin has a host, and no user, path, query or fragment.
func FuzzReadOrigin(f *testing.F) {
	for _, s := range []string{"https://a", "http://[::1]:80/ with credentials", "https://u:p@a", "a",
		"https://a:99999", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOrigin(text)
		if err != nil {
			return
		}
		c := Config{Service: Service{Scheme: o.Scheme, Address: o.Address, Port: o.Port}}
		origin, err := c.origin()
		if err == nil && (origin.host == "" || strings.ContainsAny(origin.String()[len("http://"):], " @?#")) {
			t.Errorf("%q: found %s", text, origin)
		}
	})
}
