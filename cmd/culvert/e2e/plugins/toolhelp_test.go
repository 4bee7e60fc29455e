package plugins

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Commands of the built-in plugins are listed with the others and say what they take, without a connector's file; to
// run they need one.
func TestCommandsOfPluginsAreListed(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	list := p.Run("--help")
	for _, name := range []string{"ping", "peek", "retire", "list-services", "list-entitysets", "extract-schema",
		"active-subscriptions", "delete-subscription"} {
		list.Exits(0).Prints("\n  " + name + " ")
		p.Run(name, "--help").Exits(0).Prints("culvert "+name+" -p FILE [flags]", "-p, --properties file")
		p.Run(name, "-s", "/x").Exits(2).Says("expected -p FILE")
	}
	p.Run("peek", "-h").Prints("-e, --entity-set string", "(default \"10\")")
	if strings.Count(list.Stdout, "\n  doctor ") != 1 {
		t.Errorf("doctor is a command of the program alone:\n%s", list.Stdout)
	}
}
