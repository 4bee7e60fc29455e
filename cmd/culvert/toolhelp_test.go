package main

import (
	"strings"
	"testing"
)

// Commands of the built-in plugins are listed with the others and say what they take, without a connector's file; to
// run they need one.
func TestCommandsOfPluginsAreListed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	list := p.run("--help")
	for _, name := range []string{"ping", "peek", "retire", "list-services", "list-entitysets", "extract-schema",
		"active-subscriptions", "delete-subscription"} {
		if list.code != exitDone || !strings.Contains(list.stdout, "\n  "+name+" ") {
			t.Errorf("exit %d, %s is not listed:\n%s", list.code, name, list.stdout)
		}
		if r := p.run(name, "--help"); r.code != exitDone ||
			!strings.Contains(r.stdout, "culvert "+name+" -p FILE [flags]") ||
			!strings.Contains(r.stdout, "-p, --properties file") {
			t.Errorf("%s --help: exit %d\n%s%s", name, r.code, r.stdout, r.stderr)
		}
		if r := p.run(name, "-s", "/x"); r.code != exitWrong || !strings.Contains(r.stderr, "expected -p FILE") {
			t.Errorf("%s without a file: exit %d\n%s", name, r.code, r.stderr)
		}
	}
	if r := p.run("peek", "-h"); !strings.Contains(r.stdout, "-e, --entity-set string") ||
		!strings.Contains(r.stdout, "(default \"10\")") {
		t.Errorf("the options of peek:\n%s", r.stdout)
	}
	if strings.Count(list.stdout, "\n  doctor ") != 1 {
		t.Errorf("doctor is a command of the program alone:\n%s", list.stdout)
	}
}
