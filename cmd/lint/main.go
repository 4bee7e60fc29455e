// Lint reports habits of writing that staticcheck does not know, in the Go files that git tracks below the working
// directory. Generated files and the packages' testdata are left out. The list rules names the habits.
//
//	go run ./cmd/lint
//
// Each line names the place and what to write instead. The exit code is 1 if there is one.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	tracked, err := exec.Command("git", "ls-files", "-z", "*.go").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint: git ls-files:", err)
		os.Exit(2)
	}
	read := 0
	var reports []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(tracked), "\x00"), "\x00") {
		if strings.Contains(name, "/testdata/") {
			continue
		}
		source, err := os.ReadFile(name)
		if os.IsNotExist(err) { // deleted, not yet committed
			continue
		}
		if err == nil {
			var found []string
			found, err = check(name, source)
			reports = append(reports, found...)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "lint:", err)
			os.Exit(2)
		}
		read++
	}
	for _, r := range reports {
		fmt.Println(r)
	}
	if len(reports) > 0 || read == 0 {
		fmt.Fprintf(os.Stderr, "lint: %d reports in %d files\n", len(reports), read)
		os.Exit(1)
	}
}

// file is a parsed file, and the reports about it so far.
type file struct {
	name    string
	source  []byte
	fset    *token.FileSet
	syntax  *ast.File
	reports []string
}

// check returns a report for each place in source that breaks a rule, in the order of the lines.
func check(name string, source []byte) ([]string, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(syntax) {
		return nil, err
	}
	f := &file{name: name, source: source, fset: fset, syntax: syntax}
	ast.Inspect(syntax, func(n ast.Node) bool {
		if n != nil {
			for _, rule := range rules {
				rule(f, n)
			}
		}
		return true
	})
	slices.SortStableFunc(f.reports, func(a, b string) int { return f.lineOf(a) - f.lineOf(b) })
	return f.reports, nil
}

func (f *file) report(n ast.Node, format string, arguments ...any) {
	f.reports = append(f.reports, fmt.Sprintf("%s:%d: %s", f.name, f.line(n.Pos()), fmt.Sprintf(format, arguments...)))
}

// lineOf returns the line number in a report.
func (f *file) lineOf(report string) (line int) {
	_, _ = fmt.Sscanf(strings.TrimPrefix(report, f.name), ":%d:", &line)
	return line
}

func (f *file) line(p token.Pos) int { return f.fset.Position(p).Line }

// text returns the source between two positions.
func (f *file) text(from, to token.Pos) string {
	return string(f.source[f.fset.Position(from).Offset:f.fset.Position(to).Offset])
}

// hasComment reports whether a comment begins or ends between two positions.
func (f *file) hasComment(from, to token.Pos) bool {
	overlaps := func(g *ast.CommentGroup) bool { return g.Pos() < to && g.End() > from }
	return slices.ContainsFunc(f.syntax.Comments, overlaps)
}
