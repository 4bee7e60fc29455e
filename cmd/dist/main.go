// Dist makes what users take home of a commit: for each platform an archive with the program, its licences, a bill of
// materials and the examples; for Linux packages, too; and checksums of all of them.
//
//	make dist                          every platform
//	make dist TARGETS=linux/amd64      these; linux/amd64/pkcs11 is the program that reaches tokens
//
// Each is made twice, from two clones of the commit in two folders, and must come to the same bytes: what is not
// committed is not in it. ANEW=1 has the second one compile everything again, with a build cache of its own.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// everywhere are the platforms that a release is made for. The program for tokens of PKCS#11 is linked with C, which
// the compiler of a machine makes for that machine: it is there for the processor of the one that makes the release, if
// that runs Linux.
var everywhere = append([]platform{
	{"linux", "amd64", false}, {"linux", "arm64", false}, {"darwin", "amd64", false}, {"darwin", "arm64", false},
	{"windows", "amd64", false},
}, withTokens(runtime.GOOS, runtime.GOARCH)...)

// withTokens is what is built for tokens of PKCS#11 on a machine.
func withTokens(system, processor string) []platform {
	if system != "linux" {
		return nil
	}
	return []platform{{system, processor, true}}
}

// platform is a platform by Go's names. pkcs11: the program is built with that tag, and needs the C library of the
// system.
type platform struct {
	system, processor string
	pkcs11            bool
}

func (t platform) String() string {
	name := t.system + "/" + t.processor
	if t.pkcs11 {
		name += "/" + tokenTag
	}
	return name
}

// tokenTag is the build tag of a program that reaches tokens.
const tokenTag = "pkcs11"

// tags are the build tags of the program.
func (t platform) tags() string {
	if t.pkcs11 {
		return tokenTag
	}
	return ""
}

// program is the name of the program's file.
func (t platform) program() string {
	if t.system == "windows" {
		return "culvert.exe"
	}
	return "culvert"
}

func main() {
	var out, targets string
	var anew bool
	flag.StringVar(&out, "out", "dist", "the folder for what is made; what a run before has left there goes")
	flag.StringVar(&targets, "targets", "",
		"platforms by Go's names, with commas: linux/amd64; `own` is this machine's. Default: all")
	flag.BoolVar(&anew, "anew", false, "the second build has a build cache of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, out, targets, anew); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, targets string, anew bool) error {
	wanted, err := targetsOf(targets)
	if err != nil {
		return err
	}
	changes, err := output(ctx, ".", "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return fmt.Errorf("a release is made of what is committed; commit or put away:\n%s", changes)
	}
	work, err := os.MkdirTemp("", "culvert-dist")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r := &release{work: work, targets: wanted}
	if slices.ContainsFunc(wanted, platform.packaged) {
		if r.nfpm, err = installNFPM(ctx, filepath.Join(work, "tools")); err != nil {
			return err
		}
	}
	first, err := r.build(ctx, "first", nil)
	if err != nil {
		return err
	}
	var env []string
	if anew {
		env = []string{"GOCACHE=" + filepath.Join(work, "cache")}
	}
	second, err := r.build(ctx, "a second one in another folder", env)
	if err != nil {
		return err
	}
	if err := same(first, second); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.CopyFS(out, os.DirFS(first)); err != nil {
		return err
	}
	fmt.Printf("%s: %d files, made twice with the same bytes\n", out, len(r.files))
	return nil
}

// targetsOf reads the platforms that are asked for.
func targetsOf(text string) (list []platform, err error) {
	if text == "" {
		return everywhere, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		own := name == "own"
		before := len(list)
		for _, t := range everywhere {
			if t.String() == name || own && t.system == runtime.GOOS && t.processor == runtime.GOARCH {
				list = append(list, t)
			}
		}
		if len(list) == before {
			return nil, fmt.Errorf("--targets: expected some of %v, or own, found %q", everywhere, name)
		}
	}
	return list, nil
}

// release is what is made of a commit.
type release struct {
	// work is a folder for what is not kept, nfpm the program that makes packages, "" where none are.
	work, nfpm string
	targets    []platform
	// files are the names of what was made.
	files []string
}

// source is a clone of the commit, in which one of the two builds happens.
type source struct {
	dir, out string
	env      []string
	// version is the program's, as git describes the commit, at the commit's time: everything that is made has it.
	// commits is how many there are up to it.
	version string
	commits int
	at      time.Time
}

// build makes everything, in a clone of its own, and returns the folder with it.
func (r *release) build(ctx context.Context, name string, env []string) (string, error) {
	s := &source{dir: filepath.Join(r.work, name, "culvert"), out: filepath.Join(r.work, name, "dist"), env: env}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return "", err
	}
	if err := r.clone(ctx, s); err != nil {
		return "", err
	}
	r.files = nil
	for _, t := range r.targets {
		fmt.Printf("%s: %s\n", name, t)
		names, err := r.make(ctx, s, t)
		if err != nil {
			return "", fmt.Errorf("%s: %w", t, err)
		}
		r.files = append(r.files, names...)
	}
	sums, err := checksums(s.out)
	if err != nil {
		return "", err
	}
	r.files = append(r.files, "SHA256SUMS")
	return s.out, os.WriteFile(filepath.Join(s.out, "SHA256SUMS"), sums, 0o644)
}

