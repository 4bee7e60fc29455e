// Package guesttest builds guests for tests: Go packages with the Go toolchain, and tiny modules byte by byte.
package guesttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var (
	mu    sync.Mutex
	built = map[string][]byte{}
)

// Build builds the guest in a Go package, named as in go build from the test's folder, and returns the path of the
// module in a folder of the test's own. Each package is built once for a test process; go build's cache does the rest.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg)+".wasm")
	if err := os.WriteFile(path, Bytes(t, pkg), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Bytes is [Build] for a module's bytes; they must not be changed. variables set string variables of package main, as
// `main.version=2.0.0`.
func Bytes(t testing.TB, pkg string, variables ...string) []byte {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	flags := "-s -w"
	for _, v := range variables {
		flags += " -X " + v
	}
	at, err := filepath.Abs(pkg)
	if err != nil {
		t.Fatal(err)
	}
	key := at + flags
	if b, ok := built[key]; ok {
		return b
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags="+flags, "-o", out, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest %s: %v\n%s", pkg, err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	built[key] = b
	return b
}
