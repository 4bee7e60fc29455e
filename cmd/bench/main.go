// Bench prints the project's figures, each with what it is compared with, both sides in one run. CPU time where the
// two sides are programs of their own; nothing here passes or fails: machines are shared and noisy.
//
//	make bench                              everything
//	go run ./cmd/bench --culvert bin/culvert pipeline start memory
//	go run ./cmd/bench --culvert bin/culvert --brief
//	go run ./cmd/bench --culvert bin/culvert --against FILE --against-tree DIR decode transform pipeline start memory
//
// The last one measures two commits in turns, of one a binary and the working tree that it was built from, and gives
// the ratios: of processor time, of memory where that is measured, and of sinks of the time that passes, too.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var decoding = benchmark{"./plugins/odata/decode/bench", "BenchmarkPages", `Pages of rows, decoded in the sandbox, in CPU time. ratio is how many times as long encoding/xml's Token loop (Atom) or
encoding/json into a map (JSON) takes for the same bytes, natively; times-regular is what irregular rows take beside regular ones. Each row of Odd takes another branch of the decoder.`,
	1, "", []string{"guest-ns/row", "ratio", "times-regular"}}

var stock = benchmark{"./plugins/odata/decode/bench", "BenchmarkStock", "The same pages in a guest without assembly " +
	"(without the build tag kernels), in turns: times-kernel is what the kernels' Go takes, compiled by stock Go, " +
	"of the time of their assembly. The assembler is to go once all are at most 1.5.", 1, "40x",
	[]string{"times-kernel"}}

var transforming = benchmark{"./internal/run/transform", "BenchmarkChains",
	"Chains of transforms on a record of 10 fields, the crossing included; make bench-peers has Kafka's own classes " +
		"beside them.", 3, "", []string{"cpu-ns/record"}}

// sections are the available measurements in printed order.
var sections = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"decode", func(ctx context.Context, b *bench) error {
		if err := decoding.run(ctx, b); err != nil {
			return err
		}
		return stock.run(ctx, b)
	}},
	{"transform", transforming.run},
	{"pipeline", pipeline},
	{"sink", sink},
	{"start", start},
	{"memory", memory},
	{"feeds", feeds},
	{"long", long},
	{"console", console},
}

func main() {
	b := &bench{}
	flag.StringVar(&b.culvert, "culvert", "bin/culvert", "the culvert binary")
	flag.StringVar(&b.against, "against", "",
		"another culvert binary: pipeline, sink, start and memory run both in turns and print the ratios")
	flag.StringVar(&b.tree, "against-tree", "", "the working tree of another commit, with its guests built: decode "+
		"and transform run the benchmarks of both in turns and print the ratios")
	flag.IntVar(&b.rows, "rows", 200_000, "order rows in the pipeline")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each measurement")
	flag.BoolVar(&b.strict, "strict", false,
		"fail where the section feeds takes more memory than its aims and 15 % of them")
	flag.BoolVar(&b.brief, "brief", false, "every section in seconds, with a hundredth of the rows, one round and no "+
		"waiting: shows that it runs, and its figures mean nothing")
	page := flag.String("page", "", "a page, such as BENCHMARKS.md, whose figures are replaced by what is printed")
	flag.Parse()
	if b.brief {
		b.rows = b.scaled(b.rows)
		b.rounds = 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.runIntoPage(ctx, *page, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	culvert string
	// against is a binary to compare workers with, tree a working tree to compare benchmarks with; "" for none.
	against string
	tree    string
	rows    int
	rounds  int
	// strict makes missed aims of the section feeds an error.
	strict bool
	// brief runs a hundredth of everything, without waiting.
	brief bool
	// dir has the files of a run; service is the demo service's binary.
	dir     string
	service string
}

// runIntoPage runs sections and writes their output into a page, unless page is "".
func (b *bench) runIntoPage(ctx context.Context, page string, wanted []string) error {
	if page == "" {
		return b.run(ctx, wanted)
	}
	finish, err := copyOutput(page)
	if err != nil {
		return err
	}
	if err := b.run(ctx, wanted); err != nil {
		return err
	}
	return finish()
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

// benchmark is a Go benchmark, or several by a pattern, with an introduction to its figures, the number of runs, and
// the duration or rounds ("" means Go's default). The medians of units are printed; two trees are compared by the first
// unit.
type benchmark struct {
	folder string
	name   string
	about  string
	count  int
	time   string
	units  []string
}

func (b benchmark) run(ctx context.Context, in *bench) error {
	if in.tree != "" {
		return b.compare(ctx, in)
	}
	fmt.Println(b.about)
	count := b.count
	time := cmp.Or(b.time, "1s")
	if in.brief {
		count = 1
		time = "1x"
	}
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+b.name+"$", "-count",
		strconv.Itoa(count), "-benchtime", time, "-short="+strconv.FormatBool(in.brief), b.folder).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s in %s: %w: %s", b.name, b.folder, err, out)
	}
	var names []string
	samples := map[string]map[string][]float64{} // by name and unit
	for _, unit := range b.units {
		for _, f := range figures(out, unit) {
			if samples[f.name] == nil {
				samples[f.name] = map[string][]float64{}
				names = append(names, f.name)
			}
			samples[f.name][unit] = append(samples[f.name][unit], f.value)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("%-44s", name)
		for _, unit := range b.units {
			if values := samples[name][unit]; values != nil {
				fmt.Printf("  %9.5g %s", median(values), unit)
			}
		}
		fmt.Println()
	}
	return nil
}

// scaled reduces a number for a brief run.
func (b *bench) scaled(many int) int {
	if b.brief {
		return max(many/100, 2)
	}
	return many
}

// wait waits until a worker is idle.
func (b *bench) wait(ctx context.Context, wait time.Duration) error {
	if b.brief {
		wait = time.Second
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func tool(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout = os.Stdout
	c.Stderr = os.Stderr
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
