package host

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// declaration is a declaration with a doc comment.
type declaration struct {
	// names are the names with which the comment may begin.
	names []string
	doc   *ast.CommentGroup
	// isStrict means that the comment must begin with one of the names if they are exported.
	isStrict bool
	// isGroup means that the comment belongs to several declarations.
	isGroup bool
}

// A doc comment begins with the name of the declaration. A comment that begins with another name was left over when the
// declaration was renamed or moved.
func TestDocCommentsBeginWithName(t *testing.T) {
	files := token.NewFileSet()
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (path == built || e.Name() == "testdata" || (strings.HasPrefix(e.Name(), ".") &&
			e.Name() != "..")) {
			return fs.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil && !ast.IsGenerated(file) {
			key := filepath.Dir(path) + " " + file.Name.Name
			packages[key] = append(packages[key], file)
		}
		return err
	})
	require.NoError(t, err)
	commentCount := 0
	for _, list := range packages {
		problems, comments := findProblems(files, list)
		commentCount += comments
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	assert.AtLeast(t, 10_000, commentCount, "the doc comments of all packages")
}

// findProblems returns the doc comments of a package that begin with another name, and the number of comments that were
// read.
func findProblems(files *token.FileSet, sources []*ast.File) (problems []string, commentCount int) {
	declaredNames := map[string]bool{}
	var list []declaration
	for _, file := range sources {
		list = append(list, declarations(file)...)
	}
	for _, d := range list {
		for _, name := range d.names {
			declaredNames[name] = true
		}
	}
	for _, d := range list {
		if d.doc == nil || d.doc.Text() == "" {
			continue
		}
		commentCount++
		place := files.Position(d.doc.Pos())
		d.isStrict = d.isStrict && !strings.HasSuffix(place.Filename, "_test.go")
		if word := wrongFirstWord(d, declaredNames); word != "" {
			problems = append(problems, fmt.Sprintf("%s:%d: expected the comment to begin with %s, found %q",
				place.Filename, place.Line, strings.Join(d.names, " or "), word))
		}
		for _, link := range docLink.FindAllStringSubmatch(d.doc.Text(), -1) {
			if !declaredNames[link[1]] && camelCase.MatchString(link[1]) {
				problems = append(problems,
					fmt.Sprintf("%s:%d: expected a link to a declaration of the package, found [%s]",
						place.Filename, place.Line, link[1]))
			}
		}
	}
	return problems, commentCount
}

// declarations returns the declarations of a file that may have doc comments: functions, methods, types, constants,
// variables, and the fields and methods of types.
func declarations(file *ast.File) (list []declaration) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			list = append(list, declaration{names: []string{d.Name.Name}, doc: d.Doc, isStrict: true})
		case *ast.GenDecl:
			var members []declaration
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					members = append(members, declaration{names: []string{s.Name.Name}, doc: s.Doc, isStrict: true})
				case *ast.ValueSpec:
					members = append(members, declaration{names: namesOf(s.Names), doc: s.Doc})
				}
			}
			group := declaration{doc: d.Doc, isStrict: !d.Lparen.IsValid(), isGroup: d.Lparen.IsValid()}
			for _, d := range members {
				group.names = append(group.names, d.names...)
			}
			group.isStrict = group.isStrict && len(group.names) == 1
			list = append(append(list, group), joinNames(members)...)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		var fields *ast.FieldList
		switch n := n.(type) {
		case *ast.StructType:
			fields = n.Fields
		case *ast.InterfaceType:
			fields = n.Methods
		default:
			return true
		}
		var members []declaration
		for _, f := range fields.List {
			names := namesOf(f.Names)
			if len(names) == 0 { // an embedded field
				names = identifier.FindAllString(types.ExprString(f.Type), -1)
			}
			members = append(members, declaration{names: names, doc: f.Doc})
		}
		list = append(list, joinNames(members)...)
		return true
	})
	return list
}

// joinNames adds to a comment the names of the following lines without a comment: the comment may begin with any of
// them.
func joinNames(members []declaration) []declaration {
	for i := len(members) - 2; i >= 0; i-- {
		if members[i+1].doc == nil {
			members[i].names = append(members[i].names, members[i+1].names...)
		}
	}
	return members
}

// namesOf returns the names of identifiers.
func namesOf(idents []*ast.Ident) (names []string) {
	for _, i := range idents {
		names = append(names, i.Name)
	}
	return names
}

var (
	identifier = regexp.MustCompile(`[\pL_][\pL\pN_]*`)
	docLink    = regexp.MustCompile(`\[([\pL_][\pL\pN_]*)\]`)
	firstWords = regexp.MustCompile(`^([\pL_][\pL\pN_]*)(\S*)\s*(\S*)`)
	article    = regexp.MustCompile(`^(?:A|An|The)\s+(\w+)`)
	camelCase  = regexp.MustCompile(`^[\pL\pN_]*\p{Ll}[\pL\pN_]*\p{Lu}`)
	promise    = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)`)
	verb       = regexp.MustCompile(`^(?:is|are|has|have|was|were|may|must|can|[a-z]+[^s]s)$`)
)

// wrongFirstWord returns the word with which a comment begins instead of the name, or "". If d.isStrict is set,
// an exported name must come first. Otherwise a sentence may begin with any word that cannot only be a name: not with
// one that differs from the name in case only, nor in camel case, nor in lower case before a verb or a colon.
// Capitalized English words are no names. Comments of tests may begin with any words.
func wrongFirstWord(d declaration, declared map[string]bool) string {
	text := d.doc.Text()
	mustBeName := d.isStrict && slices.ContainsFunc(d.names, ast.IsExported)
	if m := article.FindStringSubmatch(text); m != nil {
		if mustBeName && !slices.Contains(d.names, m[1]) {
			return m[0]
		}
		return ""
	}
	m := firstWords.FindStringSubmatch(text)
	if m == nil {
		m = []string{"", strings.Fields(text)[0], "", ""}
	}
	word := m[1]
	after := m[2]
	next := m[3]
	first, _ := utf8.DecodeRuneInString(word)
	isSentence := (after == "" && verb.MatchString(next)) || after == ":"
	switch equalsWord := func(name string) bool { return strings.EqualFold(name, word) }; {
	case slices.Contains(d.names, word), word == "Deprecated" || word == "kernel": // plugins/assembler's mark
		return ""
	case mustBeName, slices.ContainsFunc(d.names, equalsWord) && !d.isGroup,
		camelCase.MatchString(word) && ((declared[word] && isSentence) || (unicode.IsLower(first) && after == "")),
		isSentence && unicode.IsLower(first) && !promise.MatchString(d.names[0]):
		return word
	}
	return ""
}
