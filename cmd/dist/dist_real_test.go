//go:build real

package dist

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// systemd accepts the unit. The test replaces the path of the program, which is not installed here.
func TestRealUnit(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	require.True(t, err == nil, "this test needs systemd-analyze, which is not installed: it comes with systemd")
	text, err := os.ReadFile("culvert.service")
	require.NoError(t, err)
	unit := filepath.Join(t.TempDir(), "culvert.service")
	text = bytes.ReplaceAll(text, []byte("/usr/bin/culvert"), []byte("/bin/sh"))
	require.NoError(t, os.WriteFile(unit, text, 0o644))
	out, err := exec.Command(tool, "verify", unit).CombinedOutput()
	assert.True(t, err == nil && len(out) == 0, "systemd-analyze verify: expected no complaint, found %v\n%s", err, out)
}

// A package that nfpm builds has the wanted version and entries, as Debian's own tools read them.
func TestRealPackages(t *testing.T) {
	work := t.TempDir()
	program := filepath.Join(work, "culvert")
	file := filepath.Join(work, "culvert.deb")
	require.NoError(t, os.WriteFile(program, []byte("a program"), 0o755))
	c := exec.Command("go", "tool", "-modfile=cmd/dist/tools.mod", "nfpm", "package", "--config", "cmd/dist/nfpm.yaml",
		"--packager", "deb", "--target", file)
	c.Dir = "../.."
	c.Env = append(os.Environ(), "VERSION=1.2.3+4.gabc", "ARCH=amd64", "PROGRAM="+program, "THIRD_PARTY="+program,
		"EXAMPLES=examples")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	debian, err := exec.LookPath("dpkg-deb")
	require.True(t, err == nil, "this test needs dpkg-deb, which is not installed: it comes with dpkg")
	version, err := exec.Command(debian, "--field", file, "Version").Output()
	assert.True(t, err == nil && string(version) == "1.2.3+4.gabc\n",
		"expected version 1.2.3+4.gabc, found %q, %v", version, err)
	previous := ""
	for _, version := range commitVersions(t) {
		if previous != "" {
			err := exec.Command("dpkg", "--compare-versions", previous, "lt", version).Run()
			assert.NoError(t, err, "dpkg:", previous, "is not older than", version)
		}
		previous = version
	}
	contents, err := exec.Command(debian, "--contents", file).Output()
	require.NoError(t, err)
	want := wantedEntries()
	for _, example := range wantedExamples {
		want[examplesFolder+"/"+example] = packageEntry{mode: 0o644}
	}
	for line := range strings.Lines(string(contents)) {
		fields := strings.Fields(line) // mode, owner and group, size, day, time, name
		mode := fields[0]              // like -rwxr-xr-x
		owner := fields[1]
		name := "/" + strings.Trim(strings.TrimPrefix(fields[5], "."), "/")
		isWritable := mode[5] == 'w' || mode[8] == 'w' // by the group or by others
		assert.True(t, owner == "root/root" && !strings.ContainsAny(mode, "sStT") && !isWritable,
			"%s: expected root/root and no write access for others, found %s of %s", name, mode, owner)
		if entry, ok := want[name]; ok && mode[1:] != entry.mode.String()[1:] {
			t.Errorf("%s: expected the mode %v, found %s", name, entry.mode, mode)
		}
		delete(want, name)
	}
	assert.True(t, len(want) == 0, "not in the package: %v", want)
	configFiles, err := exec.Command(debian, "--info", file, "conffiles").Output()
	assert.True(t, err == nil && string(configFiles) == "/etc/culvert/worker.properties\n",
		"expected the configuration file of the worker, found %q, %v", configFiles, err)
}
