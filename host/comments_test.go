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

	"github.com/culvert-project/culvert/internal/base/require"
)

// documented is a declaration with a doc comment.
type documented struct {
	// names are the names with which the comment may begin.
	names []string
	doc   *ast.CommentGroup
	// strict means that the comment must begin with one of the names if they are exported.
	strict bool
	// group means that the comment belongs to several declarations.
	group bool
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
	seen := 0
	for _, list := range packages {
		found, comments := misnamedIn(files, list)
		seen += comments
		for _, text := range found {
			t.Error(text)
		}
	}
	if seen < 10_000 {
		t.Errorf("expected the doc comments of all packages, found %d", seen)
	}
}

// misnamedIn returns the doc comments of a package that begin with another name, and the number of comments that it has
// read.
func misnamedIn(files *token.FileSet, list []*ast.File) (found []string, read int) {
	declared := map[string]bool{}
	var all []documented
	for _, file := range list {
		all = append(all, declarations(file)...)
	}
	for _, d := range all {
		for _, name := range d.names {
			declared[name] = true
		}
	}
	for _, d := range all {
		if d.doc == nil || d.doc.Text() == "" {
			continue
		}
		read++
		place := files.Position(d.doc.Pos())
		d.strict = d.strict && !strings.HasSuffix(place.Filename, "_test.go")
		if word := misnamed(d, declared); word != "" {
			found = append(found, fmt.Sprintf("%s:%d: expected the comment to begin with %s, found %q", place.Filename,
				place.Line, strings.Join(d.names, " or "), word))
		}
		for _, link := range docLink.FindAllStringSubmatch(d.doc.Text(), -1) {
			if !declared[link[1]] && camelCase.MatchString(link[1]) {
				found = append(found, fmt.Sprintf("%s:%d: expected a link to a declaration of the package, found [%s]",
					place.Filename, place.Line, link[1]))
			}
		}
	}
	return found, read
}

// declarations returns the declarations of a file that may have doc comments: functions, methods, types, constants,
// variables, and the fields and methods of types.
func declarations(file *ast.File) (all []documented) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			all = append(all, documented{names: []string{d.Name.Name}, doc: d.Doc, strict: true})
		case *ast.GenDecl:
			var inside []documented
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					inside = append(inside, documented{names: []string{s.Name.Name}, doc: s.Doc, strict: true})
				case *ast.ValueSpec:
					inside = append(inside, documented{names: namesOf(s.Names), doc: s.Doc})
				}
			}
			whole := documented{doc: d.Doc, strict: !d.Lparen.IsValid(), group: d.Lparen.IsValid()}
			for _, d := range inside {
				whole.names = append(whole.names, d.names...)
			}
			whole.strict = whole.strict && len(whole.names) == 1
			all = append(append(all, whole), together(inside)...)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		var list *ast.FieldList
		switch n := n.(type) {
		case *ast.StructType:
			list = n.Fields
		case *ast.InterfaceType:
			list = n.Methods
		default:
			return true
		}
		var inside []documented
		for _, f := range list.List {
			names := namesOf(f.Names)
			if len(names) == 0 { // an embedded field
				names = identifier.FindAllString(types.ExprString(f.Type), -1)
			}
			inside = append(inside, documented{names: names, doc: f.Doc})
		}
		all = append(all, together(inside)...)
		return true
	})
	return all
}

// together adds to a comment the names of the following lines without a comment: the comment may begin with any of
// them.
func together(inside []documented) []documented {
	for i := len(inside) - 2; i >= 0; i-- {
		if inside[i+1].doc == nil {
			inside[i].names = append(inside[i].names, inside[i+1].names...)
		}
	}
	return inside
}

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

// misnamed returns the word with which a comment begins instead of the name, "" for none. If d is strict, an exported
// name must come first. Otherwise a sentence may begin with any word that cannot only be a name: not with one that
// differs from the name in case only, nor in camel case, nor in lower case before a verb or a colon. Capitalized
// English words are no names. Comments of tests may begin with any words.
func misnamed(d documented, declared map[string]bool) string {
	text := d.doc.Text()
	exported := d.strict && slices.ContainsFunc(d.names, ast.IsExported)
	if m := article.FindStringSubmatch(text); m != nil {
		if exported && !slices.Contains(d.names, m[1]) {
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
	stated := (after == "" && verb.MatchString(next)) || after == ":"
	switch is := func(name string) bool { return strings.EqualFold(name, word) }; {
	case slices.Contains(d.names, word), word == "Deprecated" || word == "kernel": // plugins/assembler's mark
		return ""
	case exported, slices.ContainsFunc(d.names, is) && !d.group,
		camelCase.MatchString(word) && ((declared[word] && stated) || (unicode.IsLower(first) && after == "")),
		stated && unicode.IsLower(first) && !promise.MatchString(d.names[0]):
		return word
	}
	return ""
}
