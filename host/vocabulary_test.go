package host

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// rejectedWords are words that names must not contain, since Kafka Connect, OData and Go have other words for them.
const rejectedWords = "anew beside beyond amid thence twin twins told tells heard came crew life lives astray " +
	"brought doubtful unsure misfit lesson manner took undone missed lacks unannounced unmarked resting rescanning " +
	"saysdone goes gone going anybody somebody nobody whither"

// acceptedNames contain one of these words because a standard or a library uses it.
var acceptedNames = []string{
	"ErrorGone", // HTTP 410 Gone
}

// Names of declarations and files use the words of the field.
func TestNamesUseTheWordsOfTheField(t *testing.T) {
	files := 0
	names := 0
	check := func(place, name string) {
		names++
		for _, word := range wordsOf(name) {
			if slices.Contains(strings.Fields(rejectedWords), word) && !slices.Contains(acceptedNames, name) {
				t.Errorf("%s: expected a name without the word %q, found %s: use the field's word", place, word, name)
			}
		}
	}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == built || (path != ".." && entry.Name()[0] == '.') ||
			entry.Name() == "node_modules"):
			return fs.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		files++
		check(path, strings.TrimSuffix(entry.Name(), ".go"))
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, name := range declaredNames(n) {
				check(set.Position(name.Pos()).String(), name.Name)
			}
			return true
		})
		return nil
	})
	assert.True(t, err == nil && files >= 900 && names >= 50_000,
		"expected at least 900 files and 50000 names, found %d and %d: %v", files, names, err)
}

// declaredNames returns the names that a node declares.
func declaredNames(n ast.Node) (names []*ast.Ident) {
	add := func(expressions ...ast.Expr) {
		for _, e := range expressions {
			if name, ok := e.(*ast.Ident); ok {
				names = append(names, name)
			}
		}
	}
	switch n := n.(type) {
	case *ast.FuncDecl:
		add(n.Name)
	case *ast.TypeSpec:
		add(n.Name)
	case *ast.ValueSpec:
		names = n.Names
	case *ast.Field:
		names = n.Names
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			add(n.Lhs...)
		}
	case *ast.RangeStmt:
		if n.Tok == token.DEFINE {
			add(n.Key, n.Value)
		}
	}
	return names
}

// wordsOf splits a name at capitals, underscores, hyphens and dots: "HTTPGoneError" is http, gone, error.
func wordsOf(name string) (words []string) {
	runes := []rune(name)
	start := 0
	for i := 1; i <= len(runes); i++ {
		switch {
		case i == len(runes), strings.ContainsRune("_-.", runes[i]): // a word ends here
		case !unicode.IsUpper(runes[i]):
			continue
		case unicode.IsUpper(runes[i-1]) && (i+1 == len(runes) || !unicode.IsLower(runes[i+1])):
			continue
		}
		words = append(words, strings.ToLower(strings.Trim(string(runes[start:i]), "_-.")))
		start = i
	}
	return words
}

// A name is split at capitals, hyphens and underscores.
func TestWordsOfNames(t *testing.T) {
	for name, want := range map[string]string{
		"HTTPGoneError": "http gone error",
		"toldOf":        "told of",
		"crew_test":     "crew test",
		"lifeID":        "life id",
		"Life":          "life",
		"unlifely":      "unlifely",
		"TestX":         "test x",
	} {
		assert.Equal(t, want, strings.Join(wordsOf(name), " "), name)
	}
}
