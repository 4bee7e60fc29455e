package plugins

import (
	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"strings"
	"testing"
)

// Commands of the built-in plugins are listed with the others and say what they take, without a connector's file; to
// run they need one.
func TestCommandsOfPluginsAreListed(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	list := p.Run("--help")
	for _, name := range []string{"ping", "peek", "retire", "list-services", "list-entitysets", "extract-schema",
		"active-subscriptions", "delete-subscription"} {
		if list.Code != 0 || !strings.Contains(list.Stdout, "\n  "+name+" ") {
			t.Errorf("exit %d, %s is not listed:\n%s", list.Code, name, list.Stdout)
		}
		if r := p.Run(name, "--help"); r.Code != 0 ||
			!strings.Contains(r.Stdout, "culvert "+name+" -p FILE [flags]") ||
			!strings.Contains(r.Stdout, "-p, --properties file") {
			t.Errorf("%s --help: exit %d\n%s%s", name, r.Code, r.Stdout, r.Stderr)
		}
		if r := p.Run(name, "-s", "/x"); r.Code != 2 || !strings.Contains(r.Stderr, "expected -p FILE") {
			t.Errorf("%s without a file: exit %d\n%s", name, r.Code, r.Stderr)
		}
	}
	if r := p.Run("peek", "-h"); !strings.Contains(r.Stdout, "-e, --entity-set string") ||
		!strings.Contains(r.Stdout, "(default \"10\")") {
		t.Errorf("the options of peek:\n%s", r.Stdout)
	}
	if strings.Count(list.Stdout, "\n  doctor ") != 1 {
		t.Errorf("doctor is a command of the program alone:\n%s", list.Stdout)
	}
}
