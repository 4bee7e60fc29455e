package guard

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// unguarded has the goroutines without a recover, by file and function, with the reasons.
var unguarded = map[string]string{
	"internal/rest/forward.go: cancel": "ends a request",
	"internal/group/worker.go: func":   "watches configurations, which package reload guards",
	"internal/rest/server.go: s.http.Serve": "the library's, which recovers in each request, as our handler does " +
		"before it",
	"internal/run/source/feed.go: func": "closes a channel around stages that guard each chunk; timers that end " +
		"a context",
	"internal/run/source/feed.go: limitWait":   "sets a timer",
	"internal/run/source/feed.go: cancel":      "ends a context",
	"internal/run/sink/startdelivery.go: func": "guards each delivery, and the encoding of a batch",
	"internal/run/sink/run.go: func": "closes a channel around what guards each batch; timers that end a " +
		"context",
	"internal/cluster/group.go: g.cancel":                       "a context's cancel",
	"internal/cluster/leaderwrites.go: cancel":                  "ends a context",
	"internal/connect/offsets.go: cancel":                       "ends a context",
	"internal/connect/herder.go: func":                          "waits for connectors, which are guarded",
	"internal/tunnel/logon.go: func":                            "sets a deadline",
	"internal/tunnel/brokers.go: func":                          "closes a connection",
	"internal/tunnel/relay.go: r.drain":                         "sets a deadline",
	"internal/kafka/security/dialer.go: cancel":                 "ends a context",
	"internal/kafka/security/dialer.go: func":                   "asks in a goroutine of its own, which is guarded",
	"internal/kafka/security/probe.go: func":                    "sets a deadline",
	"internal/kafka/consumer.go: cancel":                        "ends a context",
	"internal/kafka/producer.go: func":                          "the library's",
	"internal/kafka/sharedclient.go: s.Close":                   "the library's",
	"internal/plugin/open.go: func":                             "waits for loaders, which are guarded",
	"internal/transport/lockouts/gate.go: admitOthers":          "releases a lock",
	"internal/plugin/internal/code/returner.go: m.returnMemory": "sets a flag and calls the garbage collector",
	"internal/transport/route/connect.go: func":                 "sets a deadline",
	"internal/transport/socks/attempt.go: func":                 "sets a deadline",
	"internal/transport/body.go: func":                          "ends a context",
	"internal/plugin/compilenotice.go: func":                    "writes a line",
	"internal/plugin/memorylimiter.go: func":                    "ends a context",
	"internal/guard/lock.go: func":                              "ends the process",
	"cmd/culvert/main.go: func":                                 "waits for signals, and ends the process",
}

// Every goroutine of the host recovers its panics, or is listed above with the reason.
func TestGoroutinesAreGuarded(t *testing.T) {
	isUsed := map[string]bool{}
	for _, root := range []string{"../../host", "../../internal", "../../cmd/culvert"} {
		packages := map[string][]*ast.File{}
		files := token.NewFileSet()
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && (e.Name() == "testdata" || e.Name() == "e2e" || strings.HasSuffix(e.Name(), "test")) {
				return filepath.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(files, path, source, 0)
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], file)
			return err
		})
		require.NoError(t, err)
		for _, list := range packages {
			check := func(pos token.Pos, function ast.Expr) {
				position := files.Position(pos)
				if function == nil || isGuarded(function, list) {
					return
				}
				name := "func"
				if _, ok := function.(*ast.FuncLit); !ok {
					name = text(function)
				}
				key := filepath.ToSlash(strings.TrimPrefix(position.Filename, "../../")) + ": " + name
				if unguarded[key] == "" {
					t.Errorf("%s:%d: expected a goroutine that begins with a recover (guard.Recover, guard.Do, "+
						"guard.Vital), or %q in the list with a reason", position.Filename, position.Line, key)
				}
				isUsed[key] = true
			}
			for _, file := range list {
				ast.Inspect(file, func(n ast.Node) bool {
					switch n := n.(type) {
					case *ast.GoStmt:
						check(n.Pos(), n.Call.Fun)
					case *ast.CallExpr:
						s, ok := n.Fun.(*ast.SelectorExpr)
						if ok && len(n.Args) > 0 && (s.Sel.Name == "Go" || s.Sel.Name == "AfterFunc") {
							check(n.Pos(), n.Args[len(n.Args)-1])
						}
					}
					return true
				})
			}
		}
	}
	for key := range unguarded {
		assert.True(t, isUsed[key], "%s: expected the listed goroutine to exist", key)
	}
}

// isGuarded reports whether a function, or the method or function of its package that it names, recovers panics.
func isGuarded(f ast.Expr, files []*ast.File) bool {
	if literal, ok := f.(*ast.FuncLit); ok {
		call := onlyCall(literal.Body)
		return (call != nil && isGuarded(call.Fun, files)) || hasRecover(literal.Body)
	}
	name := text(f)
	name = name[strings.LastIndexByte(name, '.')+1:]
	for _, file := range files {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Name.Name == name && d.Body != nil && hasRecover(d.Body) {
				return true
			}
		}
	}
	return false
}

// onlyCall returns the call that a body consists of, nil if it has other statements.
func onlyCall(body *ast.BlockStmt) *ast.CallExpr {
	if len(body.List) != 1 {
		return nil
	}
	s, ok := body.List[0].(*ast.ExprStmt)
	if !ok {
		return nil
	}
	call, _ := s.X.(*ast.CallExpr)
	return call
}

// hasRecover reports whether a body calls a function that recovers, outside of goroutines that it starts.
func hasRecover(body *ast.BlockStmt) (found bool) {
	for _, s := range body.List {
		ast.Inspect(s, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				return false
			case *ast.CallExpr:
				switch name := text(n.Fun); name {
				case "guard.Recover", "guard.Do", "guard.Vital", "Recover", "recover":
					found = true
				}
			}
			return true
		})
	}
	return found
}

// text returns the names of an expression, such as r.drain.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return text(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return text(e.Fun)
	}
	return "?"
}
