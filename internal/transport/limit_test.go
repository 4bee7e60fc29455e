package transport

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Limits are read from roles. The error of an invalid value names the setting.
func TestLimitsByRole(t *testing.T) {
	var c Config
	err := readLimits(&c, roleMap{
		"http.max-concurrent":      "7",
		"http.max-connections":     "3",
		"http.requests-per-second": "0.5",
		"http.maintenance-windows": "0 0 22 ? * SAT/4h Europe/Berlin; 0 0 1 * * ?/1h",
		"http.logoff-path":         "/bye",
	}, Environment{})
	require.NoError(t, err)
	assert.True(t, c.Limits.Concurrent == 7 && c.Limits.Connections == 3 && c.Limits.PerSecond == 0.5 &&
		len(c.Limits.Windows) == 2 && c.LogoffPath == "/bye",
		"found limits %+v, log-off path %q", c.Limits, c.LogoffPath)

	for role, value := range map[string]string{
		"http.max-concurrent":      "-1",
		"http.max-connections":     "many",
		"http.requests-per-second": "NaN",
		"http.maintenance-windows": "on Sundays",
		"http.logoff-path":         "http://elsewhere/",
	} {
		err := readLimits(&c, roleMap{role: value}, Environment{})
		wantFault(t, err, wit.ErrorConfig, value)
		if f := err.(*wit.Error); f.Setting == nil || *f.Setting != roleMap(nil).Setting(role) {
			t.Errorf("%s: expected the setting to be named, found %v", role, f.Setting)
		}
	}
}

// The default outage of the role equals that of package route, which has its own constant since Kafka brokers use
// routes, too.
func TestDefaultOutageOfRole(t *testing.T) {
	assert.Equal(t, route.DefaultOutage, defaultMilliseconds(role.ProxyOutageMS))
}
