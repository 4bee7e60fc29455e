package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

// readAs returns the connector of a file with these lines, and its problems.
func readAs(path string, lines ...string) *Connector {
	entries, problems := Read(path, []byte(strings.Join(lines, "\n")))
	c, more := NewConnector(path, entries, nil)
	c.Problems = append(problems, more...)
	if _, named := c.Get("name"); !named && c.Problems.Err() != nil {
		c.Name = path
	}
	return c
}

func TestDiff(t *testing.T) {
	role := func(name, role string) wit.ConfigKey {
		return wit.ConfigKey{Name: name, Kind: wit.KindString, Rules: []wit.Rule{{Role: &role}}}
	}
	d := Declare(role("user", "http.user"), role("host", "http.address"), role("pwd", "http.password"),
		role("max", "retry.max"), role("via", "http.destination"))
	has := func(c *Connector) RunningConnector {
		return RunningConnector{Name: c.Name, File: c.File, Raw: c.Raw(), Rejected: c.Problems.Err() != nil}
	}
	a := readAs("a.properties", "name=a", "user=u", "pwd=p", "host=h")
	broken := func(path string) *Connector { return readAs(path+".json", "{") }
	unsettled := has(a)
	unsettled.HasFailed = true
	for _, test := range []struct {
		what  string
		have  []RunningConnector
		files []*Connector
		want  string
	}{
		{"nothing", []RunningConnector{has(a)}, []*Connector{readAs("b.properties", "host=h", "user=u", "pwd=p",
			"# in another order, and file",
			"name=a")}, "a nothing"},
		{"in place", []RunningConnector{has(a)},
			[]*Connector{readAs("a.properties", "name=a", "user=u", "pwd=q", "host=h", "max=1")},
			"a in place [max pwd]"},
		{"in place, but it has failed", []RunningConnector{unsettled},
			[]*Connector{readAs("a.properties", "name=a", "user=u", "pwd=q", "host=h")}, "a restart [pwd]"},
		{"another user", []RunningConnector{has(a)},
			[]*Connector{readAs("a.properties", "name=a", "user=v", "pwd=p", "host=h")}, "a restart [user]"},
		{"another service", []RunningConnector{has(a)},
			[]*Connector{readAs("a.properties", "name=a", "user=u", "pwd=q", "host=i")},
			"a restart [host pwd]"},
		{"an unknown setting", []RunningConnector{has(a)},
			[]*Connector{readAs("a.properties", "name=a", "user=u", "pwd=p", "host=h",
				"transforms=x")}, "a restart [transforms]"},
		{"the service of a destination", []RunningConnector{has(readAs("a.properties", "name=a", "via=D"))},
			[]*Connector{readAs("a.properties", "name=a", "via=D", "pwd=p")},
			"a restart [pwd]"},
		{"new and gone", []RunningConnector{has(a)}, []*Connector{readAs("b.properties", "x=1")}, "a remove; b create"},
		{"renamed in its file", []RunningConnector{has(a)}, []*Connector{readAs("a.properties", "name=b", "user=u")},
			"a remove; b create"},
		{"refused by the check", []RunningConnector{has(a)}, []*Connector{readAs("a.properties", "name=a", "bad=1")},
			"a refuse, goes on"},
		{"renamed and refused", []RunningConnector{has(a)}, []*Connector{readAs("a.properties", "name=b", "bad=1")},
			"a refuse, goes on"},
		{"cannot be read", []RunningConnector{has(readAs("a.json", `{"name":"a"}`))}, []*Connector{broken("a")},
			"a refuse, goes on"},
		{"new and bad", nil, []*Connector{readAs("b.properties", "bad=1")}, "b refuse"},
		{"bad as before", []RunningConnector{has(broken("a"))}, []*Connector{broken("a")}, "a.json refuse"},
		{"bad, and good now", []RunningConnector{has(broken("a"))}, []*Connector{readAs("a.json", `{"name":"a"}`)},
			"a create; a.json remove"},
		{"bad by its check, and good now", []RunningConnector{{Name: "a", File: "a.properties", Rejected: true}},
			[]*Connector{a},
			"a restart"},
		{"one name in two files", []RunningConnector{has(a), has(readAs("b.properties", "x=1"))},
			uniqueNames([]*Connector{readAs("a.properties", "name=a", "user=u", "host=h"),
				readAs("b.properties", "name=a")}), "a refuse, goes on; b refuse, goes on"},
		{"names that change places", []RunningConnector{has(readAs("a.properties", "name=x")),
			has(readAs("b.properties", "name=y"))},
			[]*Connector{readAs("a.properties", "name=y"), readAs("b.properties", "name=x")}, "x nothing; y nothing"},
	} {
		check := func(c *Connector) (problems Problems) {
			if e, ok := c.Entry("bad"); ok {
				problems = append(problems, e.problem("no"))
			}
			return problems
		}
		var found []string
		for _, s := range Diff(test.have, test.files, check, func(*Connector) *Declarations { return d }) {
			line := s.Name + " " + string(s.Action)
			if len(s.Settings) > 0 {
				line += fmt.Sprint(" ", s.Settings)
			}
			if s.KeepsRunning {
				line += ", goes on"
			}
			if (s.Action == Reject) != (s.Problems.Err() != nil) || (s.Connector == nil) != (s.Action == Remove) {
				t.Errorf("%s: found %+v", test.what, s)
			}
			found = append(found, line)
		}
		if diff := cmp.Diff(test.want, strings.Join(found, "; ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.what, diff)
		}
	}
}

// A warning about a file is not repeated with each scan of the folder.
func TestDiffRepeatsNoWarning(t *testing.T) {
	twice := readAs("a.properties", "name=a", "x=1", "x=2")
	now := RunningConnector{Name: "a", File: twice.File, Raw: twice.Raw(), Config: twice}
	for what, k := range map[string]struct {
		of       *Connector
		problems int
	}{"as it was given": {twice, 0}, "read again": {readAs("a.properties", "name=a", "x=1", "x=2"), 0},
		"with one more": {readAs("a.properties", "name=a", "x=1", "x=2", "x=2"), 1}} {
		steps := Diff([]RunningConnector{now}, []*Connector{k.of}, func(*Connector) Problems { return nil },
			func(*Connector) *Declarations { return Declare() })
		if len(steps) != 1 || steps[0].Action != NoChange || len(steps[0].Problems) != k.problems {
			t.Errorf("%s: expected nothing to do and %d warnings, found %+v", what, k.problems, steps)
		}
	}
}
