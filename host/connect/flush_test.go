package connect

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Where only the worker says how often offsets are written, a sink writes its records as often.
func TestFlushInterval(t *testing.T) {
	component := wit.Component{Name: "C", Kind: wit.ComponentSink, Settings: []wit.ConfigKey{
		setting.Define("x.flush.ms", wit.KindLong, wit.Low, setting.Default("1000"), "",
			setting.Role(role.SinkFlushIntervalMS))}}
	for _, c := range []struct {
		worker, connector string
		want              time.Duration
	}{{"", "", time.Second}, {"250", "", 250 * time.Millisecond}, {"250", "40", 40 * time.Millisecond},
		{"", "40", 40 * time.Millisecond}} {
		entries := func(name, value string) []config.Entry {
			if value == "" {
				return nil
			}
			return []config.Entry{config.NewEntry(name, value, "x.properties", 0)}
		}
		worker, problems := config.NewWorker("", entries("offset.flush.interval.ms", c.worker), nil, nil)
		connector, more := config.NewConnector("", entries("x.flush.ms", c.connector), worker.Providers)
		if len(problems)+len(more) > 0 {
			t.Fatal(problems, more)
		}
		if found := flushEvery(connector.Roles(component),
			worker); found != c.want {
			t.Errorf("worker %q, connector %q: expected %v, found %v", c.worker, c.connector, c.want, found)
		}
	}
}
