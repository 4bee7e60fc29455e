//go:build real

package main

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
	dir := write(t, map[string]string{"culvert.service": strings.ReplaceAll(string(text), "/usr/bin/culvert",
		"/bin/sh")})
	out, err := exec.Command(tool, "verify", filepath.Join(dir, "culvert.service")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// What nfpm makes is what packages are to hold, by Debian's own tool.
func TestRealPackages(t *testing.T) {
	work := t.TempDir()
	tool, err := installNFPM(t.Context(), work)
	ok(t, err)
	program := filepath.Join(work, "culvert")
	ok(t, os.WriteFile(program, []byte("a program"), 0o755))
	r := &release{work: work, nfpm: tool}
	made, err := r.packages(t.Context(), &source{dir: "../..", version: "v1.2.3-4-gabc", at: day},
		platform{system: "linux", processor: "amd64"}, program, []byte("licences"))
	if err != nil || len(made) != 2 {
		t.Fatalf("%d packages, %v", len(made), err)
	}
	debian, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Fatal("this test needs dpkg-deb, which is not installed: it comes with dpkg")
	}
	file := filepath.Join(work, made[0].name)
	version, err := exec.Command(debian, "--field", file, "Version").Output()
	if err != nil || string(version) != "1.2.3+4.gabc\n" {
		t.Errorf("version %q, %v", version, err)
	}
	var before string
	for _, v := range history(t) {
		version := packageVersion(v.described, v.commits)
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
		if p, wanted := want[name]; wanted && f[0][1:] != p.mode.String()[1:] {
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
