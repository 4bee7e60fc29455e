// Native compiles plugins to native code for this platform, so that the program into which they are built has no need
// to where it runs:
//
//	go run ./cmd/native FILE.wasm…
//
// writes FILE.native next to each FILE.wasm, unless what is there would be made again.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/culvert-project/culvert/host/plugin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, name := range os.Args[1:] {
		if err := compile(ctx, name); err != nil {
			fmt.Fprintf(os.Stderr, "native: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func compile(ctx context.Context, name string) error {
	module, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	output := strings.TrimSuffix(name, ".wasm") + ".native"
	before, err := os.ReadFile(output)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	code, err := plugin.Native(ctx, module, before)
	if err != nil || bytes.Equal(code, before) {
		return err
	}
	return os.WriteFile(output, code, 0o644)
}
