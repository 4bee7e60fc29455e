package canon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// oracle returns the core signatures that wasm-tools writes for a world (testdata/abi/oracle.sh), by export or import.
// A signature starts with that name, as [Func.String] does.
func oracle(t *testing.T, world string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/abi", world+".wat"))
	require.NoError(t, err)
	types := map[string]string{}
	for _, m := range regexp.MustCompile(`\(type \(;(\d+);\) \(func(.*)\)\)`).FindAllStringSubmatch(string(text), -1) {
		types[m[1]] = m[2]
	}
	functions := map[string]string{}
	for _, m := range regexp.MustCompile(`\(func \(;(\d+);\) \(type (\d+)\)`).FindAllStringSubmatch(string(text), -1) {
		functions[m[1]] = types[m[2]]
	}
	signatures := map[string]string{}
	export := regexp.MustCompile(`\(export "([^"]+)" \(func (\d+)\)\)`)
	for _, m := range export.FindAllStringSubmatch(string(text), -1) {
		signatures[m[1]] = m[1] + functions[m[2]]
	}
	for _, m := range regexp.MustCompile(`\(import "([^"]+)" "([^"]+)" \(func \(;(\d+);\)`).FindAllStringSubmatch(
		string(text), -1) {
		signatures[m[1]+"#"+m[2]] = m[1] + "#" + m[2] + functions[m[3]]
	}
	require.True(t, len(signatures) >= 5, "%s: expected at least 5 imports and exports, found %d", world,
		len(signatures))
	return signatures
}

// Host and SDK use the names and core signatures that the component model's own tools expect of a module.
func TestSignaturesMatchOracle(t *testing.T) {
	c := readContract(t)
	for world, exports := range c.worlds {
		want := oracle(t, world)
		for _, iface := range append([]string{wit.InterfaceHost}, exports...) {
			for _, f := range Functions(iface) {
				if got := f.String(); got != want[f.Export()] {
					t.Errorf("%s: the oracle has %q, canon has %q", world, want[f.Export()], got)
				}
				delete(want, f.Export())
				delete(want, "cabi_post_"+f.Export())
			}
		}
		for _, name := range []string{"cabi_realloc", "_initialize"} {
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%s: the oracle has %q, which canon does not know", world, name)
		}
	}
}

// The SDK's exports are written by hand. Their names and signatures are compared with the oracle's.
func TestSDKExportsMatchOracle(t *testing.T) {
	want := oracle(t, "full-source-plugin")
	for _, world := range []string{"sink-plugin", "transform-plugin"} {
		for name, signature := range oracle(t, world) {
			want[name] = signature
		}
	}
	files, _ := filepath.Glob("../../sdk/go/*/exports_wasip1.go")
	files = append(files, "../../sdk/go/internal/guest/guest_wasip1.go")
	exportCount := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Doc == nil {
				continue
			}
			name, isExport := strings.CutPrefix(f.Doc.List[len(f.Doc.List)-1].Text, "//go:wasmexport ")
			if !isExport {
				continue
			}
			exportCount++
			if got := name + coreSignature(f.Type); got != want[name] {
				t.Errorf("%s: the oracle has %q, the SDK has %q", file, want[name], got)
			}
		}
	}
	assert.True(t, exportCount == 24, "expected 24 exports, found %d in %v", exportCount, files)
}

// coreSignature returns the core signature of a Go function, as [Func.String] writes it.
func coreSignature(f *ast.FuncType) string {
	write := func(name string, list *ast.FieldList) string {
		if list == nil || len(list.List) == 0 {
			return ""
		}
		s := " (" + name
		for _, field := range list.List {
			core := map[string]string{"uint32": "i32", "int64": "i64"}[field.Type.(*ast.Ident).Name]
			s += strings.Repeat(" "+core, max(1, len(field.Names)))
		}
		return s + ")"
	}
	return write("param", f.Params) + write("result", f.Results)
}
