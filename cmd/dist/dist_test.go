package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// The version of a package is made from git's description. A later commit sorts higher by the rules of rpm, whatever
// the hashes are; TestRealPackages checks dpkg.
func TestPackageVersions(t *testing.T) {
	versions := history(t)
	for i := 1; i < len(versions); i++ {
		if compareRPM(versions[i-1], versions[i]) >= 0 {
			t.Errorf("rpm takes %s for newer than %s", versions[i-1], versions[i])
		}
	}
	for at, want := range map[int]string{0: `0\.0\.0\+1\.g[0-9a-f]+`, 14: `0\.1\.0~rc1`, 15: `0\.1\.0~rc1\+1\.g[0-9a-f]+`,
		17: `0\.1\.0`, 18: `0\.1\.0\+1\.g[0-9a-f]+`} {
		if !regexp.MustCompile("^" + want + "$").MatchString(versions[at]) {
			t.Errorf("commit %d: expected %s, found %s", at, want, versions[at])
		}
	}
}

// history are the versions of a repository's commits, from its first one on.
func history(t *testing.T) (versions []string) {
	t.Helper()
	dir := t.TempDir()
	script, err := filepath.Abs("make.sh")
	ok(t, err)
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("git", "init", "--quiet")
	commit := func(tag string) {
		run("git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", "--message", "x"+tag)
		if tag != "" {
			run("git", "tag", tag)
		}
		versions = append(versions, run(script, "version"))
	}
	for range 12 {
		commit("")
	}
	for _, tag := range []string{"nightly", "", "v0.1.0-rc1", "", "", "v0.1.0", "", "nightly-2", "", "v0.2.0", ""} {
		commit(tag)
	}
	return versions
}

// number takes the digits off a text.
func number(s string) (n int, rest string) {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		n = 10*n + int(s[0]-'0')
		s = s[1:]
	}
	return n, s
}

// compareRPM compares versions as rpm's rpmvercmp does.
func compareRPM(a, b string) int {
	segment := regexp.MustCompile(`^(\d+|[a-zA-Z]+|~)`)
	next := func(s string) string {
		return strings.TrimLeftFunc(s, func(r rune) bool { return !segment.MatchString(string(r)) })
	}
	for {
		a = next(a)
		b = next(b)
		x := segment.FindString(a)
		y := segment.FindString(b)
		a = a[len(x):]
		b = b[len(y):]
		m, more := number(x)
		n, most := number(y)
		switch digits, other := x != "" && more == "", y != "" && most == ""; {
		case x == "~" || y == "~":
			if x != y {
				return map[bool]int{true: -1, false: 1}[x == "~"]
			}
		case x == "" || y == "":
			return len(x) - len(y)
		case digits != other:
			return map[bool]int{true: 1, false: -1}[digits]
		case digits && m != n:
			return m - n
		case !digits && x != y:
			return strings.Compare(x, y)
		}
	}
}

// packed is a file or folder in a package.
type packed struct {
	mode os.FileMode
	// configuration: an update leaves what was changed there.
	configuration bool
}

// complete is what packages hold but for the examples.
func complete() map[string]packed {
	files := map[string]packed{"/usr/bin/culvert": {mode: 0o755}, "/etc/culvert": {mode: 0o750},
		"/etc/culvert/worker.properties": {mode: 0o640, configuration: true}}
	for _, name := range []string{"/usr/lib/systemd/system/culvert.service", "/usr/lib/sysusers.d/culvert.conf",
		"/usr/share/doc/culvert/LICENSE", "/usr/share/doc/culvert/THIRD-PARTY.txt"} {
		files[name] = packed{mode: 0o644}
	}
	return files
}

// wantedExamples are some of the examples that packages hold.
var wantedExamples = []string{"tour/orders.properties", "overview/insert.properties", "monitoring/alerts.yaml",
	"transforms/orders.properties"}

const examplesFolder = "/usr/share/doc/culvert/examples"

// Packages hold the program, its unit, settings that nobody else reads and that an update leaves, and licences: nothing
// that others may write, nothing that runs as its owner. All of it is root's, nfpm's default.
func TestPackagesHold(t *testing.T) {
	text, err := os.ReadFile("nfpm.yaml")
	ok(t, err)
	var config struct {
		Contents []struct {
			Dst  string
			Type string
			Info struct {
				Mode  os.FileMode
				Owner string
				Group string
			} `yaml:"file_info"`
		}
	}
	ok(t, yaml.Unmarshal(text, &config))
	found := map[string]packed{}
	trees := []string{}
	for _, c := range config.Contents {
		if c.Info.Owner != "" || c.Info.Group != "" {
			t.Errorf("%s has the owner %q and the group %q", c.Dst, c.Info.Owner, c.Info.Group)
		}
		if c.Type == "tree" {
			trees = append(trees, c.Dst)
			continue
		}
		found[c.Dst] = packed{c.Info.Mode, c.Type == "config|noreplace"}
	}
	if d := cmp.Diff(complete(), found, cmp.AllowUnexported(packed{})); d != "" {
		t.Error(d)
	}
	if !slices.Equal(trees, []string{examplesFolder}) {
		t.Errorf("expected the examples, found %q", trees)
	}
}

// systemd makes a user and a group of the unit's name for a service with DynamicUser, and refuses to start it where one
// of the two is there already: so the group of files has another name, and one in all places.
func TestGroupOfTheUnit(t *testing.T) {
	unit, err := os.ReadFile("culvert.service")
	ok(t, err)
	values := map[string]string{"User": "culvert"} // by default the unit's name
	for line := range strings.Lines(string(unit)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[name] = value
		}
	}
	if values["DynamicUser"] != "yes" {
		t.Fatal("expected a service with DynamicUser")
	}
	made, err := os.ReadFile("sysusers.conf")
	ok(t, err)
	var groups []string
	for line := range strings.Lines(string(made)) {
		if words := strings.Fields(line); len(words) > 1 && !strings.HasPrefix(words[0], "#") {
			groups = append(groups, words[1])
		}
	}
	if len(groups) != 1 || groups[0] != values["SupplementaryGroups"] {
		t.Errorf("found groups %q for a service in %s", groups, values["SupplementaryGroups"])
	}
	for _, taken := range []string{"culvert", values["User"], values["Group"]} {
		if slices.Contains(groups, taken) {
			t.Errorf("%s is the name of the user that systemd makes", taken)
		}
	}
	script, err := os.ReadFile("postinstall.sh")
	ok(t, err)
	for _, command := range []string{"getent group ", "groupadd --system ", "chgrp -R "} {
		_, rest, _ := strings.Cut(string(script), command)
		if words := strings.Fields(rest); len(words) == 0 || !slices.Contains(groups, words[0]) {
			t.Errorf("%sis of another group: %.30q", command, rest)
		}
	}
}

// ok ends a test at an error that it is not about.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
