package resolved

import (
	"fmt"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Roles return the values of settings by their role, with aliases and defaults.
func TestRoles(t *testing.T) {
	written := resolvedtest.Connector(t, "connector.class=x\nshop.address= host "+
		"\nshop.pwd=secret\nshop.protocol=HTTP\nshop.client=100\nshop.codes=408, 503,/IWBEP/CM 7")
	r := Resolver{}.ResolveAs(written, resolvedtest.Shop()).Roles()
	if got := fmt.Sprint(r.Text("http.address"), " ", r.Int("http.port"), " ", r.Text("http.scheme"), " ",
		r.Text("http.password"), " ",
		r.Duration("http.read-timeout-ms"), " ", r.Has("http.user"), " ", r.Setting("http.user"), " ",
		r.Text("retry.codes")); got != "host 0 http secret 1m0s false shop.user 408, 503,/IWBEP/CM 7" {
		t.Errorf("expected the settings and defaults by role, found %s", got)
	}
	assert.Equal(t, map[string]string{"sap-client": "100"}, r.Prefix("http.header."))
}

// Setting names that end with a word of the user's list are secret.
func TestUserSecretNames(t *testing.T) {
	component := plugin.NewComponent(&wit.Component{Settings: []wit.ConfigKey{
		resolvedtest.Declare("x.header.{name}", wit.KindPassword, "", setting.Role("http.header.{name}")),
		resolvedtest.Declare("x.header.fixed", wit.KindString, "")}})
	written := resolvedtest.Connector(t, "x.header.API-Key=k\nx.header.fixed=f\nx.header.=e")
	r := Resolver{}.ResolveAs(written, component).Roles()
	if headers := r.Prefix("http.header."); len(headers) != 1 || headers["API-Key"] != "k" ||
		r.Setting("http.header.API-Key") != "x.header.API-Key" || !r.IsSet("http.header.API-Key") {
		t.Errorf("expected the header API-Key, found %v by %s", headers, r.Setting("http.header.API-Key"))
	}
	_, ok := component.Table().Find("x.header.")
	assert.True(t, !ok, "expected no declaration for an empty name")
	assert.Equal(t, "x.header.API", component.Table().Nearest("x.heder.API"), "the nearest setting")
}

// The largest LONG means "forever".
func TestLargestDurationMeansForever(t *testing.T) {
	const largest = "9223372036854775807"
	w := resolvedtest.Worker(t, "task.shutdown.graceful.timeout.ms="+largest)
	r := Roles{byRole: map[string]roleValue{role.SinkFlushIntervalMS: {value: largest}}}
	const long = 50 * 365 * 24 * time.Hour
	for _, d := range []time.Duration{w.Duration("task.shutdown.graceful.timeout.ms"),
		r.Duration(role.SinkFlushIntervalMS)} {
		assert.True(t, d >= long && d+long >= d, "expected a very long time, found %v", d)
	}
}
