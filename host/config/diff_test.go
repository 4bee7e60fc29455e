package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

// readAs is what a file of these lines holds, and what is wrong with it.
func readAs(path string, lines ...string) *Connector {
	entries, problems := Read(path, []byte(strings.Join(lines, "\n")))
	c, more := NewConnector(path, entries, nil)
	c.Problems = append(problems, more...)
	if _, named := c.Get("name"); !named && c.Problems.Err() != nil {
		c.Name = path
	}
	return c
}

func TestPlan(t *testing.T) {
	role := func(name, role string) wit.SettingSpec {
		return wit.SettingSpec{Name: name, Kind: wit.KindText, Rules: []wit.Rule{{Role: &role}}}
	}
	d := Declare(role("user", "http.user"), role("host", "http.address"), role("max", "retry.max"), role("via",
		"http.destination"))
	has := func(c *Connector) Now {
		return Now{Name: c.Name, File: c.File, Written: c.Raw(), Refused: c.Problems.Err() != nil}
	}
	a := readAs("a.properties", "name=a", "user=u", "host=h")
	broken := func(path string) *Connector { return readAs(path+".json", "{") }
	unsettled := has(a)
	unsettled.Unsettled = true
	for _, k := range []struct {
		what  string
		have  []Now
		files []*Connector
		want  string
	}{
		{"nothing", []Now{has(a)}, []*Connector{readAs("b.properties", "host=h", "user=u", "# in another order, and file",
			"name=a")}, "a nothing"},
		{"in place", []Now{has(a)}, []*Connector{readAs("a.properties", "name=a", "user=v", "host=h", "max=1")},
			"a in place [max user]"},
		{"in place, but it has failed", []Now{unsettled}, []*Connector{readAs("a.properties", "name=a", "user=v",
			"host=h")}, "a restart [user]"},
		{"another service", []Now{has(a)}, []*Connector{readAs("a.properties", "name=a", "user=v", "host=i")},
			"a restart [host user]"},
		{"an unknown setting", []Now{has(a)}, []*Connector{readAs("a.properties", "name=a", "user=u", "host=h",
			"transforms=x")}, "a restart [transforms]"},
		{"the service of a destination", []Now{has(readAs("a.properties", "name=a", "via=D"))},
			[]*Connector{readAs("a.properties", "name=a", "via=D", "user=u")},
			"a restart [user]"},
		{"new and gone", []Now{has(a)}, []*Connector{readAs("b.properties", "x=1")}, "a remove; b create"},
		{"renamed in its file", []Now{has(a)}, []*Connector{readAs("a.properties", "name=b", "user=u")},
			"a remove; b create"},
		{"refused by the check", []Now{has(a)}, []*Connector{readAs("a.properties", "name=a", "bad=1")},
			"a refuse, goes on"},
		{"renamed and refused", []Now{has(a)}, []*Connector{readAs("a.properties", "name=b", "bad=1")},
			"a refuse, goes on"},
		{"cannot be read", []Now{has(readAs("a.json", `{"name":"a"}`))}, []*Connector{broken("a")}, "a refuse, goes on"},
		{"new and bad", nil, []*Connector{readAs("b.properties", "bad=1")}, "b refuse"},
		{"bad as before", []Now{has(broken("a"))}, []*Connector{broken("a")}, "a.json refuse"},
		{"bad, and good now", []Now{has(broken("a"))}, []*Connector{readAs("a.json", `{"name":"a"}`)},
			"a create; a.json remove"},
		{"bad by its check, and good now", []Now{{Name: "a", File: "a.properties", Refused: true}}, []*Connector{a},
			"a restart"},
		{"one name in two files", []Now{has(a), has(readAs("b.properties", "x=1"))},
			namedApart([]*Connector{readAs("a.properties", "name=a", "user=u", "host=h"),
				readAs("b.properties", "name=a")}), "a refuse, goes on; b refuse, goes on"},
		{"names that change places", []Now{has(readAs("a.properties", "name=x")), has(readAs("b.properties", "name=y"))},
			[]*Connector{readAs("a.properties", "name=y"), readAs("b.properties", "name=x")}, "x nothing; y nothing"},
	} {
		check := func(c *Connector) (problems Problems) {
			if e, ok := c.Entry("bad"); ok {
				problems = append(problems, e.problem("no"))
			}
			return problems
		}
		var found []string
		for _, s := range Plan(k.have, k.files, check, func(*Connector) *Declarations { return d }) {
			line := s.Name + " " + string(s.Effect)
			if len(s.Settings) > 0 {
				line += fmt.Sprint(" ", s.Settings)
			}
			if s.Goes {
				line += ", goes on"
			}
			if (s.Effect == Refuse) != (s.Problems.Err() != nil) || (s.Connector == nil) != (s.Effect == Remove) {
				t.Errorf("%s: found %+v", k.what, s)
			}
			found = append(found, line)
		}
		if diff := cmp.Diff(k.want, strings.Join(found, "; ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", k.what, diff)
		}
	}
}

// What a file was warned of is not said again with each look at the folder.
func TestPlanRepeatsNoWarning(t *testing.T) {
	twice := readAs("a.properties", "name=a", "x=1", "x=2")
	now := Now{Name: "a", File: twice.File, Written: twice.Raw(), Given: twice}
	for what, k := range map[string]struct {
		of       *Connector
		problems int
	}{"as it was given": {twice, 0}, "read again": {readAs("a.properties", "name=a", "x=1", "x=2"), 0},
		"with one more": {readAs("a.properties", "name=a", "x=1", "x=2", "x=2"), 1}} {
		steps := Plan([]Now{now}, []*Connector{k.of}, func(*Connector) Problems { return nil },
			func(*Connector) *Declarations { return Declare() })
		if len(steps) != 1 || steps[0].Effect != Nothing || len(steps[0].Problems) != k.problems {
			t.Errorf("%s: expected nothing to do and %d warnings, found %+v", what, k.problems, steps)
		}
	}
}
