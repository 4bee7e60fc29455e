package plugin_test

import (
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/plugin"
)

// trapped expects a trap whose text holds what is wanted.
func trapped(t *testing.T, err error, want ...string) *plugin.Trap {
	t.Helper()
	var trap *plugin.Trap
	if !errors.As(err, &trap) {
		t.Errorf("expected a trap, found %v", err)
		return nil
	}
	for _, w := range append(want, "plugin "+trap.Plugin+" "+trap.Version) {
		assert.Contains(t, trap.Error(), w)
	}
	return trap
}
