package transport

import (
	"io"
	"net/http"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Headers that plugins evaluate, such as ETag and Content-Type, are not redacted if they contain a secret by chance;
// sessions in addresses are.
func TestHeadersContainingSecretsByChance(t *testing.T) {
	const session = "SID%ANON%abcdefgh"
	sent := map[string]string{
		"ETag":               `W/"20240101"`,
		"Content-Type":       "multipart/mixed; boundary=B2024",
		"Content-ID":         "2024",
		"Retry-After":        "2024",
		"Preference-Applied": "return=2024",
		"DataServiceVersion": "2024",
		"X-Note":             "2024 of " + session,
		"Location": "http://sap.example:8000/Es('EUROPE-1')?sap-language=EN&sap-client=100&s=" + session +
			"&p=2024",
	}
	redacted := map[string]string{
		"X-Note":   "[hidden] of [hidden]",
		"Location": "http://sap.example:8000/Es('EUROPE-1')?sap-language=EN&sap-client=100&s=[hidden]&p=[hidden]",
	}
	service(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "sap-usercontext=sap-language=EN&sap-client=100; path=/")
		w.Header().Add("Set-Cookie", "SAP_SESSIONID_X_100="+session+"; path=/")
		w.Header().Add("Set-Cookie", "region=EUROPE-1; path=/")
		for name, value := range sent {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusCreated)
	}, func(c *Config) {
		c.User = "u"
		c.Password = "2024"
	}, func(t *testing.T, c *Client) {
		found := map[string]string{}
		for range 2 { // the first response sets cookies
			a, err := c.Do(t.Context(), get("/Es"))
			require.NoError(t, err)
			_, _ = io.ReadAll(a.Body)
			a.Body.Close()
			for _, h := range a.Headers {
				found[http.CanonicalHeaderKey(h.Name)] = h.Value
			}
		}
		for name, want := range sent {
			if value, ok := redacted[name]; ok {
				want = value
			}
			assert.Equal(t, want, found[http.CanonicalHeaderKey(name)], name)
		}
	})
}
