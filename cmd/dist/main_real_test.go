//go:build real

package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"culvert.service": strings.ReplaceAll(string(text), "/usr/bin/culvert",
		"/bin/sh")})
	out, err := exec.Command(tool, "verify", filepath.Join(dir, "culvert.service")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// What nfpm makes is what our reader of packages says, by Debian's own tool.
func TestRealPackages(t *testing.T) {
	work := t.TempDir()
	tool, err := installNFPM(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(work, "culvert")
	if err := os.WriteFile(program, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	var theirs []string
	for line := range strings.Lines(string(listed)) {
		theirs = append(theirs, absolute(strings.Fields(line)[5]))
	}
	found, err := openDeb(made[0].data)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(theirs)
	if ours := slices.Sorted(maps.Keys(found)); !slices.Equal(ours, theirs) {
		t.Errorf("we found %q, dpkg-deb found %q", ours, theirs)
	}
}
