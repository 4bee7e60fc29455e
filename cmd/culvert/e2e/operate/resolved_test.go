package operate

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// countedPackages are compiled with counters, which `go build -cover` adds to each block of statements.
var countedPackages = []string{"sdk/go/setting", "internal/resolved", "internal/check"}

// TestConfigurationIsResolvedOnce counts what one change of a running connector with a transform costs, including the
// restart of its task. The counters are the coverage counters of a worker with five changes, minus those of a worker
// with one change. One of the four changes may be checked twice, because something else has changed meanwhile.
func TestConfigurationIsResolvedOnce(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(e2etest.Bench.Dir, "culvert-counted")
	instrumented := "./cmd/culvert,./" + strings.Join(countedPackages, ",./") // the main package writes the counters
	require.NoError(t, e2etest.Build(binary, "", nil, "-cover", "-covermode=atomic", "-coverpkg="+instrumented))
	const changes = 4
	calls := callsOfChanges(t, binary, 1+changes)
	for name, n := range callsOfChanges(t, binary, 1) {
		calls[name] -= n
	}
	for _, c := range []struct {
		what     string
		function string // with its package and receiver
		limit    int
	}{
		{"tables of settings", "setting.NewTable", 8}, // of worker, Kafka clients and transforms; components keep theirs
		{"comparisons with a template", "setting.indexedTemplate.matches", 2_000},
		{"settings by role", "resolved.NewRoles", 2}, // of the values before and after
		{"look-ups of a class", "resolved.Find", 2},  // of the connector and of the transform
		// A configuration with a problem that the plugin finds alone sends nothing to the service.
		{"validations of the connector and of the transform", "check.Checker.validateOffline", 2},
		{"validations with the service", "check.Checker.validateOnline", 1},
	} {
		n, ok := calls[c.function]
		each := float64(n) / changes
		assert.True(t, ok && n <= (changes+1)*c.limit, "%s: expected at most %d calls of %s for a change, found %.1f",
			c.what, c.limit, c.function, each)
		t.Logf("%s: %.1f", c.what, each)
	}
}

// callsOfChanges starts a worker, changes its connector several times, and returns the number of calls of each function
// of [countedPackages].
func callsOfChanges(t *testing.T, binary string, changes int) map[string]int {
	t.Helper()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.Binary = binary
	counters := filepath.Join(p.Dir, "counters")
	require.NoError(t, os.Mkdir(counters, 0o700))
	p.Environ = append(p.Environ, "GOCOVERDIR="+counters)
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf")
	settings := e2etest.SettingsOf(e2etest.Source("counted", address, "Customers"))
	maps.Copy(settings, map[string]string{"transforms": "add", "transforms.add.static.field": "origin",
		"transforms.add.type": "org.apache.kafka.connect.transforms.InsertField$Value"})
	for n := range changes + 1 { // the first one creates the connector
		settings["transforms.add.static.value"] = strconv.Itoa(n)
		f.MustCall(map[bool]int{true: 201, false: 200}[n == 0], "PUT", "/connectors/counted/config",
			e2etest.AsJSON(t, settings))
		f.Await("counted", "runs", e2etest.IsRunning)
	}
	f.MustStop()
	profile := filepath.Join(p.Dir, "counters.txt")
	out, err := exec.Command("go", "tool", "covdata", "textfmt", "-i="+counters, "-o="+profile).CombinedOutput()
	require.True(t, err == nil, "go tool covdata: %v\n%s", err, out)
	return callsOfFunctions(t, profile)
}

// callsOfFunctions returns how often the first block of each function was entered, by package, receiver and name.
func callsOfFunctions(t *testing.T, profile string) map[string]int {
	t.Helper()
	starts := map[string]string{} // functions, by the file and the position of their first block
	for _, dir := range countedPackages {
		files, err := filepath.Glob(filepath.Join(e2etest.Bench.Root, dir, "*.go"))
		require.NoError(t, err)
		for _, path := range files {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, declaration := range file.Decls {
				if f, ok := declaration.(*ast.FuncDecl); ok {
					start := set.Position(f.Body.Lbrace)
					position := fmt.Sprintf("%s/%s:%d.%d", dir, filepath.Base(path), start.Line, start.Column)
					starts[position] = file.Name.Name + "." + functionName(f)
				}
			}
		}
	}
	content, err := os.Open(profile)
	require.NoError(t, err)
	defer content.Close()
	calls := map[string]int{}
	for lines := bufio.NewScanner(content); lines.Scan(); {
		path, block, _ := strings.Cut(lines.Text(), ",")
		_, path, _ = strings.Cut(path, "culvert-project/culvert/")
		if name, ok := starts[path]; ok {
			count, err := strconv.Atoi(block[strings.LastIndexByte(block, ' ')+1:])
			require.NoError(t, err)
			calls[name] += count
		}
	}
	return calls
}

// functionName returns the name of a function, or RECEIVER.NAME of a method.
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	return receiver.(*ast.Ident).Name + "." + f.Name.Name
}
