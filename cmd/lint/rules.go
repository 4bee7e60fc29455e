package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"unicode"
)

// rules are called for each node of a file.
var rules = []func(f *file, n ast.Node){
	checkReceiver, checkResults, checkFields, checkCondition, checkMixedOperators, checkEmptyCase, checkLogPairs,
	checkAssignments, checkWraps, checkTestLength,
}

// checkReceiver reports a receiver of one or two letters that begins with no initial of its type's words.
func checkReceiver(f *file, n ast.Node) {
	method, ok := n.(*ast.FuncDecl)
	if !ok || method.Recv == nil || len(method.Recv.List[0].Names) == 0 {
		return
	}
	receiver := method.Recv.List[0].Names[0]
	typeName := nameOfType(method.Recv.List[0].Type)
	if receiver.Name == "_" || len(receiver.Name) > 2 {
		return
	}
	for i, letter := range typeName {
		if (i == 0 || unicode.IsUpper(letter)) && unicode.ToLower(letter) == rune(receiver.Name[0]) {
			return
		}
	}
	f.report(receiver, "receiver %s of %s: expected an initial of the type's name", receiver.Name, typeName)
}

func nameOfType(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return nameOfType(t.X)
	case *ast.IndexExpr:
		return nameOfType(t.X)
	case *ast.IndexListExpr:
		return nameOfType(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// checkResults reports a list of results over several lines.
func checkResults(f *file, n ast.Node) {
	if t, ok := n.(*ast.FuncType); ok && t.Results != nil && f.line(t.Results.Pos()) != f.line(t.Results.End()) {
		f.report(t.Results, "results over several lines: name the function type, or break the parameters")
	}
}

// maxTestLines is the longest test function. Tables are outside of it.
const maxTestLines = 80

// checkTestLength reports a test function that is longer than maxTestLines.
func checkTestLength(f *file, n ast.Node) {
	test, ok := n.(*ast.FuncDecl)
	if !ok || test.Recv != nil || !strings.HasPrefix(test.Name.Name, "Test") {
		return
	}
	if lines := f.line(test.End()) - f.line(test.Pos()) + 1; lines > maxTestLines {
		f.report(test, "%s has %d lines: expected at most %d, and its table outside of it", test.Name.Name, lines,
			maxTestLines)
	}
}

// checkFields reports fields of a struct over several lines that share a line, and fields that differ only in case.
func checkFields(f *file, n ast.Node) {
	t, ok := n.(*ast.StructType)
	if !ok {
		return
	}
	names := map[string]string{}
	for _, field := range t.Fields.List {
		if len(field.Names) > 1 && f.line(t.Fields.Opening) != f.line(t.Fields.Closing) {
			f.report(field, "several fields in a line: declare each with its own comment")
		}
		for _, name := range field.Names {
			if other, ok := names[strings.ToLower(name.Name)]; ok && name.Name != "_" {
				f.report(name, "fields %s and %s differ only in case", other, name.Name)
			}
			names[strings.ToLower(name.Name)] = name.Name
		}
	}
}

// checkCondition reports an if with a statement whose variables the condition does not use.
func checkCondition(f *file, n ast.Node) {
	s, ok := n.(*ast.IfStmt)
	if !ok || s.Init == nil {
		return
	}
	used := namesIn(s.Cond)
	if assignment, ok := s.Init.(*ast.AssignStmt); ok {
		for _, target := range assignment.Lhs {
			for name := range namesIn(target) {
				if used[name] {
					return
				}
			}
		}
	}
	f.report(s, "the condition does not use the statement before it: write the statement on its own line")
}

// checkMixedOperators reports a && b || c without parentheses.
func checkMixedOperators(f *file, n ast.Node) {
	or, ok := n.(*ast.BinaryExpr)
	if !ok || or.Op != token.LOR {
		return
	}
	for _, side := range []ast.Expr{or.X, or.Y} {
		if and, ok := side.(*ast.BinaryExpr); ok && and.Op == token.LAND {
			f.report(and, "&& inside || without parentheses")
		}
	}
}

// checkEmptyCase reports a case without statements of which no comment says why.
func checkEmptyCase(f *file, n ast.Node) {
	c, ok := n.(*ast.CaseClause)
	if !ok || len(c.Body) > 0 {
		return
	}
	line := f.line(c.Colon)
	for _, g := range f.syntax.Comments {
		if f.line(g.Pos()) <= line+1 && f.line(g.End()) >= line {
			return
		}
	}
	f.report(c, "empty case without a comment that says why")
}

// checkLogPairs reports a log call with a key on one line and its value on the next.
func checkLogPairs(f *file, n ast.Node) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	if !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
		return
	}
	for i := 1; i+1 < len(call.Args); i += 2 {
		key, ok := call.Args[i].(*ast.BasicLit)
		if ok && key.Kind == token.STRING && f.line(key.Pos()) != f.line(call.Args[i+1].Pos()) {
			f.report(key, "key %s of a log call and its value are on different lines", key.Value)
		}
	}
}

// namesIn returns all identifiers of an expression, also the names of selected fields and methods.
func namesIn(e ast.Expr) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(e, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok {
			names[name.Name] = true
		}
		return true
	})
	return names
}
