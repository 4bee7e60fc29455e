package setup

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
)

// The progress of a start counts the connectors that were checked, also those that need no check.
func TestProgressCountsCheckedConnectors(t *testing.T) {
	invalid := &config.Connector{Name: "b", Problems: config.Problems{{Text: "invalid"}}}
	connectors := []*config.Connector{{Name: "a"}, invalid, {Name: "c"}}
	in := &Installation{Installation: &config.Installation{Connectors: connectors},
		Checker: &check.Checker{Connectors: resolved.Resolver{}.ResolveAll(connectors)}}
	texts := []string{in.Progress()}
	in.Examine(ToRun, func(*resolved.Connector) config.Problems {
		texts = append(texts, in.Progress())
		return nil
	})
	texts = append(texts, in.Progress())
	assert.Equal(t, []string{"", "Connectors are being checked: 0 of 3.", "Connectors are being checked: 2 of 3.", ""},
		texts)
}
