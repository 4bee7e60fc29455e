package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/plugins/odata/decode"
)

const (
	pageRows  = 1000
	pieceSize = 64 << 10
)

// encodedRowBytes is the size of a wit.Row in a module's memory.
const encodedRowBytes = 80

// guest is an instance of the decoder in Wasm, with the functions that ./guest exports.
type guest struct {
	m        api.Module
	room     api.Function
	page     api.Function
	piece    api.Function
	data     api.Function
	dataSize api.Function
	rows     api.Function
	allocs   api.Function
	copied   []byte // rows and data of the last piece
}

var build = sync.OnceValues(func() ([]byte, error) { return buildGuest("kernels") })

// buildGuest builds the guest with build tags.
func buildGuest(tags string) ([]byte, error) {
	return compile("build", "-buildmode=c-shared", "-ldflags=-s -w", "-trimpath", "-tags="+tags, "./guest")
}

// compile returns the output of a go command for Wasm, after assembling the kernels.
func compile(args ...string) ([]byte, error) {
	if err := guesttest.Kernels(); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "guest.wasm")
	cmd := exec.Command("go", append([]string{args[0], "-o", file}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		os.Stderr.Write(text)
		return nil, err
	}
	return os.ReadFile(file)
}

func newGuest(t testing.TB) *guest {
	t.Helper()
	binary, err := build()
	require.NoError(t, err)
	return instantiate(t, binary)
}

// cache stores compiled guests for the tests of this process, because compiling one takes seconds.
var cache = wazero.NewCompilationCache()

func instantiate(t testing.TB, binary []byte) *guest {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	module, err := r.InstantiateWithConfig(ctx, binary,
		wazero.NewModuleConfig().WithStartFunctions("_initialize").WithStderr(os.Stderr))
	require.NoError(t, err)
	g := &guest{m: module}
	for name, f := range map[string]*api.Function{"room": &g.room, "page": &g.page, "piece": &g.piece, "data": &g.data,
		"dataSize": &g.dataSize, "rows": &g.rows, "allocated": &g.allocs} {
		*f = module.ExportedFunction(name)
	}
	return g
}

func (g *guest) call(t testing.TB, f api.Function, args ...uint64) uint64 {
	result, err := f.Call(context.Background(), args...)
	require.NoError(t, err)
	if len(result) == 0 {
		return 0
	}
	return result[0]
}

// decode passes a page in pieces of size bytes and copies rows and data out, as the host does. It returns the number of
// rows. visit, if not nil, gets the copies of each piece. format is its number in [Formats].
func (g *guest) decode(t testing.TB, shape, format int, doc []byte, size int, visit func(rows, data []byte)) int {
	address := uint32(g.call(t, g.room, uint64(size)))
	g.call(t, g.page, uint64(shape), uint64(format))
	total := 0
	for len(doc) > 0 {
		n := min(size, len(doc))
		g.m.Memory().Write(address, doc[:n])
		doc = doc[n:]
		last := uint64(0)
		if len(doc) == 0 {
			last = 1
		}
		rows := int32(g.call(t, g.piece, uint64(n), last))
		require.True(t, rows >= 0, "the guest could not decode the page")
		total += int(rows)
		bytes, _ := g.m.Memory().Read(uint32(g.call(t, g.rows)), uint32(rows)*encodedRowBytes)
		g.copied = append(g.copied[:0], bytes...)
		bytes, _ = g.m.Memory().Read(uint32(g.call(t, g.data)), uint32(g.call(t, g.dataSize)))
		g.copied = append(g.copied, bytes...)
		if visit != nil {
			visit(g.copied[:rows*encodedRowBytes], g.copied[rows*encodedRowBytes:])
		}
	}
	return total
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measureCPU returns the CPU time of f in nanoseconds.
func measureCPU(f func()) float64 {
	start := cpu()
	f()
	return float64(cpu() - start)
}

// median sorts values and returns the middle one.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// medianTimes returns the median CPU times in nanoseconds that guests take for a page, measured alternately.
func medianTimes(b *testing.B, shape, format int, doc []byte, guests ...*guest) (medians []float64) {
	times := make([][]float64, len(guests))
	for b.Loop() {
		for n, g := range guests {
			times[n] = append(times[n], measureCPU(func() { g.decode(b, shape, format, doc, pieceSize, nil) }))
		}
	}
	for _, guestTimes := range times {
		medians = append(medians, median(guestTimes))
	}
	return medians
}

// readNatively processes a page like a plain native program: encoding/json into a map, or all tokens of encoding/xml.
// No value is converted.
func readNatively(atom bool, doc []byte) {
	if !atom {
		var v map[string]any
		if err := json.Unmarshal(doc, &v); err != nil {
			panic(err)
		}
		return
	}
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			panic(err)
		}
	}
}

