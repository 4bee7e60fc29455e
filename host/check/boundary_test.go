package check

import (
	"fmt"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Transactions that end by an interval have one that is less than the time that brokers give them, with our own
// defaults, too.
func TestBoundary(t *testing.T) {
	const setting = "transaction.boundary.interval.ms"
	for _, c := range []struct {
		boundary, flush, given string
		want                   string
	}{
		{"poll", "", "", "0s"},
		{"interval", "", "", "30s"},
		{"interval", "5000", "", "5s"},
		{"interval", "3600000", "", "30s"},
		{"interval", "", "59000", "59s"},
		{"Interval", "3600000", "1", "1ms"},
		{"interval", "", "60000", setting},
		{"interval", "", "9223372036854775807", setting},
		{"poll", "", "60000", "0s"},
	} {
		entries := func(named ...string) (all []config.Entry) {
			for n := 0; n < len(named); n += 2 {
				if named[n+1] != "" {
					all = append(all, config.NewEntry(named[n], named[n+1], "x", n))
				}
			}
			return all
		}
		w, problems := config.NewWorker("w", entries("bootstrap.servers", "h:1", "group.id", "g",
			"exactly.once.source.support", "enabled", "offset.flush.interval.ms", c.flush), nil, nil)
		require.NoError(t, problems.Err())
		connector, _ := config.NewConnector("c", entries("name", "c", "transaction.boundary", c.boundary, setting,
			c.given), nil)
		every, err := Boundary(connector, w, time.Minute)
		got := every.String()
		k := &Checker{Worker: w}
		if found := k.boundary(connector, time.Minute); len(found) > 0 && err != nil {
			got = found[0].Setting
		} else if len(found) > 0 || err != nil {
			got = fmt.Sprint(found, err)
		}
		if got != c.want {
			t.Errorf("%v: expected %s, found %s", c, c.want, got)
		}
	}
}
