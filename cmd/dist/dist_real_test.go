//go:build real

package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd takes the unit as it is, but for the program, which is not installed here.
func TestRealUnit(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("this test needs systemd-analyze, which is not installed: it comes with systemd")
	}
	text, err := os.ReadFile("culvert.service")
	ok(t, err)
	unit := filepath.Join(t.TempDir(), "culvert.service")
	ok(t, os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/bin/culvert", "/bin/sh")), 0o644))
	out, err := exec.Command(tool, "verify", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// What nfpm makes is what packages are to hold, by Debian's own tool.
func TestRealPackages(t *testing.T) {
	work := t.TempDir()
	program := filepath.Join(work, "culvert")
	file := filepath.Join(work, "culvert.deb")
	ok(t, os.WriteFile(program, []byte("a program"), 0o755))
	c := exec.Command("go", "tool", "-modfile=cmd/dist/tools.mod", "nfpm", "package", "--config", "cmd/dist/nfpm.yaml",
		"--packager", "deb", "--target", file)
	c.Dir = "../.."
	c.Env = append(os.Environ(), "VERSION=1.2.3+4.gabc", "ARCH=amd64", "PROGRAM="+program, "THIRD_PARTY="+program,
		"EXAMPLES=examples")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	debian, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Fatal("this test needs dpkg-deb, which is not installed: it comes with dpkg")
	}
	version, err := exec.Command(debian, "--field", file, "Version").Output()
	if err != nil || string(version) != "1.2.3+4.gabc\n" {
		t.Errorf("version %q, %v", version, err)
	}
	var before string
	for _, version := range history(t) {
		if before != "" {
			if err := exec.Command("dpkg", "--compare-versions", before, "lt", version).Run(); err != nil {
				t.Errorf("dpkg: %s is not older than %s: %v", before, version, err)
			}
		}
		before = version
	}
	listed, err := exec.Command(debian, "--contents", file).Output()
	ok(t, err)
	want := complete()
	for _, example := range wantedExamples {
		want[examplesFolder+"/"+example] = packed{mode: 0o644}
	}
	for line := range strings.Lines(string(listed)) {
		f := strings.Fields(line) // rights, owner and group, size, day, time, name
		name := "/" + strings.Trim(strings.TrimPrefix(f[5], "."), "/")
		if f[1] != "root/root" || strings.ContainsAny(f[0], "sStT") || f[0][5] == 'w' || f[0][8] == 'w' {
			t.Errorf("%s is %s of %s", name, f[0], f[1])
		}
		if p, ok := want[name]; ok && f[0][1:] != p.mode.String()[1:] {
			t.Errorf("%s: expected the mode %v, found %s", name, p.mode, f[0])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not in the package: %v", want)
	}
	configuration, err := exec.Command(debian, "--info", file, "conffiles").Output()
	if err != nil || string(configuration) != "/etc/culvert/worker.properties\n" {
		t.Errorf("configuration %q, %v", configuration, err)
	}
}
