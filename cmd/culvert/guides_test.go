package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/culvert-project/culvert/internal/e2etest"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	guideNamed   = regexp.MustCompile(`reference guide/([a-z-]+)`)
	codeBlock    = regexp.MustCompile("(?ms)^```.*?^```")
)

// Links between the pages of the repository lead somewhere: to a file or folder that is there, and to a heading of it.
// The README leads to each guide.
func TestReferenceLinks(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" ||
			d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == "dist" && filepath.Dir(path) == "../.."):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		pages[path] = codeBlock.ReplaceAllString(string(text), "")
		return err
	})
	e2etest.NoError(t, err)
	links, reached := 0, map[string]bool{}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		for _, m := range markdownLink.FindAllStringSubmatch(pages[page], -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere: %v", page, m[1], err)
				continue
			}
			if page == "../../README.md" {
				reached[to] = true
			}
			if anchor != "" && !slices.Contains(anchors(pages[to]), anchor) {
				t.Errorf("%s: %s leads to none of the headings %v", page, m[1], anchors(pages[to]))
			}
		}
		for _, m := range guideNamed.FindAllStringSubmatch(pages[page], -1) {
			if !slices.Contains(referenceNames(), guide+m[1]) {
				t.Errorf("%s: there is no guide %s", page, m[1])
			}
		}
	}
	guides, err := filepath.Glob("guides/*.md")
	if err != nil || len(guides) < 10 || links < 50 {
		t.Errorf("%d guides, %d links: %v", len(guides), links, err)
	}
	for _, g := range guides {
		if to := filepath.Join("../../cmd/culvert", g); !reached[to] {
			t.Errorf("README.md does not lead to %s", to)
		}
	}
}

// anchors are what GitHub calls the headings of a page.
func anchors(page string) (all []string) {
	seen := map[string]int{}
	for line := range strings.Lines(page) {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		seen[name]++
		if n := seen[name]; n > 1 {
			name += fmt.Sprint("-", n-1)
		}
		all = append(all, name)
	}
	return all
}

// TestMessagesOfTheGuide: what the guide quotes as a message stands in the program, in the parts between what varies.
func TestMessagesOfTheGuide(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("guides/messages.md")
	e2etest.NoError(t, err)
	var program strings.Builder
	walkSources(t, func(path, text string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch e := n.(type) {
			case *ast.BasicLit, *ast.BinaryExpr:
				program.WriteString(joined(e.(ast.Expr)) + "\n")
			}
			return true
		})
	})
	said, rows := program.String(), 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows++
		for part := range strings.SplitSeq(m[1], "…") {
			if part = strings.TrimSpace(part); !strings.Contains(said, part) {
				t.Errorf("the program says nowhere %q", part)
			}
		}
	}
	if rows < 20 {
		t.Errorf("expected the messages of the guide, found %d", rows)
	}
}

// joined is the text of string literals that are added, with a mark for what stands between them.
func joined(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		return joined(e.X) + joined(e.Y)
	}
	return "\x00"
}

// TestRulesStandBesideTheirCode: a comment of the program names each rule of DESIGN.md.
func TestRulesStandBesideTheirCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../DESIGN.md")
	e2etest.NoError(t, err)
	rules := map[string]bool{} // whether the program names it
	for _, m := range regexp.MustCompile(`(?m)^\| (P[0-9]+) \|`).FindAllStringSubmatch(string(page), -1) {
		rules[m[1]] = false
	}
	if len(rules) != 32 {
		t.Errorf("expected 32 rules, found %d", len(rules))
	}
	named := regexp.MustCompile(`\bP[0-9]+\b`)
	walkSources(t, func(path, text string) {
		for line := range strings.Lines(text) {
			_, comment, _ := strings.Cut(line, "//")
			for _, rule := range named.FindAllString(comment, -1) {
				if _, there := rules[rule]; there && !strings.HasSuffix(path, "_test.go") {
					rules[rule] = true
				}
			}
		}
	})
	for rule, found := range rules {
		if !found {
			t.Errorf("no comment of the program names %s", rule)
		}
	}
}

// TestServicesNameTests: each row of SERVICES.md says where the behaviour was seen, and names tests that are there.
func TestServicesNameTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../plugins/odata/SERVICES.md")
	e2etest.NoError(t, err)
	tests := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	walkSources(t, func(path, text string) {
		for _, m := range function.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = strings.HasSuffix(path, "_test.go")
		}
	})
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || cells[0] == " behaviour" || strings.HasPrefix(cells[0], " ---") {
			continue
		}
		rows++
		if len(cells) != 4 || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("expected behaviour, where it was seen, what we do and the test, found %s", line)
			continue
		}
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(cells[3], -1) {
			if !tests[m[1]] {
				t.Errorf("%s: there is no test %s", cells[0], m[1])
			}
		}
	}
	if rows < 80 {
		t.Errorf("expected the rows of SERVICES.md, found %d", rows)
	}
}

// walkSources visits the Go files of the repository.
func walkSources(t *testing.T, visit func(path, text string)) {
	t.Helper()
	for _, root := range []string{"../../host", "../../plugins", "../../sdk", "../../wit", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			visit(path, string(text))
			return err
		})
		e2etest.NoError(t, err)
	}
}
