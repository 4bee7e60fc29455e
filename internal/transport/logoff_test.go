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
		{
			auth: AuthBasic,
			want: map[string]string{"Sap-Client": "100", "Sap-Language": "EN", "Apikey": "k3y", "Authorization": ""},
		}, {
			auth: AuthHeader,
			want: map[string]string{"Sap-Client": "100", "Sap-Language": "EN", "Apikey": "", "Authorization": ""},
		},
	} {
		headers := map[string]string{}
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/logoff" {
				w.Header().Add("Set-Cookie", "SID=1; Path=/")
				return
			}
			for name := range k.want {
				headers[name] = r.Header.Get(name)
			}
		}, func(c *Config) {
			enableSessions(c)
			c.Auth = k.auth
			c.Headers = map[string]string{"sap-client": "100", "sap-language": "EN", "APIKey": "k3y"}
		}, func(t *testing.T, c *Client) { sendAll(t, 1, c) })
		assert.Equal(t, k.want, headers, k.auth)
	}
}

// With http.client-in=query, for gateways that remove headers, the query of a logoff contains the client, unless the
// configured path has one.
func TestLogoffQuery(t *testing.T) {
	for _, k := range []struct {
		path     string
		clientIn string
		query    string
	}{
		{path: "/logoff", clientIn: "", query: ""},
		{path: "/logoff", clientIn: "header", query: ""},
		{path: "/logoff", clientIn: "Query", query: "sap-client=100&sap-language=EN"},
		{path: "/logoff?sap-client=200", clientIn: "", query: "sap-client=200"},
		{path: "/logoff?sap-client=200", clientIn: "header", query: "sap-client=200"},
		{path: "/logoff?sap-client=200", clientIn: "Query", query: "sap-client=200&sap-language=EN"},
	} {
		var queries []string
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/logoff" {
				w.Header().Add("Set-Cookie", "SID=1; Path=/")
				return
			}
			queries = append(queries, r.URL.RawQuery)
		}, func(c *Config) {
			enableSessions(c)
			roles := roleMap{"http.client-in": k.clientIn, "http.logoff-path": k.path}
			config, err := ConfigOf(roles, Environment{})
			require.NoError(t, err)
			c.LogoffPath = config.LogoffPath
			c.ClientInQuery = config.ClientInQuery
			c.Headers = map[string]string{"sap-client": "100", "sap-language": "EN", "APIKey": "k3y"}
		}, func(t *testing.T, c *Client) { sendAll(t, 1, c) })
		assert.Equal(t, []string{k.query}, queries, k.path, "client in", k.clientIn)
	}
}

// A rejected logoff is logged for an SAP system, but not for a service without logoff.
func TestRejectedLogoffIsLogged(t *testing.T) {
	for status, isLogged := range map[int]bool{200: false, 404: false, 403: true} {
		var log bytes.Buffer
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/logoff" {
				w.WriteHeader(status)
				return
			}
			w.Header().Add("Set-Cookie", "SID=1; Path=/")
		}, func(c *Config) {
			enableSessions(c)
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}, func(t *testing.T, c *Client) { sendAll(t, 1, c) })
		const warning = "/logoff returned 403: activate it in transaction SICF"
		assert.True(t, strings.Contains(log.String(), warning) == isLogged,
			"status %d: expected a warning: %v, found\n%s", status, isLogged, &log)
	}
}
