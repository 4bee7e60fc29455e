package transport

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

func TestLimitsByRole(t *testing.T) {
	var c Config
	if err := readLimits(&c, roleMap{"http.max-concurrent": "7", "http.max-connections": "3",
		"http.requests-per-second": "0.5",
		"http.maintenance-windows": "0 0 22 ? * SAT/4h Europe/Berlin; 0 0 1 * * ?/1h", "http.logoff-path": "/bye"},
		Environment{}); err != nil {
		t.Fatal(err)
	}
	if c.Limits.Concurrent != 7 || c.Limits.Connections != 3 || c.Limits.PerSecond != 0.5 ||
		len(c.Limits.Windows) != 2 || c.LogoffPath != "/bye" {
		t.Errorf("%+v, %q", c.Limits, c.LogoffPath)
	}
	for role, text := range map[string]string{"http.max-concurrent": "-1", "http.max-connections": "many",
		"http.requests-per-second": "NaN",
		"http.maintenance-windows": "on Sundays", "http.logoff-path": "http://elsewhere/"} {
		err := readLimits(&c, roleMap{role: text}, Environment{})
		wantFault(t, err, wit.ErrorConfig, text)
		if f := err.(*wit.Error); f.Setting == nil || *f.Setting != roleMap(nil).Setting(role) {
			t.Errorf("%s: expected the setting to be named, found %v", role, f.Setting)
		}
	}
}

// The role's default outage equals the route's default, a separate constant, since brokers use routes too.
func TestDefaultOutageOfRole(t *testing.T) {
	assert.Equal(t, route.DefaultOutage, defaultMilliseconds(role.ProxyOutageMS))
}
