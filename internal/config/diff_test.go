package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

// readAs parses the lines of a file.
func readAs(path string, lines ...string) *Connector {
	entries, problems := Read(path, []byte(strings.Join(lines, "\n")))
	connector, more := NewConnector(path, entries, nil)
	connector.Problems = append(problems, more...)
	if _, named := connector.Get("name"); !named && connector.Problems.Err() != nil {
		connector.Name = path
	}
	return connector
}

func TestDiff(t *testing.T) {
	role := func(name, role string) wit.ConfigKey {
		return wit.ConfigKey{Name: name, Kind: wit.KindString, Rules: []wit.Rule{{Role: &role}}}
	}
	declarations := Declare(role("user", "http.user"), role("host", "http.address"), role("max", "retry.max"),
		role("via",
			"http.destination"))
	has := func(connector *Connector) RunningConnector {
		return RunningConnector{Name: connector.Name, File: connector.File, Raw: connector.Raw(),
			Rejected: connector.Problems.Err() != nil}
	}
	running := readAs("a.properties", "name=a", "user=u", "host=h")
	broken := func(path string) *Connector { return readAs(path+".json", "{") }
	unsettled := has(running)
	unsettled.HasFailed = true
	for _, test := range []struct {
		what  string
		have  []RunningConnector
		files []*Connector
		want  string
	}{
		{"nothing", []RunningConnector{has(running)}, []*Connector{readAs("b.properties", "host=h", "user=u",
			"# in another order, and file",
			"name=a")}, "a nothing"},
		{"in place", []RunningConnector{has(running)},
			[]*Connector{readAs("a.properties", "name=a", "user=v", "host=h", "max=1")},
			"a in place [max user]"},
		{"in place, but it has failed", []RunningConnector{unsettled},
			[]*Connector{readAs("a.properties", "name=a", "user=v",
				"host=h")}, "a restart [user]"},
		{"another service", []RunningConnector{has(running)},
			[]*Connector{readAs("a.properties", "name=a", "user=v", "host=i")},
			"a restart [host user]"},
		{"an unknown setting", []RunningConnector{has(running)},
			[]*Connector{readAs("a.properties", "name=a", "user=u", "host=h",
				"transforms=x")}, "a restart [transforms]"},
		{"the service of a destination", []RunningConnector{has(readAs("a.properties", "name=a", "via=D"))},
			[]*Connector{readAs("a.properties", "name=a", "via=D", "user=u")},
			"a restart [user]"},
		{"new and gone", []RunningConnector{has(running)}, []*Connector{readAs("b.properties", "x=1")},
			"a remove; b create"},
		{"renamed in its file", []RunningConnector{has(running)},
			[]*Connector{readAs("a.properties", "name=b", "user=u")},
			"a remove; b create"},
		{"refused by the check", []RunningConnector{has(running)},
			[]*Connector{readAs("a.properties", "name=a", "bad=1")},
			"a refuse, goes on"},
		{"renamed and refused", []RunningConnector{has(running)},
			[]*Connector{readAs("a.properties", "name=b", "bad=1")},
			"a refuse, goes on"},
		{"cannot be read", []RunningConnector{has(readAs("a.json", `{"name":"a"}`))}, []*Connector{broken("a")},
			"a refuse, goes on"},
		{"new and bad", nil, []*Connector{readAs("b.properties", "bad=1")}, "b refuse"},
		{"bad as before", []RunningConnector{has(broken("a"))}, []*Connector{broken("a")}, "a.json refuse"},
		{"bad, and good now", []RunningConnector{has(broken("a"))}, []*Connector{readAs("a.json", `{"name":"a"}`)},
			"a create; a.json remove"},
		{"bad by its check, and good now", []RunningConnector{{Name: "a", File: "a.properties", Rejected: true}},
			[]*Connector{running},
			"a restart"},
		{"one name in two files", []RunningConnector{has(running), has(readAs("b.properties", "x=1"))},
			uniqueNames([]*Connector{readAs("a.properties", "name=a", "user=u", "host=h"),
				readAs("b.properties", "name=a")}), "a refuse, goes on; b refuse, goes on"},
		{"names that change places", []RunningConnector{has(readAs("a.properties", "name=x")),
			has(readAs("b.properties", "name=y"))},
			[]*Connector{readAs("a.properties", "name=y"), readAs("b.properties", "name=x")}, "x nothing; y nothing"},
	} {
		check := func(connector *Connector) (problems Problems) {
			if entry, ok := connector.Entry("bad"); ok {
				problems = append(problems, entry.problem("no"))
			}
			return problems
		}
		var found []string
		for _, change := range Diff(test.have, test.files, check,
			func(*Connector) *Declarations { return declarations }) {
			line := change.Name + " " + string(change.Action)
			if len(change.Settings) > 0 {
				line += fmt.Sprint(" ", change.Settings)
			}
			if change.KeepsRunning {
				line += ", goes on"
			}
			if (change.Action == Reject) != (change.Problems.Err() != nil) ||
				(change.Connector == nil) != (change.Action == Remove) {
				t.Errorf("%s: found %+v", test.what, change)
			}
			found = append(found, line)
		}
		if diff := cmp.Diff(test.want, strings.Join(found, "; ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.what, diff)
		}
	}
}

// A warning is not repeated by each scan of the folder.
func TestDiffRepeatsNoWarning(t *testing.T) {
	twice := readAs("a.properties", "name=a", "x=1", "x=2")
	current := RunningConnector{Name: "a", File: twice.File, Raw: twice.Raw(), Config: twice}
	for prefix, k := range map[string]struct {
		of       *Connector
		problems int
	}{"as it was given": {twice, 0}, "read again": {readAs("a.properties", "name=a", "x=1", "x=2"), 0},
		"with one more": {readAs("a.properties", "name=a", "x=1", "x=2", "x=2"), 1}} {
		steps := Diff([]RunningConnector{current}, []*Connector{k.of}, func(*Connector) Problems { return nil },
			func(*Connector) *Declarations { return Declare() })
		if len(steps) != 1 || steps[0].Action != NoChange || len(steps[0].Problems) != k.problems {
			t.Errorf("%s: expected nothing to do and %d warnings, found %+v", prefix, k.problems, steps)
		}
	}
}