func (r *release) clone(ctx context.Context, s *source) error {
	if _, err := output(ctx, ".", "git", "clone", "--quiet", "--shared", ".", s.dir); err != nil {
		return err
	}
	var err error
	if s.version, err = describe(ctx, s.dir); err != nil {
		return err
	}
	if s.commits, err = commitsOf(ctx, s.dir); err != nil {
		return err
	}
	seconds, err := output(ctx, s.dir, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	s.at = time.Unix(n, 0).UTC()
	return err
}

// describe is git's description of a commit, by the release before it: other tags do not sort.
func describe(ctx context.Context, dir string) (string, error) {
	return output(ctx, dir, "git", "describe", "--tags", "--always", "--match", "v[0-9]*", "--match", "[0-9]*")
}

// commitsOf is how many commits there are up to that of a clone, which versions of packages are sorted by. Where
// commits are missing nobody knows.
func commitsOf(ctx context.Context, dir string) (int, error) {
	shallow, err := output(ctx, dir, "git", "rev-parse", "--is-shallow-repository")
	if err != nil {
		return 0, err
	}
	if shallow != "false" {
		return 0, errors.New("versions of packages count commits, and this clone lacks some: git fetch --unshallow")
	}
	count, err := output(ctx, dir, "git", "rev-list", "--count", "HEAD")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(count)
}

// guestsOf are the built-in plugins, as the Makefile names them.
func guestsOf(makefile []byte) ([]string, error) {
	for line := range strings.Lines(string(makefile)) {
		if name, value, found := strings.Cut(line, ":="); found && strings.TrimSpace(name) == "GUESTS" {
			return strings.Fields(value), nil
		}
	}
	return nil, errors.New("Makefile: expected a line GUESTS := …, found none")
}

// make makes what there is for a platform.
func (r *release) make(ctx context.Context, s *source, t platform) (names []string, err error) {
	program := filepath.Join(r.work, "program", t.program())
	if err := s.compile(ctx, t, program); err != nil {
		return nil, err
	}
	parts, err := s.parts(ctx, t, program)
	if err != nil {
		return nil, err
	}
	notices, err := thirdParty(parts)
	if err != nil {
		return nil, err
	}
	materials, err := bill(s.version, t, parts)
	if err != nil {
		return nil, err
	}
	contents, err := s.contents(ctx)
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	contents = append(contents, entry{t.program(), binary, true}, entry{"THIRD-PARTY.txt", notices, false},
		entry{"sbom.cdx.json", materials, false})
	stem := fmt.Sprintf("culvert_%s_%s", s.version, strings.ReplaceAll(t.String(), "/", "_"))
	archived, err := archive(t, stem, s.at, contents)
	if err != nil {
		return nil, err
	}
	made := []entry{{archived.name, archived.data, false}, {stem + ".cdx.json", materials, false}}
	if t.packaged() {
		packages, err := r.packages(ctx, s, t, program, notices)
		if err != nil {
			return nil, err
		}
		made = append(made, packages...)
	}
	for _, m := range made {
		if err := os.WriteFile(filepath.Join(s.out, m.name), m.data, 0o644); err != nil {
			return nil, err
		}
		names = append(names, m.name)
	}
	return names, nil
}

// compile builds the program for a platform, and the plugins in it, by the Makefile's own rules.
func (s *source) compile(ctx context.Context, t platform, to string) error {
	_, err := s.run(ctx, t.environment(), "make", "--silent", "program", "PROGRAM="+to, "VERSION="+s.version,
		"TAGS="+t.tags())
	return err
}

func (t platform) environment() []string {
	cgo := "0"
	if t.pkcs11 {
		cgo = "1"
	}
	return []string{"GOOS=" + t.system, "GOARCH=" + t.processor, "CGO_ENABLED=" + cgo}
}

// contents are the files of the repository that an archive holds.
func (s *source) contents(ctx context.Context) (list []entry, err error) {
	names, err := output(ctx, s.dir, "git", "ls-files", "README.md", "RATIONALE.md", "DESIGN.md", "BENCHMARKS.md",
		"LICENSE", "examples", "cmd/culvert/reference", "cmd/culvert/guides", "plugins/odata/SERVICES.md")
	if err != nil {
		return nil, err
	}
	for name := range strings.Lines(names) {
		name = strings.TrimSpace(name)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return nil, err
		}
		list = append(list, entry{name, data, info.Mode()&0o100 != 0})
	}
	return list, nil
}

// run runs a program in the clone and returns what it prints.
func (s *source) run(ctx context.Context, env []string, name string, args ...string) (string, error) {
	return outputWith(ctx, s.dir, slices.Concat(os.Environ(), s.env, env), name, args...)
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	return outputWith(ctx, dir, nil, name, args...)
}

func outputWith(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	c.Dir, c.Env, c.Stderr = dir, env, &stderr
	out, err := c.Output()
	if err != nil {
		said := strings.TrimSpace(cmp.Or(stderr.String(), string(out)))
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{name}, args...), " "), err, said)
	}
	return strings.TrimSpace(string(out)), nil
}

// checksums are those of a folder's files, as sha256sum -c reads them.
func checksums(dir string) ([]byte, error) {
	var sums []byte
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		sum := sha256.Sum256(data)
		sums = fmt.Appendf(sums, "%s  %s\n", hex.EncodeToString(sum[:]), path)
		return err
	})
	return sums, err
}

// same compares two builds by their checksums.
func same(first, second string) error {
	a, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(second, "SHA256SUMS"))
	if err != nil {
		return err
	}
	if bytes.Equal(a, b) {
		return nil
	}
	return fmt.Errorf("two builds of the same commit differ; the first is\n%sthe second\n%s", a, b)
}