// mustDecode returns the output of a decoder for a page of this number of rows, which include deleted and failed ones.
func mustDecode(t testing.TB, d decode.Decoder, doc []byte, rows int) *decode.Output {
	t.Helper()
	out := &decode.Output{}
	if err := d.Write(doc, true, out); err != nil || int(out.Page.Rows) != rows ||
		len(out.Rows)+len(out.RowErrors)+len(out.Tombstones) != rows {
		t.Fatalf("expected %d rows, found %d, %v", rows, out.Page.Rows, err)
	}
	return out
}

// BenchmarkPages alternately measures the CPU time per row of the guest under wazero (including copying in and out) and
// of native packages of Go, the anchor. ratio is the anchor's time divided by the guest's. Pages of irregular rows are
// compared with the guest's own time for the regular page of the shape, and the page Odd with the regular page of
// Orders; pages of v4 also with those of v2. The rows of Odd include deleted and failed ones.
func BenchmarkPages(b *testing.B) {
	g := newGuest(b)
	// compare measures a page and one that the unit names alternately.
	compare := func(name, unit string, page, base func()) {
		b.Run(name, func(b *testing.B) {
			var times, baseTimes []float64
			for b.Loop() {
				baseTimes = append(baseTimes, measureCPU(base))
				times = append(times, measureCPU(page))
			}
			b.ReportMetric(median(times)/pageRows, "guest-ns/row")
			b.ReportMetric(median(times)/median(baseTimes), unit)
			b.ReportMetric(0, "ns/op")
		})
	}
	var v2 []func() // reads JSON of v2, by shape
	for n, format := range Formats {
		var orders func()
		for k, shape := range format.Shapes(pageRows) {
			regular := format.Page(shape, Regular)
			want := len(mustDecode(b, format.NewDecoder(shape.Schema), regular, pageRows).Rows)
			decode := func(doc []byte) func() {
				return func() {
					require.Equal(b, want, g.decode(b, k, n, doc, pieceSize, nil), "rows")
				}
			}
			name := format.Name + "/" + shape.Name
			switch n {
			case FormatJSON:
				v2 = append(v2, decode(regular))
			case FormatJSON4, FormatNumbers4:
				compare(name+"/beside v2", "times-v2", decode(regular), v2[k])
			}
			if n == FormatNumbers4 {
				continue
			}
			if shape.Name == "Odd" {
				compare(name, "times-regular", decode(regular), orders)
				continue
			}
			b.Run(name, func(b *testing.B) {
				var guestTimes, anchorTimes []float64
				for b.Loop() {
					runtime.GC() // otherwise the anchor's garbage is collected in the guest's time
					guestTimes = append(guestTimes, measureCPU(decode(regular)))
					anchorTimes = append(anchorTimes, measureCPU(func() { readNatively(n == FormatAtom, regular) }))
				}
				guestTime := median(guestTimes)
				anchorTime := median(anchorTimes)
				b.ReportMetric(guestTime/pageRows, "guest-ns/row")
				b.ReportMetric(anchorTime/pageRows, "anchor-ns/row")
				b.ReportMetric(float64(len(regular))/guestTime*1000, "guest-MB/s")
				b.ReportMetric(anchorTime/guestTime, "ratio")
				b.ReportMetric(0, "ns/op")
			})
			if shape.Name == "Orders" {
				orders = decode(regular)
			}
			if shape.Name == "Long" || shape.Name == "Expanded" {
				continue
			}
			for _, variant := range []Variant{Omitted, Shuffled} {
				compare(name+"/"+variant.String(), "times-regular", decode(format.Page(shape, variant)), decode(regular))
			}
		}
	}
}

