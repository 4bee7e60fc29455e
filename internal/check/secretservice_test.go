package check

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// A check sends neither a proxy's password nor a secret header that was not accepted before, unless the checker may log
// on: the user may still be typing it. It does not suffice that the user's password was accepted.
func TestUnacceptedSecretNextToLogonIsNotSent(t *testing.T) {
	t.Parallel()
	const key = role.Header + "X-Api-Key"
	for _, c := range []struct {
		name    string
		setting string
		entries map[string]string
	}{
		{name: "header of an anonymous service", setting: key},
		{name: "header next to a user", setting: key,
			entries: map[string]string{role.User: "me", role.Password: "right"}},
		{name: "proxy of an anonymous service", setting: role.ProxyPassword,
			entries: map[string]string{role.ProxyUser: "p"}},
		{name: "proxy next to a user", setting: role.ProxyPassword,
			entries: map[string]string{role.ProxyUser: "p", role.User: "me",
				role.Password: "right"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSecretService(t, c.setting, c.entries)
			s.expect(t, "ri", withoutLogon, http.StatusBadGateway, 0)
			s.expect(t, "right", withLogon, http.StatusOK, 1)
			s.expect(t, "right", withoutLogon, http.StatusOK, 2)
			s.expect(t, "righ", withoutLogon, http.StatusBadGateway, 2)
			status, online := s.fetch(t, "wrong", withLogon)
			assert.Equal(t, []int{http.StatusUnauthorized, 3}, []int{int(status), len(s.received)}, "wrong")
			if c.setting == role.ProxyPassword {
				assert.Equal(t, true, online.rejected != nil, "rejected")
				assert.Equal(t, c.setting, online.rejectedSetting, "the setting that was rejected")
			}
			s.expect(t, "wrong", withLogon, http.StatusUnauthorized, 3) // rejected before, so it is not sent
			s.expect(t, "wrong", withoutLogon, http.StatusUnauthorized, 3)
			if c.name == "header next to a user" { // the status 401 may mean the user's password, which locks both
				s.expect(t, "right", withoutLogon, http.StatusUnauthorized, 3)
				return
			}
			s.expect(t, "right", withoutLogon, http.StatusOK, 4)
			if c.name == "header of an anonymous service" {
				checkHeaderNextToUntriedPassword(t, s)
			}
		})
	}
}

// checkHeaderNextToUntriedPassword checks that accepted headers are not sent together with a user's password that was
// not tried.
func checkHeaderNextToUntriedPassword(t *testing.T, s *secretService) {
	t.Helper()
	sent := len(s.received)
	s.entries = map[string]string{role.User: "me", role.Password: "half"}
	status, online := s.fetch(t, "wrong", withoutLogon)
	assert.Equal(t, []int{http.StatusBadGateway, sent}, []int{int(status), len(s.received)})
	assert.Equal(t, role.Password, online.skipped.setting, "the setting that was not tried")
	status, _ = s.fetch(t, "new", withoutLogon)
	assert.Equal(t, []int{http.StatusBadGateway, sent}, []int{int(status), len(s.received)})
}

// withLogon and withoutLogon are values of [Checker.Logon].
const withLogon, withoutLogon = true, false

// secretService is a service, or a proxy, that accepts only the value "right" of a secret setting.
type secretService struct {
	setting   string            // of a header or of a proxy's password
	entries   map[string]string // settings in addition to the secret and the address
	received  []string          // secrets, in the order of their requests
	url       *url.URL
	component *plugin.Component
	store     *lockouts.Store
}

func newSecretService(t *testing.T, setting string, entries map[string]string) *secretService {
	t.Helper()
	s := &secretService{setting: setting, entries: entries, store: lockouts.New()}
	s.component = resolvedtest.OfRoles(role.Scheme, role.Address, role.Port, role.User, role.Password, role.ProxyType,
		role.ProxyAddress, role.ProxyUser, role.ProxyPassword, role.Header+"{name}")
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	s.url = address
	return s
}

func (s *secretService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret := r.Header.Get("X-Api-Key")
	rejection := http.StatusUnauthorized
	right := "right"
	if s.setting == role.ProxyPassword {
		secret = r.Header.Get("Proxy-Authorization")
		rejection = http.StatusProxyAuthRequired
		right = "Basic " + base64.StdEncoding.EncodeToString([]byte("p:right"))
	}
	if secret == "" { // the request of a client that does not send the secret
		return
	}
	s.received = append(s.received, secret)
	if secret != right {
		w.WriteHeader(rejection)
	}
}

// fetch sends a request of a check of a connector with the secret. It returns the status of the response and the check.
func (s *secretService) fetch(t *testing.T, secret string, logon bool) (uint16, *onlineCheck) {
	t.Helper()
	settings := map[string]string{role.Scheme: "http", role.Address: s.url.Hostname(), role.Port: s.url.Port()}
	maps.Copy(settings, s.entries)
	if s.setting == role.ProxyPassword {
		settings[role.ProxyType] = "http"
		settings[role.ProxyAddress] = s.url.Host
	}
	if secret != "" {
		settings[s.setting] = secret
	}
	var lines []string
	for name, value := range settings {
		lines = append(lines, name+"="+value)
	}
	connector := resolve(t, s.component, strings.Join(lines, "\n"))
	ch := &Checker{Worker: connector.Worker, Wait: time.Minute, Lockouts: s.store, Logon: logon,
		Destinations: transport.NewOriginRegistry()}
	online := ch.newOnlineCheck(t.Context(), connector)
	defer online.close()
	answers, err := online.Fetch(t.Context(),
		wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET", Target: "/"}}})
	require.NoError(t, err)
	return answers[0].Status, online
}

// expect checks the status of a request with the secret, and how many requests had a secret until then.
func (s *secretService) expect(t *testing.T, secret string, logon bool, status uint16, sent int) {
	t.Helper()
	got, online := s.fetch(t, secret, logon)
	assert.Equal(t, []int{int(status), sent}, []int{int(got), len(s.received)}, secret)
	isPasswordUntried := s.entries[role.User] != "" && sent == 0 // the check names the user's password then
	if status == http.StatusBadGateway && !isPasswordUntried {
		assert.Equal(t, s.setting, online.skipped.setting, "the setting that was not tried")
	}
}
