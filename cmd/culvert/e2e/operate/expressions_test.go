package operate

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// An expression of 60,000 classes is an error of its setting, wherever an expression may stand, and costs nothing.
func TestLongExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	f := e2etest.NewPlace(t).FollowsWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf", "rest.read.only=true")
	long := strings.Repeat(`\pL`, 60_000)
	source, sink := e2etest.Configuration(e2etest.Source("a", "127.0.0.1:1", "Orders")),
		e2etest.Configuration(e2etest.SinkOf("a", "127.0.0.1:1", "orders", "Orders"))
	for setting, c := range map[string]struct{ base, more map[string]string }{
		"topics.regex": {sink, map[string]string{"topics": ""}},
		"topic.creation.g.include": {source, map[string]string{"topic.creation.groups": "g",
			"topic.creation.g.replication.factor": "1", "topic.creation.g.partitions": "1"}},
		"sap.odata#00.delta.link.regex": {source, nil},
		"transforms.t.regex": {source, map[string]string{"transforms": "t", "transforms.t.replacement": "x",
			"transforms.t.type": "org.apache.kafka.connect.transforms.RegexRouter"}},
		"predicates.p.pattern": {source, map[string]string{"predicates": "p",
			"predicates.p.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"}},
	} {
		t.Run(setting, func(t *testing.T) {
			given := map[string]string{setting: long}
			for _, settings := range []map[string]string{c.base, c.more} {
				for name, value := range settings {
					given[name] = value
				}
			}
			if setting == "topics.regex" {
				delete(given, "topics")
			}
			_, found := f.Checked(given)
			errors := strings.Join(found[setting].Value.Errors, "\n")
			e2etest.Contains(t, "errors of "+setting, errors[max(0, len(errors)-300):],
				"at most 1000 characters, found 180000")
		})
	}
}