// The guest returns the same bytes as the native decoder.
func TestGuestReturnsNativeRows(t *testing.T) {
	g := newGuest(t)
	for n, format := range Formats {
		for k, shape := range format.Shapes(100) {
			for _, v := range []Variant{Regular, Omitted, Shuffled} {
				doc := format.Page(shape, v)
				out := mustDecode(t, format.NewDecoder(shape.Schema), doc, 100)
				require.True(t, shape.Name == "Odd" || len(out.Rows) == 100,
					"%s %s: expected 100 rows without errors, found %d", shape.Name, v, len(out.Rows))
				for _, size := range []int{pieceSize, 4096, 700} {
					var data []byte
					g.decode(t, k, n, doc, size, func(_, d []byte) { data = append(data, d...) })
					assert.True(t, bytes.Equal(data, out.Data),
						"%s %s %s in pieces of %d: the guest's data differ", format.Name, shape.Name, v, size)
				}
			}
		}
	}
}

// The tests of the decoder pass in Wasm too, where its kernel is assembly: the test programs run under wazero.
func TestDecoderInWasm(t *testing.T) {
	root, err := filepath.Abs("../../../..")
	require.NoError(t, err)
	ctx := context.Background()
	code, err := wazero.NewCompilationCacheWithDir(guesttest.Code(t))
	require.NoError(t, err)
	for folder, tests := range map[string]string{"plugins/odata/decode": "Pages|Reference|Samples|NoRows|Limit|Golden|Kernel",
		"plugins/odata/decode/kernel": "."} {
		binary, err := compile("test", "-c", "-tags=kernels", filepath.Join(root, folder))
		require.NoError(t, err)
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(code))
		wasi_snapshot_preview1.MustInstantiate(ctx, r)
		var text bytes.Buffer
		config := wazero.NewModuleConfig().WithArgs("test", "-test.v", "-test.short", "-test.run", tests).
			WithEnv("PWD", "/"+folder).WithEnv("GOGC", "off").WithEnv("GOMEMLIMIT", "512MiB").
			WithFSConfig(wazero.NewFSConfig().WithReadOnlyDirMount(root, "/")).
			WithStdout(&text).WithStderr(&text).WithSysWalltime().WithSysNanotime()
		_, err = r.InstantiateWithConfig(ctx, binary, config)
		var exit *sys.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 0 {
			err = nil
		}
		assert.True(t, err == nil && bytes.Contains(text.Bytes(), []byte("PASS")) &&
			!bytes.Contains(text.Bytes(), []byte("no tests to run")), "%s: %v\n%s", folder, err, text.Bytes())
		r.Close(ctx)
	}
}

// Rows cause no allocations in a warm guest: pages of 100 and of 1,000 rows have the same few.
func TestRowsAllocateNothing(t *testing.T) {
	g := newGuest(t)
	for n, format := range Formats {
		for k, shape := range format.Shapes(0) {
			if shape.Name == "Odd" { // texts of errors and references of deleted rows are allocated
				continue
			}
			count := func(rows int) int64 {
				doc := format.Page(format.Shapes(rows)[k], Regular)
				for range 3 {
					g.decode(t, k, n, doc, pieceSize, nil)
				}
				before := g.call(t, g.allocs)
				g.decode(t, k, n, doc, pieceSize, nil)
				return int64(g.call(t, g.allocs) - before)
			}
			of100 := count(100)
			of1000 := count(1000)
			if of1000-of100 > 20 || of1000 > 100 {
				t.Errorf("%s/%s: expected at most 100 objects, 20 of them for more rows, "+
					"found %d for 100 rows, %d for 1,000", format.Name, shape.Name, of100, of1000)
			}
			t.Logf("%s/%s: %d objects for 100 rows, %d for 1,000", format.Name, shape.Name, of100, of1000)
		}
	}
}
