// Bench prints the project's figures. If a figure is compared with another one, both are measured in one run. Nothing
// passes or fails, because machines are shared and noisy, except the section feeds with --strict.
//
//	make bench                              everything
//	go run ./cmd/bench --culvert bin/culvert pipeline start memory
//	go run ./cmd/bench --culvert bin/culvert --brief
//	go run ./cmd/bench --culvert bin/culvert --against FILE --against-tree DIR decode transform pipeline start memory
//
// The last example measures two commits in turns and prints the ratios of processor time, of memory if that is
// measured, and of elapsed time for sinks. FILE is the binary of the other commit, DIR its working tree.
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

var decodeBenchmark = benchmark{
	folder: "./plugins/odata/decode/bench",
	name:   "BenchmarkPages",
	about: "Pages of rows, decoded in the sandbox, in CPU time. ratio is how many times as long encoding/xml's Token " +
		"loop (Atom) or\nencoding/json into a map (JSON) takes for the same bytes, natively; times-regular is what " +
		"irregular rows take beside regular ones, times-v2 what OData v4 takes (JSON4; JSON4Numbers of services that " +
		"ignore IEEE754Compatible)\nbeside v2's JSON. Each row of Odd takes another branch of the decoder.",
	count: 1,
	units: []string{"guest-ns/row", "ratio", "times-regular", "times-v2"},
}

var stockGoBenchmark = benchmark{
	folder: "./plugins/odata/decode/bench",
	name:   "BenchmarkStock",
	about: "The same pages in a guest without assembly (without the build tag kernels), in turns: times-kernel is " +
		"what the kernels' Go takes, compiled by stock Go, of the time of their assembly. The assembler is to go " +
		"once all are at most 1.5.",
	count: 1,
	time:  "40x",
	units: []string{"times-kernel"},
}

var transformBenchmark = benchmark{
	folder: "./internal/run/transform",
	name:   "BenchmarkChains",
	about: "Chains of transforms on a record of 10 fields, the crossing included; make bench-peers has Kafka's own " +
		"classes beside them.",
	count: 3,
	units: []string{"cpu-ns/record"},
}

// sections are the available measurements in printed order.
var sections = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{name: "decode", run: func(ctx context.Context, b *bench) error {
		if err := decodeBenchmark.run(ctx, b); err != nil {
			return err
		}
		return stockGoBenchmark.run(ctx, b)
	}},
	{name: "transform", run: transformBenchmark.run},
	{name: "pipeline", run: measurePipeline},
	{name: "sink", run: measureSink},
	{name: "refusals", run: measureRefusals},
	{name: "start", run: measureStart},
	{name: "memory", run: measureMemory},
	{name: "feeds", run: measureFeeds},
	{name: "long", run: measureLong},
	{name: "console", run: measureConsole},
	{name: "change", run: measureChange},
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
		b.rows = b.scale(b.rows)
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
	culvert string // the binary to measure
	against string // a binary to compare workers with; "" means no comparison
	tree    string // a working tree to compare benchmarks with; "" means no comparison
	rows    int
	rounds  int
	strict  bool   // missed aims of the section feeds are an error
	brief   bool   // run a hundredth of everything, without waiting
	dir     string // the files of a run
	service string // the demo service's binary
}

func (b *bench) runIntoPage(ctx context.Context, page string, sectionNames []string) error {
	if page == "" {
		return b.run(ctx, sectionNames)
	}
	finish, err := copyOutput(page)
	if err != nil {
		return err
	}
	if err := b.run(ctx, sectionNames); err != nil {
		return err
	}
	return finish()
}

func (b *bench) run(ctx context.Context, sectionNames []string) (err error) {
	if b.dir, err = os.MkdirTemp("", "culvert-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.service = filepath.Join(b.dir, "demo-service")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.service, "./examples/demo-service")
	build.Stdout = os.Stdout
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(build.Args, " "), err)
	}
	for _, s := range sections {
		if len(sectionNames) > 0 && !slices.Contains(sectionNames, s.name) {
			continue
		}
		fmt.Printf("\n== %s\n", s.name)
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

type benchmark struct {
	folder string
	name   string
	about  string   // printed above the figures
	count  int      // runs
	time   string   // -benchtime of a run; "" means Go's default
	units  []string // whose medians are printed; two trees are compared by the first one
}

// run prints the medians of a benchmark, or with --against-tree the comparison of two trees.
func (b benchmark) run(ctx context.Context, in *bench) error {
	if in.tree != "" {
		return b.compare(ctx, in)
	}
	fmt.Println(b.about)
	count := b.count
	runTime := cmp.Or(b.time, "1s")
	if in.brief {
		count = 1
		runTime = "1x"
	}
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+b.name+"$", "-count",
		strconv.Itoa(count), "-benchtime", runTime, "-short="+strconv.FormatBool(in.brief), b.folder).CombinedOutput()
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

func (b *bench) scale(n int) int {
	if b.brief {
		return max(n/100, 2)
	}
	return n
}

func (b *bench) wait(ctx context.Context, d time.Duration) error {
	if b.brief {
		d = time.Second
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
