package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxColumns is the width of a line, a tab being four columns.
const maxColumns = 120

// checkAssignments reports parallel declarations and assignments of variables of which no right side reads another
// left side, so that they can be written one a line. Initial statements of for, if and switch are left out.
func checkAssignments(f *file, n ast.Node) {
	for _, s := range statementsOf(n) {
		a, ok := s.(*ast.AssignStmt)
		if ok && len(a.Lhs) > 1 && len(a.Lhs) == len(a.Rhs) && areIndependent(a) {
			f.report(a, "unrelated values in one assignment: write one a line")
		}
	}
}

// statementsOf returns the list of statements that a node contains directly.
func statementsOf(n ast.Node) []ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return n.List
	case *ast.CaseClause:
		return n.Body
	case *ast.CommClause:
		return n.Body
	}
	return nil
}

// areIndependent reports whether the assignments can be written one after the other. It believes this only of variables
// and of values without calls, which may read what was assigned; of a declaration also of values with calls.
func areIndependent(a *ast.AssignStmt) bool {
	targets := map[string]bool{}
	for _, target := range a.Lhs {
		name, ok := target.(*ast.Ident)
		if !ok {
			return false
		}
		targets[name.Name] = true
	}
	independent := true
	for _, value := range a.Rhs {
		ast.Inspect(value, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				independent = independent && !targets[n.Name]
			case *ast.CallExpr, *ast.FuncLit:
				independent = independent && a.Tok == token.DEFINE
			}
			return true
		})
	}
	return independent
}

// vertical matches the end of a list with one element a line, which stays as it is.
var vertical = regexp.MustCompile(`,\s*\n\s*[)}\]]|\{\s*\n`)

// checkWraps reports a statement, or the head of one, over several lines although it fits into one. Comments, function
// literals, texts in backquotes and lists with one element a line may be why it is broken.
func checkWraps(f *file, n ast.Node) {
	var end token.Pos
	switch n := n.(type) {
	case *ast.AssignStmt, *ast.ExprStmt, *ast.ReturnStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt, *ast.ValueSpec:
		end = n.End()
	case *ast.IfStmt:
		end = n.Body.Lbrace + 1
	case *ast.ForStmt:
		end = n.Body.Lbrace + 1
	case *ast.RangeStmt:
		end = n.Body.Lbrace + 1
	case *ast.SwitchStmt:
		end = n.Body.Lbrace + 1
	case *ast.CaseClause:
		end = n.Colon + 1
	case *ast.FuncDecl:
		if n.Body == nil {
			return
		}
		end = n.Body.Lbrace + 1
	default:
		return
	}
	from := n.Pos()
	if d, ok := n.(*ast.FuncDecl); ok {
		from = d.Type.Func
	}
	statement := f.text(from, end)
	if !strings.Contains(statement, "\n") || strings.Contains(statement, "`") || vertical.MatchString(statement) ||
		f.hasComment(from, end) {
		return
	}
	lineStart := f.fset.File(from).LineStart(f.line(from))
	line := f.text(lineStart, from) + joined(statement) + f.restOfLine(end)
	if utf8.RuneCountInString(line)+3*strings.Count(line, "\t") <= maxColumns {
		f.report(n, "broken over lines although it fits into %d columns", maxColumns)
	}
}

// restOfLine returns the source from a position to the end of its line.
func (f *file) restOfLine(from token.Pos) string {
	line, _, _ := strings.Cut(string(f.source[f.fset.Position(from).Offset:]), "\n")
	return line
}

// joined returns a statement in one line.
func joined(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "(") && !strings.HasSuffix(b.String(), "[") &&
			!strings.HasSuffix(b.String(), ".") {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}
