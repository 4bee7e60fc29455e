package sink

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// If a transform changes the topic of records, the first record shows which topics of settings are never used, and
// which topics of records have no settings. Each is logged once.
func TestTopicsAfterTransforms(t *testing.T) {
	for name, c := range map[string]struct {
		accepted []string // the topics that the plugin accepts
		want     []string // a part of each log line about topics
	}{
		"all topics match": {accepted: []string{"sap.t"}},
		"no topic matches": {
			accepted: []string{"t"},
			want:     []string{`topic=sap.t read_from=t taken="one=t"`, `setting="one=t" arrived_in=sap.t`},
		},
		"one topic matches": {
			accepted: []string{"t", "sap.t"},
			want:     []string{`setting="one=t" arrived_in=sap.t`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out logtest.Journal
				x := newWorld(&writer{topics: c.accepted})
				x.o.Logger = out.Logger(slog.LevelError)
				x.o.Unmatched = &UnmatchedTopics{Settings: map[string]string{"t": "one"}, InputTopics: []string{"t"}}
				x.group.put("t", 0, "a=1", "b=2")
				x.o.NewChain = func(context.Context) (Chain, error) {
					return chainFunc(func(b *record.Batch) []wit.RowError {
						b.Topics = []string{"sap.t"}
						return nil
					}), nil
				}
				x.mustRun(t)
				var logged []string
				for line := range strings.Lines(out.String()) {
					if strings.Contains(line, "no setting names the topic") ||
						strings.Contains(line, "no record can reach") {
						logged = append(logged, line)
					}
				}
				assert.Equal(t, len(c.want), len(logged), logged)
				assert.Contains(t, strings.Join(logged, ""), c.want...)
			})
		})
	}
}
