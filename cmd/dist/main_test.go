package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var day = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// The same files come to the same bytes in whatever order they are given, and come out as they went in.
func TestArchives(t *testing.T) {
	files := []entry{{"culvert", []byte("program"), true}, {"README.md", []byte("text"), false}, {"a/b", nil, false}}
	want := map[string]string{"stem/culvert": "-rwxr-xr-x program", "stem/README.md": "-rw-r--r-- text",
		"stem/a/b": "-rw-r--r-- "}
	for system, list := range map[string]func(*testing.T, []byte) map[string]string{"linux": inTar, "windows": inZip} {
		a, err := archive(platform{system: system, processor: "amd64"}, "stem", day, files)
		ok(t, err)
		reversed := slices.Clone(files)
		slices.Reverse(reversed)
		b, err := archive(platform{system: system, processor: "amd64"}, "stem", day, reversed)
		if err != nil || !bytes.Equal(a.data, b.data) {
			t.Errorf("%s: other bytes in another order (%v)", system, err)
		}
		if d := cmp.Diff(want, list(t, a.data)); d != "" {
			t.Errorf("%s: %s", a.name, d)
		}
	}
}

func inTar(t *testing.T, data []byte) map[string]string {
	found := map[string]string{}
	err := walk(data, func(h *tar.Header, r io.Reader) error {
		content, err := io.ReadAll(r)
		found[h.Name] = fmt.Sprintf("%v %s", h.FileInfo().Mode(), content)
		if !h.ModTime.Equal(day) {
			t.Errorf("%s is of %v", h.Name, h.ModTime)
		}
		return err
	})
	ok(t, err)
	return found
}

func inZip(t *testing.T, data []byte) map[string]string {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	ok(t, err)
	found := map[string]string{}
	for _, f := range r.File {
		o, err := f.Open()
		ok(t, err)
		content, err := io.ReadAll(o)
		ok(t, err)
		found[f.Name] = fmt.Sprintf("%v %s", f.Mode(), content)
	}
	return found
}

// walk goes through a tar.gz.
func walk(data []byte, each func(*tar.Header, io.Reader) error) error {
	unpacked, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = each(h, r)
		}
		if err != nil {
			return err
		}
	}
}

func TestPackageVersions(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-rc.1": "1.2.3~rc.1", "v1.2.3-5-gabc12": "1.2.3+5.gabc12",
		"v1.2.3-rc1-5-gabc12": "1.2.3~rc1+5.gabc12", "f0702ca": "0.0.0+77.gf0702ca",
		"some-tag": "0.0.0+77.gsome.tag",
	} {
		if got := packageVersion(described, 77); got != want {
			t.Errorf("%s: expected %s, found %s", described, want, got)
		}
	}
}

// What is made of a later commit sorts higher, by the rules of dpkg and of rpm, whatever the hashes are.
func TestPackageVersionsSort(t *testing.T) {
	versions := []string{}
	for _, v := range history(t) {
		versions = append(versions, packageVersion(v.described, v.commits))
	}
	for i := 1; i < len(versions); i++ {
		for tool, compare := range map[string]func(a, b string) int{"dpkg": compareDeb, "rpm": compareRPM} {
			if compare(versions[i-1], versions[i]) >= 0 {
				t.Errorf("%s takes %s for newer than %s", tool, versions[i-1], versions[i])
			}
		}
	}
}

// describedCommit is what git says of a commit.
type describedCommit struct {
	described string
	commits   int
}

// history is a repository's, from its first commit on: what git says of each when it is the newest.
func history(t *testing.T) (list []describedCommit) {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		out, err := output(t.Context(), dir, "git", append([]string{"-c", "user.name=x", "-c", "user.email=x@x"},
			args...)...)
		ok(t, err)
		return out
	}
	git("init", "--quiet")
	commit := func(tag string) {
		git("commit", "--quiet", "--allow-empty", "--message", fmt.Sprint("commit ", len(list)))
		if tag != "" {
			git("tag", tag)
		}
		commits, err := commitsOf(t.Context(), dir)
		ok(t, err)
		described, err := describe(t.Context(), dir)
		ok(t, err)
		list = append(list, describedCommit{described, commits})
	}
	for range 12 {
		commit("")
	}
	for _, tag := range []string{"nightly", "", "v0.1.0-rc1", "", "", "v0.1.0", "", "nightly-2", "", "v0.2.0", ""} {
		commit(tag)
	}
	return list
}

