// Package guesttest builds guests for tests: Go packages with the Go toolchain, and tiny modules byte by byte.
package guesttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

var (
	mu    sync.Mutex
	built = map[string][]byte{}
)

// Build builds the guest in a Go package, named as in go build from the test's folder, and returns the path of the
// module in a temporary folder. Each package is built once per test process.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg)+".wasm")
	require.NoError(t, os.WriteFile(path, Bytes(t, pkg), 0o644))
	return path
}

// Folder returns a temporary folder with built-in plugins, such as odata-source.
func Folder(t testing.TB, plugins ...string) string {
	t.Helper()
	root, err := Root()
	require.NoError(t, err)
	folder := t.TempDir()
	for _, name := range plugins {
		module := Bytes(t, filepath.Join(root, "plugins", name))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".wasm"), module, 0o600))
	}
	return folder
}

// Bytes is [Build] but returns the module's bytes, which must not be changed. variables set string variables of package
// main, such as `main.version=2.0.0`.
func Bytes(t testing.TB, pkg string, variables ...string) []byte {
	t.Helper()
	flags := "-s -w"
	for _, v := range variables {
		flags += " -X " + v
	}
	return build(t, pkg, flags, "-ldflags="+flags)
}

// With is [Bytes] for a package with an added file from another folder. The file's init function changes the guest.
func With(t testing.TB, pkg, file string) []byte {
	t.Helper()
	dir, err := filepath.Abs(pkg)
	if err == nil {
		file, err = filepath.Abs(file)
	}
	require.NoError(t, err)
	replace := map[string]string{filepath.Join(dir, filepath.Base(file)): file}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(path, overlay, 0o600))
	return build(t, pkg, file, "-overlay="+path)
}

// build builds a guest into a file in bin, which `go build` links again only if it has changed. variant distinguishes
// guests of one package.
func build(t testing.TB, pkg, variant, flag string) []byte {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	dir, err := filepath.Abs(pkg)
	require.NoError(t, err)
	key := dir + " " + variant
	if b, ok := built[key]; ok {
		return b
	}
	require.NoError(t, Depend("plugins", "sdk", "wit", "internal/java", "examples"))
	require.NoError(t, Kernels())
	name := fmt.Sprintf("%s-%.8x", filepath.Base(dir), sha256.Sum256([]byte(key)))
	unlock, err := Lock(name)
	require.NoError(t, err)
	defer unlock()
	folder, err := testFolder()
	require.NoError(t, err)
	out := filepath.Join(folder, name+".wasm")
	// Without the commit in the module, its compiled code serves the next commits, too.
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-tags=kernels", flag, "-o",
		out, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	output, err := cmd.CombinedOutput()
	require.True(t, err == nil, "building the guest %s: %v\n%s", pkg, err, output)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	built[key] = b
	return b
}

// Kernels generates the assembly of the plugins' kernels, for guests with the build tag kernels. A digest in bin saves
// the seconds that it takes from the tests of other packages.
var Kernels = sync.OnceValue(func() error {
	root, err := Root()
	if err != nil {
		return err
	}
	folder, err := testFolder()
	if err != nil {
		return err
	}
	stamp := filepath.Join(folder, "kernels")
	if last, err := os.ReadFile(stamp); err == nil && string(last) == digestOfKernels(root) {
		return nil
	}
	cmd := exec.Command("go", "run", "./plugins/assembler")
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("assembling the kernels: %w\n%s", err, output)
	}
	return os.WriteFile(stamp, []byte(digestOfKernels(root)), 0o600)
})

// digestOfKernels returns a digest of the assembly and of all that it is generated from.
func digestOfKernels(root string) string {
	hash := sha256.New()
	io.WriteString(hash, runtime.Version())
	for _, folder := range []string{"plugins/assembler", "plugins/odata/decode/kernel", "plugins/smt/kernel", "wit"} {
		files, _ := filepath.Glob(filepath.Join(root, folder, "*.[gs]*"))
		more, _ := filepath.Glob(filepath.Join(root, folder, "*", "*.go"))
		for _, file := range append(files, more...) {
			content, _ := os.ReadFile(file)
			fmt.Fprintln(hash, file, len(content))
			hash.Write(content)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Depend makes the result of a test depend on all files in folders of the module: `go test` caches a result and does
// not notice which files a command of the test has read.
func Depend(folders ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder),
			func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
}

// testFolder returns the folder in bin that the tests of all packages share, and creates it.
var testFolder = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, "bin", "e2e")
	return folder, os.MkdirAll(folder, 0o700)
})

// Lock excludes the tests of other packages from what they share in bin, because `go test` runs packages in parallel.
func Lock(name string) (unlock func(), err error) {
	folder, err := testFolder()
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(folder, name+".lock"))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { file.Close() }, nil
}

// Root returns the folder of the module.
var Root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(string(out)), nil
})

// Code returns the folder in bin in which the tests of all packages cache native code of guests, since compiling a
// guest takes seconds.
func Code(t testing.TB) string {
	t.Helper()
	shared, err := testFolder()
	require.NoError(t, err)
	folder := filepath.Join(shared, "cache", "culvert", "plugins.cache")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	return folder
}

// ShareCode links a worker's data folder, which is created if missing, to the folder of [Code], unless it has a cache.
func ShareCode(t testing.TB, data string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(data, 0o700))
	err := os.Symlink(Code(t), filepath.Join(data, "plugins.cache"))
	require.True(t, err == nil || errors.Is(err, fs.ErrExist), "%v", err)
}
