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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The version of a package is made from git's description. A later commit sorts higher by the rules of rpm, whatever
// the hashes are; TestRealPackages checks dpkg.
func TestPackageVersions(t *testing.T) {
	versions := commitVersions(t)
	for i := 1; i < len(versions); i++ {
		assert.True(t, compareRPM(versions[i-1], versions[i]) < 0,
			"rpm: expected %s to be older than %s, found that it is not", versions[i-1], versions[i])
	}
	for i, want := range map[int]string{
		0:  `0\.0\.0\+1\.g[0-9a-f]+`,
		14: `0\.1\.0~rc1`,
		15: `0\.1\.0~rc1\+1\.g[0-9a-f]+`,
		17: `0\.1\.0`,
		18: `0\.1\.0\+1\.g[0-9a-f]+`,
	} {
		assert.True(t, regexp.MustCompile("^"+want+"$").MatchString(versions[i]),
			"commit %d: expected %s, found %s", i, want, versions[i])
	}
}

// commitVersions creates a repository with commits and tags, and returns the version that make.sh prints at each
// commit, the oldest first.
func commitVersions(t *testing.T) (versions []string) {
	t.Helper()
	dir := t.TempDir()
	script, err := filepath.Abs("make.sh")
	require.NoError(t, err)
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		require.True(t, err == nil, "%s %q: %v\n%s", name, args, err, out)
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

// cutNumber returns the number at the beginning of a text, 0 if there is none, and the text after its digits.
func cutNumber(s string) (n int, tail string) {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		n = 10*n + int(s[0]-'0')
		s = s[1:]
	}
	return n, s
}

// compareRPM compares versions as rpm's rpmvercmp does. The result is negative if a is older, and 0 if they are equal.
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
		numberX, tailX := cutNumber(x)
		numberY, tailY := cutNumber(y)
		isNumberX := x != "" && tailX == ""
		isNumberY := y != "" && tailY == ""
		switch {
		case x == "~" && y == "~": // equal so far
		case x == "~":
			return -1
		case y == "~":
			return 1
		case x == "" || y == "":
			return len(x) - len(y)
		case isNumberX && !isNumberY:
			return 1
		case !isNumberX && isNumberY:
			return -1
		case isNumberX && numberX != numberY:
			return numberX - numberY
		case !isNumberX && x != y:
			return strings.Compare(x, y)
		}
	}
}

// packageEntry is a file or folder in a package.
type packageEntry struct {
	mode     os.FileMode
	isConfig bool // an update keeps the user's changes
}

// wantedEntries returns the entries of a package by path, without the examples.
func wantedEntries() map[string]packageEntry {
	files := map[string]packageEntry{
		"/usr/bin/culvert":               {mode: 0o755},
		"/etc/culvert":                   {mode: 0o750},
		"/etc/culvert/worker.properties": {mode: 0o640, isConfig: true},
	}
	for _, name := range []string{
		"/usr/lib/systemd/system/culvert.service",
		"/usr/lib/sysusers.d/culvert.conf",
		"/usr/share/doc/culvert/LICENSE",
		"/usr/share/doc/culvert/THIRD-PARTY.txt",
	} {
		files[name] = packageEntry{mode: 0o644}
	}
	return files
}

// wantedExamples are some of the examples that packages contain.
var wantedExamples = []string{"tour/orders.properties", "overview/insert.properties", "monitoring/alerts.yaml",
	"transforms/orders.properties"}

const examplesFolder = "/usr/share/doc/culvert/examples"

// Packages contain the program, its unit, a worker file that other users cannot read and that an update keeps, and
// licences. The modes allow no other user to write, and no setuid. All entries belong to root, which is nfpm's default.
func TestPackagesHold(t *testing.T) {
	text, err := os.ReadFile("nfpm.yaml")
	require.NoError(t, err)
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
	require.NoError(t, yaml.Unmarshal(text, &config))
	found := map[string]packageEntry{}
	trees := []string{}
	for _, c := range config.Contents {
		assert.True(t, c.Info.Owner == "" && c.Info.Group == "",
			"%s has the owner %q and the group %q", c.Dst, c.Info.Owner, c.Info.Group)
		if c.Type == "tree" {
			trees = append(trees, c.Dst)
			continue
		}
		found[c.Dst] = packageEntry{mode: c.Info.Mode, isConfig: c.Type == "config|noreplace"}
	}
	d := cmp.Diff(wantedEntries(), found, cmp.AllowUnexported(packageEntry{}))
	assert.True(t, d == "", "other entries than expected (-want +got):\n%s", d)
	assert.True(t, slices.Equal(trees, []string{examplesFolder}),
		"expected the folder %q, found %q", examplesFolder, trees)
}

// systemd creates a user and a group of the unit's name for a service with DynamicUser, and does not start it if one of
// the two exists. So the group of the files has another name, which is the same in all files.
func TestGroupOfTheUnit(t *testing.T) {
	unit, err := os.ReadFile("culvert.service")
	require.NoError(t, err)
	values := map[string]string{"User": "culvert"} // by default the unit's name
	for line := range strings.Lines(string(unit)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[name] = value
		}
	}
	require.True(t, values["DynamicUser"] == "yes", "expected a service with DynamicUser")
	sysusers, err := os.ReadFile("sysusers.conf")
	require.NoError(t, err)
	var groups []string
	for line := range strings.Lines(string(sysusers)) {
		if words := strings.Fields(line); len(words) > 1 && !strings.HasPrefix(words[0], "#") {
			groups = append(groups, words[1])
		}
	}
	assert.True(t, len(groups) == 1 && groups[0] == values["SupplementaryGroups"],
		"expected the group %q of the service, found %q", values["SupplementaryGroups"], groups)
	for _, reserved := range []string{"culvert", values["User"], values["Group"]} {
		assert.True(t, !slices.Contains(groups, reserved),
			"expected another group than %q, which systemd creates", reserved)
	}
	script, err := os.ReadFile("postinstall.sh")
	require.NoError(t, err)
	for _, command := range []string{"getent group ", "groupadd --system ", "chgrp -R "} {
		_, argument, _ := strings.Cut(string(script), command)
		if words := strings.Fields(argument); len(words) == 0 || !slices.Contains(groups, words[0]) {
			t.Errorf("%s: expected one of the groups %q, found %.30q", command, groups, argument)
		}
	}
}
