package transport

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A logoff has the session's client and the headers for gateways (P12), but no credentials.
func TestLogoffHeaders(t *testing.T) {
	for _, k := range []struct {
		auth string
		want map[string]string
	}{
		{AuthBasic, map[string]string{"Sap-Client": "100", "Sap-Language": "EN", "Apikey": "k3y", "Authorization": ""}},
		{AuthHeader, map[string]string{"Sap-Client": "100", "Sap-Language": "EN", "Apikey": "", "Authorization": ""}},
	} {
		found := map[string]string{}
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/logoff" {
				w.Header().Add("Set-Cookie", "SID=1; Path=/")
				return
			}
			for name := range k.want {
				found[name] = r.Header.Get(name)
			}
		}, func(c *Config) {
			sessioned(c)
			c.Auth = k.auth
			c.Headers = map[string]string{"sap-client": "100", "sap-language": "EN", "APIKey": "k3y"}
		}, func(t *testing.T, c *Client) { all(t, 1, c) })
		assert.Equal(t, k.want, found, k.auth)
	}
}

// For gateways that remove headers, the query contains the client.
func TestLogoffQuery(t *testing.T) {
	for path, want := range map[string]string{"/logoff": "sap-client=100&sap-language=EN",
		"/logoff?sap-client=200": "sap-client=200&sap-language=EN"} {
		for in, want := range map[string]string{"": strings.TrimPrefix(path[len("/logoff"):], "?"),
			"header": strings.TrimPrefix(path[len("/logoff"):], "?"), "Query": want} {
			var found []string
			service(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/logoff" {
					w.Header().Add("Set-Cookie", "SID=1; Path=/")
					return
				}
				found = append(found, r.URL.RawQuery)
			}, func(c *Config) {
				sessioned(c)
				read, err := ConfigOf(roleMap{"http.client-in": in, "http.logoff-path": path}, Environment{})
				require.NoError(t, err)
				c.LogoffPath = read.LogoffPath
				c.ClientInQuery = read.ClientInQuery
				c.Headers = map[string]string{"sap-client": "100", "sap-language": "EN", "APIKey": "k3y"}
			}, func(t *testing.T, c *Client) { all(t, 1, c) })
			assert.Equal(t, []string{want}, found, path, "client in", in)
		}
	}
}

// A rejected logoff is logged for an SAP system, but not for a service without logoff.
func TestRejectedLogoffIsLogged(t *testing.T) {
	for status, logs := range map[int]bool{200: false, 404: false, 403: true} {
		var log bytes.Buffer
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/logoff" {
				w.WriteHeader(status)
				return
			}
			w.Header().Add("Set-Cookie", "SID=1; Path=/")
		}, func(c *Config) { sessioned(c); c.Logger = slog.New(slog.NewTextHandler(&log, nil)) },
			func(t *testing.T, c *Client) { all(t, 1, c) })
		if logged := strings.Contains(log.String(),
			"/logoff returned 403: activate it in transaction SICF"); logged != logs {
			t.Errorf("%d: found\n%s", status, &log)
		}
	}
}
