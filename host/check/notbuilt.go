package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
)

// builtRoles are those that the host acts on. A role that ends in a dot stands for all below it.
var builtRoles = []string{"http.scheme", "http.address", "http.port", "http.user", "http.password", "http.connect-timeout-ms",
	"http.read-timeout-ms", "http.header.", "http.query.", "http.login.", "http.origins", "http.client-in", "http.auth", "http.oauth.", "http.proxy.", "http.destination", "http.max-concurrent",
	"http.max-connections", "http.requests-per-second", "http.maintenance-windows", "http.logoff-path", "tls.", "retry.", roleTopic}

// sinkRoles are those that a sink's task acts on.
var sinkRoles = []string{"sink.flush.rows", "sink.flush.interval-ms", "sink.in-flight", roleTaken}

// notBuilt are the problems of settings whose role the host does not act on yet: passing them over in silence could lose data or
// send secrets in the clear.
func notBuilt(c *config.Connector, d *config.Declarations, found config.Problems) config.Problems {
	var problems config.Problems
	for _, e := range c.Entries {
		spec, ok := d.Find(e.Key)
		if !ok || spec.Role() == "" || strings.TrimSpace(e.Value) == "" || built(spec.Role()) {
			continue
		}
		if spec.DefaultValue != nil && strings.EqualFold(strings.TrimSpace(e.Value), *spec.DefaultValue) {
			continue
		}
		if slices.ContainsFunc(found, func(p config.Problem) bool { return p.Setting == e.Key && !p.Warning }) {
			continue // the plugin has said so, or something worse
		}
		problems = append(problems, problem(e, fmt.Errorf("not built yet (the host does nothing about %s)", spec.Role())))
	}
	return problems
}

func built(role string) bool {
	for _, b := range append(builtRoles, sinkRoles...) {
		if role == b || strings.HasSuffix(b, ".") && strings.HasPrefix(role, b) {
			return true
		}
	}
	return false
}
