//go:build real

package real

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// liveRows is the number of rows that TestLive writes.
const liveRows = "5"

// TestLive runs against the system that variables name; `make test-live` lists them. It reads first, and writes only
// into CULVERT_LIVE_WRITE_SET, after everything else has succeeded.
func TestLive(t *testing.T) {
	names := []string{"CONNECTION", "CLOUD_CONNECTOR", "SERVICE", "SET", "DELTA_SET", "WRITE_SET"}
	var missing []string
	values := map[string]string{}
	for _, name := range names {
		if values[name] = os.Getenv("CULVERT_LIVE_" + name); values[name] == "" {
			missing = append(missing, "CULVERT_LIVE_"+name)
		}
	}
	require.True(t, len(missing) == 0,
		"expected a system to test, found no value of %s; see the head of the Makefile", strings.Join(missing, ", "))
	if writeSet := values["WRITE_SET"]; writeSet == values["SET"] || writeSet == values["DELTA_SET"] {
		t.Fatalf("CULVERT_LIVE_WRITE_SET: expected a set that nothing else reads, found %s", writeSet)
	}
	p := e2etest.NewPlace(t)
	plugins := e2etest.Plugins(t, "odata-sink")
	connector := func(name, connection, class string, settings ...string) (file string) {
		content, err := os.ReadFile(values[connection])
		require.NoError(t, err)
		return p.File(name+".properties", append([]string{string(content), "name=" + name, "connector.class=" + class,
			"tasks.max=1"}, settings...)...)
	}
	settingsOf := func(name, topic string, more ...string) []string {
		return setSettings(0, values["SERVICE"], name, topic, more...)
	}
	mustSucceed := func(step string, args ...string) e2etest.Result {
		t.Helper()
		r := p.Run(append(args, "--plugins", plugins, "--data", p.Data)...)
		if r.Code != 0 {
			t.Fatalf("%s: culvert %s: expected exit 0, found %d\n%s", step, args[0], r.Code, r.Stderr)
		}
		t.Logf("%s: culvert %s succeeded", step, args[0])
		return r
	}
	count := func(topic string) int {
		return strings.Count(p.MustRun("consume", topic, "--data", p.Data).Stdout, "\n")
	}

	tour := connector("tour", "CONNECTION", "ODataSource", settingsOf(values["SET"], "live")...)
	mustSucceed("tour", "validate", tour)
	mustSucceed("tour", "ping", "-p", tour)
	mustSucceed("tour", "run", "--once", "--timeout", "30m", tour)
	require.True(t, count("live") != 0, "CULVERT_LIVE_SET: expected rows in %s, found none", values["SET"])

	delta := connector("delta", "CONNECTION", "ODataSource", settingsOf(values["DELTA_SET"], "live-delta",
		"track-changes=1", "exec-period=1")...)
	mustSucceed("delta load", "run", "--once", "--timeout", "30m", delta)
	first := count("live-delta")
	mustSucceed("delta load", "run", "--once", "--timeout", "30m", delta)
	if second := count("live-delta") - first; first == 0 || second >= first {
		t.Fatalf("delta load: expected rows, then only changes, found %d and then %d records", first, second)
	}

	routed := connector("routed", "CLOUD_CONNECTOR", "ODataSource", settingsOf(values["SET"], "live-routed")...)
	mustSucceed("Cloud Connector", "run", "--once", "--timeout", "30m", routed)
	require.True(t, count("live-routed") != 0, "Cloud Connector: expected rows, found none")

	mustSucceed("batch", "peek", "-p", tour, "-s", values["SERVICE"], "-e", values["WRITE_SET"], "-n", "1")
	p.Stdin = p.MustRun("consume", "live", "-n", liveRows, "--data", p.Data).Stdout
	p.MustRun("produce", "live-writes", "--create", "--json", "--data", p.Data)
	p.Stdin = ""
	batch := connector("batch", "CONNECTION", "ODataSink", append(settingsOf(values["WRITE_SET"], "live-writes"),
		"topics=live-writes", "sap.odata.enable.batch=1", "sap.odata.operation.mode=upsert")...)
	mustSucceed("batch", "run", "--once", "--timeout", "30m", batch)
	written := connector("written", "CONNECTION", "ODataSource", settingsOf(values["WRITE_SET"], "live-written")...)
	mustSucceed("batch", "run", "--once", "--timeout", "30m", written)
	if count("live-written") < count("live-writes") {
		t.Errorf("batch: expected %d rows in %s, found %d", count("live-writes"), values["WRITE_SET"],
			count("live-written"))
	}
}
