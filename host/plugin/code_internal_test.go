package plugin

import (
	"strings"
	"testing"
)

// A panic of the engine while it compiles is one module's error. Without a runtime the call panics.
func TestEngineThatPanics(t *testing.T) {
	if err := (&loader{}).compileInto(t.Context(), &code{}, nil, 0); err == nil || !strings.Contains(err.Error(), "the engine failed: ") {
		t.Errorf("expected an error, found %v", err)
	}
}
