package resolved

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// readConnector returns the connector of a file with these lines, and its problems. Five of its settings have roles.
func readConnector(path string, lines ...string) *Connector {
	entries, problems := config.Read(path, []byte(strings.Join(lines, "\n")))
	c, more := config.NewConnector(path, entries, nil)
	c.Problems = append(problems, more...)
	if _, named := c.Get("name"); !named && c.Problems.Err() != nil {
		c.Name = path
	}
	return resolveDiffed(c)
}

func resolveDiffed(c *config.Connector) *Connector {
	declare := func(name, role string) wit.ConfigKey {
		return resolvedtest.Declare(name, wit.KindString, "", setting.Role(role))
	}
	return Resolver{}.ResolveAs(c, plugin.NewComponent(&wit.Component{Settings: []wit.ConfigKey{
		declare("user", role.User), declare("host", role.Address), declare("pwd", role.Password),
		declare("max", role.RetryMax), declare("via", role.Destination)}}))
}

// runningConnector returns the connector as a worker runs it.
func runningConnector(c *Connector) RunningConnector {
	return RunningConnector{Name: c.Name, File: c.File, Raw: c.Raw(), Rejected: c.Problems.Err() != nil}
}

// brokenConnector returns the connector of a file that cannot be read.
func brokenConnector(name string) *Connector { return readConnector(name+".json", "{") }

// A diffCase is the files of a folder next to the connectors that run, and the steps between them.
type diffCase struct {
	name    string
	running []RunningConnector
	files   []*Connector
	want    string
}

// A changed file changes its connector in place if it is settled and only its credentials and limits differ.
// Otherwise the connector restarts.
func TestDiffAppliesChangedFiles(t *testing.T) {
	a := readConnector("a.properties", "name=a", "user=u", "pwd=p", "host=h")
	failed := runningConnector(a)
	failed.HasFailed = true
	file := func(lines ...string) []*Connector { return []*Connector{readConnector("a.properties", lines...)} }
	runs := func(connectors ...RunningConnector) []RunningConnector { return connectors }
	for _, c := range []diffCase{
		{name: "in another order, and file", running: runs(runningConnector(a)), want: "a nothing", files: []*Connector{
			readConnector("b.properties", "host=h", "user=u", "pwd=p", "# in another order, and file", "name=a")}},
		{name: "in place", running: runs(runningConnector(a)), files: file("name=a", "user=u", "pwd=q", "host=h",
			"max=1"),
			want: "a in place [max pwd]"},
		{name: "in place, but it has failed", running: runs(failed), files: file("name=a", "user=u", "pwd=q", "host=h"),
			want: "a restart [pwd]"},
		{name: "another user", running: runs(runningConnector(a)), files: file("name=a", "user=v", "pwd=p", "host=h"),
			want: "a restart [user]"},
		{name: "another service", running: runs(runningConnector(a)), files: file("name=a", "user=u", "pwd=q",
			"host=i"),
			want: "a restart [host pwd]"},
		{name: "an unknown setting", running: runs(runningConnector(a)),
			files: file("name=a", "user=u", "pwd=p", "host=h", "transforms=x"), want: "a restart [transforms]"},
		{name: "the service of a destination", running: runs(runningConnector(readConnector("a.properties", "name=a",
			"via=D"))),
			files: file("name=a", "via=D", "pwd=p"), want: "a restart [pwd]"},
		{name: "created and deleted", running: runs(runningConnector(a)),
			files: []*Connector{readConnector("b.properties", "x=1")},
			want:  "b create; a remove"},
		{name: "renamed in its file", running: runs(runningConnector(a)), files: file("name=b", "user=u"),
			want: "b create; a remove"},
		{name: "names that change places", want: "y nothing; x nothing",
			running: runs(runningConnector(readConnector("a.properties", "name=x")),
				runningConnector(readConnector("b.properties", "name=y"))),
			files: []*Connector{readConnector("a.properties", "name=y"), readConnector("b.properties", "name=x")}},
	} {
		checkDiff(t, c)
	}
}

// A connector whose new file is rejected keeps running as it is. It is created once its file is good.
func TestDiffRejectsBadFiles(t *testing.T) {
	a := readConnector("a.properties", "name=a", "user=u", "pwd=p", "host=h")
	runs := func(connectors ...*Connector) (list []RunningConnector) {
		for _, c := range connectors {
			list = append(list, runningConnector(c))
		}
		return list
	}
	files := func(connectors ...*Connector) []*Connector { return connectors }
	good := readConnector("a.json", `{"name":"a"}`)
	for _, c := range []diffCase{
		{name: "rejected by the check", running: runs(a), files: files(readConnector("a.properties", "name=a",
			"bad=1")),
			want: "a refuse, keeps running"},
		{name: "renamed and rejected", running: runs(a), files: files(readConnector("a.properties", "name=b", "bad=1")),
			want: "a refuse, keeps running"},
		{name: "cannot be read", running: runs(good), files: files(brokenConnector("a")),
			want: "a refuse, keeps running"},
		{name: "new and bad", files: files(readConnector("b.properties", "bad=1")), want: "b refuse"},
		{name: "bad as before", running: runs(brokenConnector("a")), files: files(brokenConnector("a")),
			want: "a.json refuse"},
		{name: "bad, then good", running: runs(brokenConnector("a")), files: files(good),
			want: "a create; a.json remove"},
		{name: "bad by its check, then good", files: files(a), want: "a restart",
			running: []RunningConnector{{Name: "a", File: "a.properties", Rejected: true}}},
	} {
		checkDiff(t, c)
	}
}