// compareDeb compares versions without epoch and revision as deb-version(7) says.
func compareDeb(a, b string) int {
	order := func(s string, i int) int {
		switch {
		case i >= len(s) || s[i] >= '0' && s[i] <= '9':
			return 0
		case s[i] == '~':
			return -1
		case s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for a != "" || b != "" {
		i := 0
		for ; order(a, i) != 0 || order(b, i) != 0; i++ {
			if d := order(a, i) - order(b, i); d != 0 {
				return d
			}
		}
		var m, n int
		m, a = number(a[min(i, len(a)):])
		n, b = number(b[min(i, len(b)):])
		if m != n {
			return m - n
		}
	}
	return 0
}

// number takes the digits off a text.
func number(s string) (n int, rest string) {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		n, s = 10*n+int(s[0]-'0'), s[1:]
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
		a, b = next(a), next(b)
		x, y := segment.FindString(a), segment.FindString(b)
		a, b = a[len(x):], b[len(y):]
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

func TestTargets(t *testing.T) {
	if all, err := targetsOf(""); err != nil || len(all) != 5+len(withTokens(runtime.GOOS,
		runtime.GOARCH)) {
		t.Error(all, err)
	}
	if two, err := targetsOf("linux/arm64,windows/amd64"); err != nil ||
		fmt.Sprint(two) != "[linux/arm64 windows/amd64]" {
		t.Error(two, err)
	}
	for _, wrong := range []string{"linux", "plan9/amd64", "linux/amd64,", "windows/amd64/pkcs11"} {
		if _, err := targetsOf(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// On Linux a release holds a program that reaches tokens of PKCS#11: an archive of its own, linked with C, and no
// package, which would take the place of the static program.
func TestTokensAreReached(t *testing.T) {
	made := withTokens("linux", "arm64")
	if len(made) != 1 || made[0].String() != "linux/arm64/pkcs11" || made[0].tags() != "pkcs11" || made[0].packaged() ||
		!slices.Contains(made[0].environment(), "CGO_ENABLED=1") {
		t.Errorf("found %v", made)
	}
	if other := withTokens("darwin", "arm64"); other != nil {
		t.Errorf("C for Linux is not made on macOS, found %v", other)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil || !strings.Contains(string(makefile), "export CGO_ENABLED := "+
		"$(if $(filter pkcs11,$(TAGS)),1,0)\n") || !strings.Contains(string(makefile),
		"$(GO) build -tags \"$(TAGS)\"") {
		t.Errorf("the Makefile does not build with TAGS (%v)", err)
	}
}

// The plugins whose licences are collected are those that the Makefile builds in.
func TestGuestsAreThoseOfTheMakefile(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	ok(t, err)
	guests, err := guestsOf(text)
	if err != nil || len(guests) == 0 {
		t.Fatalf("%q, %v", guests, err)
	}
	for _, g := range guests {
		if _, err := os.Stat(filepath.Join("../../plugins", g, "main.go")); err != nil {
			t.Error(err)
		}
	}
}

const mit = `Permission is hereby granted, free of charge, to any person obtaining a
copy of this software and associated documentation files (the "Software"), to deal`

// write makes files below a folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		ok(t, os.MkdirAll(filepath.Dir(name), 0o755))
		ok(t, os.WriteFile(name, []byte(content), 0o644))
	}
	return dir
}

// The licences in the folder of a package that is linked are collected with those of its module, those of other
// packages are not; what has none cannot be passed on.
func TestLicences(t *testing.T) {
	own, err := os.ReadFile("../../LICENSE")
	ok(t, err)
	dir := write(t, map[string]string{"LICENSE": string(own), "license.go": mit, "used/inner/LICENSE.txt": mit,
		"used/inner/x.go": "", "unused/LICENSE": "Mozilla Public License Version 2.0", "NOTICE": "A notice"})
	m := &module{Path: "example.com/m", Version: "v1.0.0", Dir: dir}
	list, err := collect([]listed{
		{ImportPath: "fmt", Standard: true}, {ImportPath: "ours", Module: &module{Main: true}},
		{ImportPath: "example.com/m/used/inner", Dir: filepath.Join(dir, "used", "inner"), Module: m},
		{ImportPath: "example.com/m", Dir: dir, Module: m},
	})
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	var files []string
	for _, one := range list[0].texts {
		files = append(files, one.file)
	}
	if d := cmp.Diff([]string{"LICENSE", "NOTICE", "used/inner/LICENSE.txt"}, files); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"Apache-2.0", "MIT"}, list[0].licences()); d != "" {
		t.Error(d)
	}
	notices, err := thirdParty(list)
	if err != nil || !bytes.Contains(notices, []byte("example.com/m v1.0.0: Apache-2.0, MIT\n")) ||
		!bytes.Contains(notices, []byte("A notice")) {
		t.Errorf("%v\n%.300s", err, notices)
	}
	bare := write(t, map[string]string{"x.go": "", "LICENSE": "All rights reserved."})
	if _, err := collect([]listed{{Dir: bare, Module: &module{Path: "example.com/bare", Dir: bare}}}); err == nil {
		t.Error("a module without a licence that is known is taken")
	}
	if _, err := libraryOf(dir, "go1.26"); err == nil {
		t.Error("another licence is taken for that of Go")
	}
}

func TestBill(t *testing.T) {
	sums := []byte(
		"example.com/M v1.0.0 h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nexample.com/M v1.0.0/go.mod h1:x\n")
	p := part{path: "example.com/M", version: "v1.0.0", texts: []text{{"LICENSE", []byte(mit)}}}
	p.sum = sumOf(sums, p)
	data, err := bill("v1.2.3", platform{system: "linux", processor: "arm64"}, []part{p})
	ok(t, err)
	var b cycloneDX
	if err := json.Unmarshal(data, &b); err != nil || len(b.Components) != 1 {
		t.Fatalf("%v\n%s", err, data)
	}
	c := b.Components[0]
	if c.PackageURL != "pkg:golang/example.com/m@v1.0.0" || len(c.Hashes) != 1 ||
		c.Hashes[0].Content != "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" ||
		c.Licenses[0].License.ID != "MIT" {
		t.Errorf("%+v", c)
	}
	if on := b.Dependencies[0]; on.Ref != b.Metadata.Component.Ref || !slices.Equal(on.On, []string{c.Ref}) {
		t.Errorf("%+v", b.Dependencies)
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
			Dst, Type string
			Info      struct {
				Mode         os.FileMode
				Owner, Group string
			} `yaml:"file_info"`
		}
	}
	ok(t, yaml.Unmarshal(text, &config))
	found, trees := map[string]packed{}, []string{}
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

// What the packages are made of is in the repository.
func TestPackagesSourcesExist(t *testing.T) {
	text, err := os.ReadFile("nfpm.yaml")
	ok(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "- "), ": ")
		wanted := name == "src" || name == "postinstall" || name == "preremove"
		if wanted && !strings.HasPrefix(value, "$") {
			n++
			if _, err := os.Stat(filepath.Join("../..", value)); err != nil {
				t.Error(err)
			}
		}
	}
	if n != 6 {
		t.Errorf("expected 6 files, found %d", n)
	}
	for _, example := range wantedExamples {
		if _, err := os.Stat(filepath.Join("../../examples", example)); err != nil {
			t.Error(err)
		}
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

func TestTwoBuildsAreCompared(t *testing.T) {
	one, other := write(t, map[string]string{"a": "1", "b": "2"}), write(t, map[string]string{"a": "1", "b": "3"})
	for _, dir := range []string{one, other} {
		sums, err := checksums(dir)
		if err != nil || len(strings.Fields(string(sums))) != 4 {
			t.Fatalf("%s, %v", sums, err)
		}
		ok(t, os.WriteFile(filepath.Join(dir, "SHA256SUMS"), sums, 0o644))
	}
	if err := same(one, one); err != nil {
		t.Error(err)
	}
	if same(one, other) == nil {
		t.Error("two that differ count as the same")
	}
}

// ok ends a test at an error that it is not about.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
