package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// candidate is a culvert binary to measure, with the name of its data folder.
type candidate struct{ culvert, data string }

// candidates returns the binary to measure, and the one to compare it with, if any.
func (b *bench) candidates() []candidate {
	sides := []candidate{{culvert: b.culvert, data: "worker"}}
	if b.against != "" {
		sides = append(sides, candidate{culvert: b.against, data: "against"})
	}
	return sides
}

// ratioOf returns the median, minimum and maximum of the ratios of neighbouring runs, which share the load of the
// machine.
func ratioOf(elapsed [2][]float64) string {
	ratios := make([]float64, len(elapsed[0]))
	for n := range ratios {
		ratios[n] = elapsed[0][n] / elapsed[1][n]
	}
	return fmt.Sprintf("%.3f (%.3f–%.3f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// measurement has the results of all rounds of one case, by candidate.
type measurement struct {
	cpu  [2][]float64 // seconds of processor time
	wall [2][]float64 // elapsed seconds
	peak [2][]float64 // MiB
	// operations of the batches of sinks
	operations [2][]float64
	stages     [][]float64 // busy seconds of the first candidate, by stage
}

// interleave runs the cases of all candidates in turns. Round -1 runs only the first case, to fill the compile caches,
// and does not count.
func (b *bench) interleave(cases int, run func(round, i int, side candidate) (usage, error)) ([]measurement, error) {
	sides := b.candidates()
	measurements := make([]measurement, cases)
	for round := -1; round < b.rounds; round++ {
		for i := range measurements {
			if round < 0 && i > 0 {
				break
			}
			for n := range sides {
				sideIndex := (n + round + 1) % len(sides) // each round another candidate is first
				u, err := run(round, i, sides[sideIndex])
				if err != nil {
					return nil, fmt.Errorf("%s: %w", sides[sideIndex].culvert, err)
				}
				if round < 0 {
					continue
				}
				m := &measurements[i]
				m.cpu[sideIndex] = append(m.cpu[sideIndex], u.cpu.Seconds())
				m.wall[sideIndex] = append(m.wall[sideIndex], u.wall.Seconds())
				m.peak[sideIndex] = append(m.peak[sideIndex], u.peak)
				m.operations[sideIndex] = append(m.operations[sideIndex], u.operations)
				if sideIndex > 0 {
					continue
				}
				if m.stages == nil {
					m.stages = make([][]float64, len(u.stages))
				}
				for s, elapsed := range u.stages {
					m.stages[s] = append(m.stages[s], elapsed)
				}
			}
		}
	}
	return measurements, nil
}

// compare runs a benchmark of this tree and of in.tree in turns, and prints its values and their ratios.
func (b benchmark) compare(ctx context.Context, in *bench) error {
	trees := [2]string{".", in.tree}
	var binaries [2]string
	for n, tree := range trees {
		binaries[n] = filepath.Join(in.dir, fmt.Sprintf("%s-%d.test", b.name, n))
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binaries[n], b.folder)
		build.Dir = tree
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%s in %s: %w: %s", b.folder, tree, err, out)
		}
	}
	var order []string
	elapsed := map[string]*[2][]float64{}
	for round := range in.rounds {
		for n := range trees {
			treeIndex := (n + round) % 2
			run := exec.CommandContext(ctx, binaries[treeIndex], "-test.run", "^$", "-test.bench", "^"+b.name+"$",
				"-test.benchtime", "500ms")
			run.Dir = filepath.Join(trees[treeIndex], b.folder)
			out, err := run.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s in %s: %w: %s", b.name, trees[treeIndex], err, out)
			}
			for _, f := range figures(out, b.units[0]) {
				if elapsed[f.name] == nil {
					elapsed[f.name] = &[2][]float64{}
					order = append(order, f.name)
				}
				elapsed[f.name][treeIndex] = append(elapsed[f.name][treeIndex], f.value)
			}
		}
	}
	fmt.Printf("%s of both trees, medians of %d pairs in turns; the ratio is of this tree to %s, with the "+
		"lowest and the highest\n", b.units[0], in.rounds, in.tree)
	for _, name := range order {
		values := *elapsed[name]
		if len(values[0]) != len(values[1]) {
			fmt.Printf("%-60s  one tree alone has it\n", name)
			continue
		}
		fmt.Printf("%-60s  %9.1f  %9.1f   %s\n", name, median(values[0]), median(values[1]), ratioOf(values))
	}
	return nil
}

type figure struct {
	name  string
	value float64
}

// figures parses the output of `go test -bench`: a name, a count, and pairs of a value and its unit.
func figures(out []byte, unit string) (values []figure) {
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for n := 2; n+1 < len(fields); n += 2 {
			if number, err := strconv.ParseFloat(fields[n], 64); err == nil && fields[n+1] == unit {
				values = append(values, figure{name: fields[0], value: number})
			}
		}
	}
	return values
}
