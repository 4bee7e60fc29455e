package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// unsupported are the problems of settings whose role the host does not act on yet: passing them over in silence could
// lose data or send secrets in the clear.
func unsupported(c *config.Connector, d *config.Declarations, found config.Problems) config.Problems {
	var problems config.Problems
	for _, e := range c.Entries {
		spec, ok := d.Find(e.Key)
		if !ok || spec.Role() == "" || setting.Trim(e.Value.Reveal()) == "" || isSupported(spec.Role()) {
			continue
		}
		if spec.DefaultValue != nil && strings.EqualFold(setting.Trim(e.Value.Reveal()), *spec.DefaultValue) {
			continue
		}
		if slices.ContainsFunc(found, func(p config.Problem) bool { return p.Setting == e.Key && !p.Warning }) {
			continue // the plugin has said so, or something worse
		}
		problems = append(problems, problem(e, fmt.Errorf("not built yet (the host does nothing about %s)",
			spec.Role())))
	}
	return problems
}

func isSupported(name string) bool {
	r, known := role.Find(name)
	return known && !r.Later
}
