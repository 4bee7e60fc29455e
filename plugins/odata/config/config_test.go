package config

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// roles is the fixed list of what hosts use settings for.
var roles = strings.Fields(`http.scheme http.address http.port http.user http.password http.connect-timeout-ms http.read-timeout-ms
	http.auth http.client-in http.destination http.logoff-path http.max-connections http.max-concurrent http.requests-per-second http.maintenance-windows
	tls.keystore.location tls.keystore.password tls.keystore.type tls.keystore.key-password tls.keystore.alias
	tls.truststore.location tls.truststore.password tls.truststore.type tls.protocol tls.allow-legacy
	retry.codes retry.max retry.min-backoff-ms retry.max-backoff-ms sink.flush.rows sink.flush.interval-ms sink.in-flight sink.uncertain
	listener.ports listener.address`)

func TestDestinationByRole(t *testing.T) {
	table := &setting.Table{}
	Declare(table)
	seen := map[string]bool{}
	for _, s := range table.Specs() {
		role := s.Role()
		known := role == "" || strings.HasPrefix(role, "http.header.") || strings.HasPrefix(role, "http.oauth.") || strings.HasPrefix(role, "http.proxy.")
		for _, r := range roles {
			known = known || r == role
		}
		if !known {
			t.Errorf("%s: the host knows no role %s", s.Name, role)
		}
		if role != "" && seen[role] {
			t.Errorf("%s: role %s is given twice", s.Name, role)
		}
		seen[role] = true
		if s.Kind == wit.KindPassword && role == "" {
			t.Errorf("%s: a password that nobody but the host may see needs a role", s.Name)
		}
		if s.Documentation == "" {
			t.Errorf("%s: no documentation", s.Name)
		}
	}
	for _, r := range []string{"http.scheme", "http.address", "http.port", "http.user", "http.password", "http.connect-timeout-ms", "http.read-timeout-ms",
		"retry.codes", "retry.max", "retry.min-backoff-ms", "retry.max-backoff-ms", "http.header.sap-client", "http.header.sap-language"} {
		if !seen[r] {
			t.Errorf("no setting has role %s", r)
		}
	}
}
