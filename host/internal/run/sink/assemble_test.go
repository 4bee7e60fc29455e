package sink

import (
	"github.com/culvert-project/culvert/host/plugin"
)

// VersionsOf makes a binding what a task runs.
func VersionsOf(b *plugin.Binding) Versions { return Bound(b, nil) }
