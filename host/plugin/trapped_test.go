package plugin_test

import (
	"errors"
	"strings"
	"testing"

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
		if !strings.Contains(trap.Error(), w) {
			t.Errorf("expected %q in the trap, found %v", w, trap)
		}
	}
	return trap
}
