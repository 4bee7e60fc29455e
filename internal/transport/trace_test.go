package transport

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// A request line in the log has no secret of the configuration, and no value of a parameter that may be a secret.
func TestPrintedRequestLine(t *testing.T) {
	d := &destination{config: Config{Credentials: Credentials{
		Password: "hunter2 two",
		Headers:  map[string]string{"apikey": "k3y+1", "sap-client": "1000"},
		Identity: Identity{User: "u", Secret: "hunter2 two"},
	}}}
	for line, want := range map[string]string{
		"/a/b": "/a/b",
		"/a?$filter=X%20eq%201&$format=json&sap-client=100":  "/a?$filter=X%20eq%201&$format=json&sap-client=100",
		"/a?subscription-key=abc&$top=1&flag":                "/a?subscription-key=[hidden]&$top=1&flag",
		"/a?%74oken=abc":                                     "/a?%74oken=[hidden]",
		"/a?%zz=abc":                                         "/a?[hidden]",
		"/a('hunter2%20two')?$filter=x%20eq%20'hunter2+two'": "/a('[hidden]')?$filter=x%20eq%20'[hidden]'",
		"/a?$search=k3y%2B1":                                 "/a?$search=[hidden]",
		"/x//user:pw@host/b":                                 "/x//[hidden]@host/b",
		"/Users('a@b')?$top=1":                               "/Users('a@b')?$top=1",
		"/a?sap-client=1000":                                 "/a?sap-client=1000",
	} {
		assert.Equal(t, want, redact(printable(line), d.secrets(nil)), line)
	}
}

// Warnings do not contain keys of a query, and errors do not contain the user in a redirect.
func TestWarningsContainNoKeys(t *testing.T) {
	requests := 0
	var log journal
	service(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if requests == 1 {
			w.WriteHeader(503)
			return
		}
		w.Header().Set("Location", "https://guest:pass@other.example/x?ticket=1")
		w.WriteHeader(302)
	}, func(c *Config) {
		enableSessions(c)
		c.Logger = log.logger()
	}, func(t *testing.T, c *Client) {
		_, _, err := readText(t, c, get("/a?key=k3y&$top=1"))
		assert.True(t, err != nil && !strings.Contains(err.Error(), "guest") &&
			!strings.Contains(err.Error(), "pass@") && strings.Contains(err.Error(), "other.example/x"),
			"expected the redirect without its user, found %v", err)
	})
	output := log.String()
	assert.True(t, strings.Count(output, "retrying until") == 1 && !strings.Contains(output, "k3y") &&
		strings.Contains(output, "$top=1"), "expected one warning without the key, found\n%s", output)
}

// In messages absolute URLs have no user, password or values of parameters. Paths are those of the plugin, unchanged.
func TestPrintableTarget(t *testing.T) {
	for target, want := range map[string]string{
		"/a?$filter=x&k=v":                  "/a?$filter=x&k=v",
		"/a?next=https://u:p@b/":            "/a?next=https://u:p@b/",
		"https://u:p@h/a?sig=s&$top=1":      "https://[hidden]@h/a?sig=[hidden]&$top=1",
		"//u:p@h/a":                         "//[hidden]@h/a",
		"https://files.example/a?X-Sig=abc": "https://files.example/a?X-Sig=[hidden]",
	} {
		assert.Equal(t, want, PrintableTarget(target), target)
	}
}
