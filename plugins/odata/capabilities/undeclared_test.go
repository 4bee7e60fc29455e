package capabilities

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
)

// The detail of the largest error passes the host unchanged, and the new state has all fields of the old one.
func TestLargestStaleErrorFits(t *testing.T) {
	connector := &Connector{Config: sinkconfig.Config{Component: sinkconfig.V2}}
	state := New(connector)
	for i := range maxUndeclared {
		name := fmt.Sprintf("%0*d", maxFieldName, i)
		assert.Equal(t, true, state.AddUndeclared(strings.Repeat("T", 1000), name), "is new")
	}
	assert.Equal(t, true, state.AddUndeclared("T", "one more"), "metadata of unknown age")
	detail := *state.StaleError("").Detail
	assert.True(t, shown.Text(detail) == detail, "expected %d bytes to pass the host", len(detail))
	restored := New(connector)
	fields := restored.Restore([]byte(detail), func(f UndeclaredField) bool { return strings.HasSuffix(f.Name, "7") })
	assert.Equal(t, maxUndeclared*9/10, len(fields), "fields that are still undeclared")
	assert.Equal(t, false, restored.AddUndeclared(fields[0].Type, fields[0].Name), "needs metadata again")
	restored.IsFresh = false
	assert.Equal(t, true, restored.AddUndeclared(fields[0].Type, fields[0].Name), "needs metadata after a minute")
}
