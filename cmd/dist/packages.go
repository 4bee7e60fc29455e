package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// packages makes the packages for a platform, of what nfpm.yaml says.
func (r *release) packages(ctx context.Context, s *source, t platform, program string, notices []byte) (made []entry,
	err error) {
	licences := filepath.Join(r.work, "THIRD-PARTY.txt")
	if err := os.WriteFile(licences, notices, 0o644); err != nil {
		return nil, err
	}
	examples, err := r.examples(ctx, s)
	if err != nil {
		return nil, err
	}
	version := packageVersion(s.version, s.commits)
	env := []string{"VERSION=" + version, "ARCH=" + t.processor, "PROGRAM=" + program, "THIRD_PARTY=" + licences,
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

// packageVersion is what `git describe` says as the tools of packages sort it: commits since a release come after it,
// candidates before it, and commits without a release before all, by how many there are.
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
