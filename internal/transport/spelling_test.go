package transport

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// All spellings of a host are one origin, and all spellings of a user are one user: a wrong password is sent once.
func TestHostInAnySpelling(t *testing.T) {
	requests := 0
	handler := func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.WriteHeader(401)
	}
	service(t, handler, enableSessions,
		func(t *testing.T, c *Client) {
			otherHostCase := clientNextTo(t, c, func(c *Config) { c.Address = "SAP.Example" })
			wantStatus(t, c, get("/"), 401)
			wantFaultOf(t, otherHostCase, get("/"), wit.ErrorUnauthorized, "http://sap.example:8000", "not sent again")
			otherUserCase := clientNextTo(t, c, func(c *Config) { c.User = "U" })
			wantFaultOf(t, otherUserCase, get("/"), wit.ErrorUnauthorized, "http://sap.example:8000", "not sent again")
			assert.Equal(t, 1, requests, "times that the password was sent")
		})
}

// An IPv6 address may have brackets, as in a URL. The origin always has them.
func TestAddressInBrackets(t *testing.T) {
	for _, address := range []string{"::1", "[::1]", " ::1 "} {
		c, err := ConfigOf(roleMap{"http.scheme": "http", "http.address": address, "http.port": "8000"}, Environment{})
		require.NoError(t, err)
		o, err := c.origin()
		assert.True(t, err == nil && c.Address == "::1" && strings.HasPrefix(o.String(), "http://[::1]:8000"),
			"%q: expected ::1 and brackets in the origin, found %q, %s, %v", address, c.Address, o, err)
	}
}
