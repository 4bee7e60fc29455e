// Bench prints the project's figures, each beside what it is compared with, both sides in one run. CPU time where the two sides are
// programs of their own; nothing here passes or fails: machines are shared and noisy.
//
//	make bench                              everything
//	go run ./cmd/bench --culvert bin/culvert pipeline start memory
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// sections are what there is to measure, in the order in which it is printed.
var sections = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"decode", command("go", "run", "./plugins/odata/decode/bench")},
	{"transform", command("go", "test", "-run", "^$", "-bench", "Chain", "-benchmem", "-count", "5", "./host/transform")},
	{"pipeline", pipeline},
	{"start", start},
	{"memory", memory},
}

func main() {
	b := &bench{}
	flag.StringVar(&b.culvert, "culvert", "bin/culvert", "the culvert binary")
	flag.IntVar(&b.rows, "rows", 200_000, "order rows in the pipeline")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	culvert      string
	rows, rounds int
	// dir is for what a run leaves; service is the demo service's binary.
	dir, service string
}

func (b *bench) run(ctx context.Context, wanted []string) (err error) {
	if b.dir, err = os.MkdirTemp("", "culvert-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.service = filepath.Join(b.dir, "demo-service")
	if err := tool(ctx, "go", "build", "-o", b.service, "./examples/demo-service"); err != nil {
		return err
	}
	for _, s := range sections {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Printf("\n== %s\n", s.name)
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func command(args ...string) func(context.Context, *bench) error {
	return func(ctx context.Context, _ *bench) error { return tool(ctx, args[0], args[1:]...) }
}

func tool(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err)
	}
	return nil
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}
