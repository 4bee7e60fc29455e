package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// nfpm makes packages without the tools of the systems that they are for. Releases from 2.46 on need modules that not
// every proxy of modules has.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0"

// packaged tells whether there are packages for a platform.
func (t platform) packaged() bool { return t.system == "linux" && !t.pkcs11 }

func installNFPM(ctx context.Context, to string) (string, error) {
	_, err := outputWith(ctx, ".", append(os.Environ(), "GOBIN="+to), "go", "install", nfpm)
	return filepath.Join(to, "nfpm"), err
}

// packages makes the packages for a platform, and looks at what is in them.
func (r *release) packages(ctx context.Context, s *source, t platform, program string, notices []byte) (made []entry,
	err error) {
	beside := filepath.Join(r.work, "THIRD-PARTY.txt")
	if err := os.WriteFile(beside, notices, 0o644); err != nil {
		return nil, err
	}
	examples, err := r.examples(ctx, s)
	if err != nil {
		return nil, err
	}
	version := packageVersion(s.version, s.commits)
	env := []string{"VERSION=" + version, "ARCH=" + t.processor, "PROGRAM=" + program, "THIRD_PARTY=" + beside,
		"EXAMPLES=" + examples, "SOURCE_DATE_EPOCH=" + strconv.FormatInt(s.at.Unix(), 10)}
	for _, kind := range []string{"deb", "rpm"} {
		name := fmt.Sprintf("culvert_%s_%s.%s", version, t.processor, kind)
		file := filepath.Join(r.work, name)
		if _, err := s.run(ctx, env, r.nfpm, "package", "--config", "cmd/dist/nfpm.yaml", "--packager", kind,
			"--target", file); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		open := openDeb
		if kind == "rpm" {
			open = openRPM
		}
		found, err := open(data)
		if err == nil {
			err = judge(found)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		made = append(made, entry{name, data, false})
	}
	return made, nil
}

// examples is a folder with those that an archive holds.
func (r *release) examples(ctx context.Context, s *source) (string, error) {
	dir := filepath.Join(r.work, "examples")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	contents, err := s.contents(ctx)
	if err != nil {
		return "", err
	}
	for _, e := range contents {
		if !strings.HasPrefix(e.name, "examples/") {
			continue
		}
		file := filepath.Join(r.work, e.name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, e.data, os.FileMode(e.mode())); err != nil {
			return "", err
		}
	}
	return dir, nil
}

var described = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(?:-((?:rc|beta|alpha)[.0-9]*))?(?:-(\d+)-g([0-9a-f]+))?$`)

// packageVersion is what `git describe` says as the tools of packages sort it: commits behind a release come after it,
// candidates before it, and commits without a release behind them before all, by how many there are.
func packageVersion(version string, commits int) string {
	m := described.FindStringSubmatch(version)
	if m == nil {
		return fmt.Sprintf("0.0.0+%d.g%s", commits, strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '.'
		}, strings.ToLower(version)))
	}
	text := m[1]
	if m[2] != "" {
		text += "~" + m[2]
	}
	if m[3] != "" {
		text += "+" + m[3] + ".g" + m[4]
	}
	return text
}

// packed is a file or folder in a package.
type packed struct {
	mode int64
	// configuration: an update leaves what was changed there.
	configuration bool
	owner         string
}

// judge says what is missing in a package.
func judge(found map[string]packed) error {
	var wrong []error
	for name, want := range map[string]packed{
		"/usr/bin/culvert":                                             {mode: 0o755},
		"/usr/lib/systemd/system/culvert.service":                      {mode: 0o644},
		"/usr/lib/sysusers.d/culvert.conf":                             {mode: 0o644},
		"/etc/culvert":                                                 {mode: 0o750},
		"/etc/culvert/worker.properties":                               {mode: 0o640, configuration: true},
		"/usr/share/doc/culvert/LICENSE":                               {mode: 0o644},
		"/usr/share/doc/culvert/THIRD-PARTY.txt":                       {mode: 0o644},
		"/usr/share/doc/culvert/examples/tour/orders.properties":       {mode: 0o644},
		"/usr/share/doc/culvert/examples/overview/insert.properties":   {mode: 0o644},
		"/usr/share/doc/culvert/examples/monitoring/alerts.yaml":       {mode: 0o644},
		"/usr/share/doc/culvert/examples/transforms/orders.properties": {mode: 0o644},
	} {
		want.owner = "root"
		if got, there := found[name]; got != want {
			wrong = append(wrong, fmt.Errorf("%s: expected %+v, found %+v (there: %t)", name, want, got, there))
		}
	}
	for name, got := range found {
		if got.mode&0o022 != 0 || got.mode&0o7000 != 0 {
			wrong = append(wrong, fmt.Errorf("%s has mode %o", name, got.mode))
		}
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// cut takes n bytes off data.
func cut(data *[]byte, n int) ([]byte, error) {
	if n < 0 || n > len(*data) {
		return nil, fmt.Errorf("expected %d bytes more, found %d", n, len(*data))
	}
	taken := (*data)[:n]
	*data = (*data)[n:]
	return taken, nil
}

// absolute is a path in a package as the system will have it.
func absolute(name string) string {
	return "/" + strings.Trim(strings.TrimPrefix(name, "."), "/")
}

// members are the files of an archive of ar, which a deb is.
func members(data []byte) (map[string][]byte, error) {
	magic, err := cut(&data, 8)
	if err != nil || !bytes.Equal(magic, []byte("!<arch>\n")) {
		return nil, errors.New("expected an archive of ar, found something else")
	}
	list := map[string][]byte{}
	for len(data) > 0 {
		header, err := cut(&data, 60)
		if err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(string(header[48:58])))
		if err != nil {
			return nil, err
		}
		content, err := cut(&data, size)
		if err != nil {
			return nil, err
		}
		list[strings.TrimRight(string(header[:16]), " /")] = content
		if size%2 == 1 && len(data) > 0 {
			data = data[1:]
		}
	}
	return list, nil
}