// Connectors keep running if the files of both get the same name.
func TestDiffRejectsNameInTwoFiles(t *testing.T) {
	dir := t.TempDir()
	first := filepath.Join(dir, "a.properties")
	second := filepath.Join(dir, "b.properties")
	require.NoError(t, os.WriteFile(first, []byte("name=a\nuser=u\nhost=h"), 0o600))
	require.NoError(t, os.WriteFile(second, []byte("name=a"), 0o600))
	in, _, err := config.Load(config.Files{Connectors: []string{first, second}}, nil, nil)
	require.NoError(t, err)
	c := diffCase{want: "a refuse, keeps running; b refuse, keeps running", running: []RunningConnector{
		runningConnector(readConnector(first, "name=a", "user=u", "pwd=p", "host=h")),
		runningConnector(readConnector(second, "x=1"))}}
	for _, connector := range in.Connectors {
		c.files = append(c.files, resolveDiffed(connector))
	}
	checkDiff(t, c)
}

func checkDiff(t *testing.T, c diffCase) {
	t.Helper()
	check := func(c *Connector) (problems config.Problems) {
		if e, ok := c.Entry("bad"); ok {
			problems = append(problems, e.Problem("no"))
		}
		return problems
	}
	var steps []string
	for s := range Diff(c.running, c.files, check) {
		line := s.Name + " " + string(s.Action)
		if len(s.Settings) > 0 {
			line += fmt.Sprint(" ", s.Settings)
		}
		if s.KeepsRunning {
			line += ", keeps running"
		}
		assert.True(t, (s.Action == Reject) == (s.Problems.Err() != nil) &&
			(s.Connector == nil) == (s.Action == Remove),
			"%s: expected problems of rejected steps only and a connector unless removed, found %+v", c.name, s)
		steps = append(steps, line)
	}
	assert.Equal(t, c.want, strings.Join(steps, "; "), c.name)
}

// Each file's change is yielded before the next file is checked, and removals after all checks: a later file may be a
// renamed one that is rejected. A caller that stops ends the checks.
func TestDiffYieldsEachChangeAfterItsCheck(t *testing.T) {
	running := []RunningConnector{runningConnector(readConnector("c.properties", "name=renamed")),
		runningConnector(readConnector("d.properties", "name=deleted"))}
	files := []*Connector{readConnector("z.properties", "name=z"), readConnector("a.properties", "name=a"),
		readConnector("c.properties", "name=c", "bad=1")}
	for _, c := range []struct {
		steps int
		want  string
	}{
		{steps: 1, want: "check z; z create"},
		{steps: 10, want: "check z; z create; check a; a create; check c; renamed refuse; deleted remove"},
	} {
		var events []string
		check := func(c *Connector) (problems config.Problems) {
			events = append(events, "check "+c.Name)
			if e, ok := c.Entry("bad"); ok {
				problems = append(problems, e.Problem("no"))
			}
			return problems
		}
		steps := 0
		for step := range Diff(running, files, check) {
			events = append(events, step.Name+" "+string(step.Action))
			steps++
			if steps == c.steps {
				break
			}
		}
		assert.Equal(t, c.want, strings.Join(events, "; "), "after", c.steps, "steps")
	}
}

// A warning about a file is not repeated with each scan of the folder.
func TestDiffRepeatsNoWarning(t *testing.T) {
	twice := readConnector("a.properties", "name=a", "x=1", "x=2")
	current := RunningConnector{Name: "a", File: twice.File, Raw: twice.Raw(), Config: twice}
	for name, c := range map[string]struct {
		file     *Connector
		warnings int
	}{
		"the same":      {file: twice},
		"read again":    {file: readConnector("a.properties", "name=a", "x=1", "x=2")},
		"with one more": {file: readConnector("a.properties", "name=a", "x=1", "x=2", "x=2"), warnings: 1},
	} {
		steps := slices.Collect(Diff([]RunningConnector{current}, []*Connector{c.file},
			func(*Connector) config.Problems { return nil }))
		assert.True(t, len(steps) == 1 && steps[0].Action == NoChange && len(steps[0].Problems) == c.warnings,
			"%s: expected nothing to do and %d warnings, found %+v", name, c.warnings, steps)
	}
}
