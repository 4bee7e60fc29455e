package main

import (
	"encoding/json"
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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

var (
	markdownLink   = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	guideReference = regexp.MustCompile(`reference guide/([a-z-]+)`)
	codeBlock      = regexp.MustCompile("(?ms)^```.*?^```")
)

// Links between the pages of the repository lead to an existing file, folder or heading. The README links to each
// guide.
func TestReferenceLinks(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" ||
			d.Name() == "node_modules" || d.Name() == "bin" || (d.Name() == "dist" && filepath.Dir(path) == "../..")):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		content, err := os.ReadFile(path)
		pages[path] = codeBlock.ReplaceAllString(string(content), "")
		return err
	})
	require.NoError(t, err)
	links := 0
	isLinked := map[string]bool{}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		for _, m := range markdownLink.FindAllStringSubmatch(pages[page], -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: expected the target of %s to exist, found %v", page, m[1], err)
				continue
			}
			if page == "../../README.md" {
				isLinked[target] = true
			}
			if anchor != "" && !slices.Contains(anchors(pages[target]), anchor) {
				t.Errorf("%s: expected the heading of %s, found the headings %v", page, m[1], anchors(pages[target]))
			}
		}
		for _, m := range guideReference.FindAllStringSubmatch(pages[page], -1) {
			assert.True(t, slices.Contains(referenceNames(), guidePrefix+m[1]),
				"%s: expected the guide %s to exist", page, m[1])
		}
	}
	guides, err := filepath.Glob("guides/*.md")
	assert.True(t, err == nil && len(guides) >= 10 && links >= 50,
		"expected guides and links, found %d guides, %d links: %v", len(guides), links, err)
	for _, g := range guides {
		target := filepath.Join("../../cmd/culvert", g)
		assert.True(t, isLinked[target], "expected a link to %s in README.md, found none", target)
	}
}

// Each guide begins with an example to copy, and their total length is bounded.
func TestGuidesBeginWithExample(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob("guides/*.md")
	require.NoError(t, err)
	words := 0
	for _, g := range guides {
		content, err := os.ReadFile(g)
		require.NoError(t, err)
		words += len(strings.Fields(string(content)))
		start, _, ok := strings.Cut(string(content), "\n```")
		n := len(strings.Fields(start))
		assert.True(t, ok && n <= 60, "%s: expected an example after at most 60 words, found %d words before it", g, n)
	}
	assert.AtMost(t, 11_850, words, "words in all guides")
}

// anchors returns GitHub's anchors of the headings of a page.
func anchors(page string) (names []string) {
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
		names = append(names, name)
	}
	return names
}

// A text that a guide quotes as a message occurs in the program, apart from the variable parts.
func TestGuidesQuoteExistingMessages(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("guides/messages.md")
	require.NoError(t, err)
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
				program.WriteString(literalText(e.(ast.Expr)) + "\n")
			}
			return true
		})
	})
	texts := program.String()
	rows := 0
	for _, m := range regexp.MustCompile("(?m)^- `([^`]+)`:").FindAllStringSubmatch(string(page), -1) {
		rows++
		for part := range strings.SplitSeq(m[1], "…") {
			part = strings.TrimSpace(part)
			assert.True(t, strings.Contains(texts, part), "expected %q in the program, found it nowhere", part)
		}
	}
	assert.AtLeast(t, 20, rows, "the messages of the guide")
}

// literalText returns the text of a string literal or of concatenated ones, with a mark for each other operand.
func literalText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		return literalText(e.X) + literalText(e.Y)
	}
	return "\x00"
}

// A comment of the program names each rule of DESIGN.md.
func TestCodeNamesEachDesignRule(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../DESIGN.md")
	require.NoError(t, err)
	isNamed := map[string]bool{} // by rule
	for _, m := range regexp.MustCompile(`(?m)^\| (P[0-9]+) \|`).FindAllStringSubmatch(string(page), -1) {
		isNamed[m[1]] = false
	}
	assert.Equal(t, 32, len(isNamed), "rules")
	ruleName := regexp.MustCompile(`\bP[0-9]+\b`)
	walkSources(t, func(path, text string) {
		for line := range strings.Lines(text) {
			_, comment, _ := strings.Cut(line, "//")
			for _, rule := range ruleName.FindAllString(comment, -1) {
				if _, ok := isNamed[rule]; ok && !strings.HasSuffix(path, "_test.go") {
					isNamed[rule] = true
				}
			}
		}
	})
	for rule, ok := range isNamed {
		assert.True(t, ok, "expected a comment of the program that names %s, found none", rule)
	}
}

// Each row of SERVICES.md specifies where the behaviour was observed, and names existing tests.
func TestServicesNameTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../plugins/odata/SERVICES.md")
	require.NoError(t, err)
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
				t.Errorf("%s: expected the test %s to exist", cells[0], m[1])
			}
		}
	}
	assert.AtLeast(t, 80, rows, "the rows of SERVICES.md")
}

// walkSources visits the Go files of the repository.
func walkSources(t *testing.T, visit func(path, content string)) {
	t.Helper()
	for _, root := range []string{"../../host", "../../internal", "../../plugins", "../../sdk", "../../wit", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			content, err := os.ReadFile(path)
			visit(path, string(content))
			return err
		})
		require.NoError(t, err)
	}
}

// The commands and options in the README, the guides and the pages of examples exist.
func TestCommandsOfGuides(t *testing.T) {
	pages := []string{"../../README.md"}
	for _, pattern := range []string{"guides/*.md", "../../examples/*/README.md"} {
		files, err := filepath.Glob(pattern)
		require.True(t, err == nil && len(files) >= 5,
			"%s: expected at least 5 files, found %v, %v", pattern, files, err)
		pages = append(pages, files...)
	}
	reference, err := os.ReadFile("reference/commands.md")
	require.NoError(t, err)
	lines := 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, line := range commandLines(string(content)) {
			lines++
			for _, problem := range unknownWords(string(reference), line) {
				t.Errorf("%s: culvert %s: %s", page, line, problem)
			}
		}
	}
	assert.AtLeast(t, 60, lines, "the commands of the pages")
}

func TestUnknownCommandsAndOptionsAreFound(t *testing.T) {
	reference, err := os.ReadFile("reference/commands.md")
	require.NoError(t, err)
	for line, want := range map[string]string{
		"run --onec orders.properties": "no option --onec",
		"runn orders.properties":       "no command runn",
		"plugins shew smt":             "no command plugins shew",
		"peek -p FILE --rowz 3":        "no option --rowz",
		"connectors list|shew":         "no command connectors shew",
		"peek -p FILE -n 3":            "",
		"offsets show|set|reset NAME":  "",
		"connectors list --failed":     "no option --failed",
	} {
		assert.Equal(t, want, strings.Join(unknownWords(string(reference), line), "; "), line)
	}
}

// commandLines returns the command lines of a page after the word culvert: lines of sh blocks, and text in backquotes,
// which may span lines.
func commandLines(page string) (lines []string) {
	block := regexp.MustCompile("(?s)```(?:sh)?\n(.*?)```")
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(m[1]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			for _, part := range strings.Split(line, " | ") {
				part = strings.TrimPrefix(regexp.MustCompile(`^([A-Z_]+=("[^"]*"|\S*) )*`).ReplaceAllString(part, ""),
					"bin/")
				if arguments, ok := strings.CutPrefix(part, "culvert "); ok {
					lines = append(lines, strings.TrimSuffix(arguments, "&"))
				}
			}
		}
	}
	page = block.ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile("`culvert ([^`]*)`").FindAllStringSubmatch(page, -1) {
		lines = append(lines, strings.ReplaceAll(strings.Join(strings.Fields(m[1]), " "), `\|`, "|"))
	}
	return lines
}

// unknownWords returns the commands and options of a line that are missing from the reference page of commands. A word
// with | means several commands.
func unknownWords(page, line string) (problems []string) {
	line = strings.NewReplacer("[", " ", "]", " ").Replace(line)
	words := regexp.MustCompile(`"[^"]*"|[^\s"]+`).FindAllString(line, -1)
	path := ""
	options := "| `--help`\n| `--version`\n"
	isArgument := false
	for _, word := range words {
		name, _, _ := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "-"):
			if !regexp.MustCompile("(?m)^\\| `(-., )?" + regexp.QuoteMeta(name) + "[`, ]").MatchString(options) {
				problems = append(problems, "no option "+name)
			}
			continue
		case isArgument || (path != "" && !strings.Contains(page, "\n## culvert "+path+" ")):
			isArgument = true
			continue
		}
		parentPath := path
		for name := range strings.SplitSeq(word, "|") {
			path = strings.TrimSpace(parentPath + " " + name)
			_, section, ok := strings.Cut(page, "\n## culvert "+path+"\n")
			if !ok && path != "completion" {
				return append(problems, "no command "+path)
			}
			section, _, _ = strings.Cut(section, "\n## ")
			options += section
		}
	}
	return problems
}

// settingName finds names of settings in texts. Names of role settings are found separately.
var settingName = regexp.MustCompile(
	`(?:sap\.odata[.#]|kafka\.proxy\.|rest\.|errors\.|offset\.storage\.|offset\.flush\.)[A-Za-z0-9.#{}-]*[A-Za-z0-9}]`)

// Every setting that a text of the program recommends is declared by a connector or by the worker.
func TestAdvisedSettingsExist(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	keys := settingsOfConnectors(p)
	for _, name := range []string{"sap.odata.tls.host-check", "sap.odata#00.nothing", "rest.allowed.host",
		"kafka.proxy.nothing"} {
		assert.True(t, !isDeclared(name, keys), "expected %s to be unknown", name)
	}
	texts := 0
	for _, folder := range []string{"../../host", "../../internal", "../../plugins", "../../cmd"} {
		texts += checkAdvisedSettings(t, folder, keys)
	}
	assert.AtLeast(t, 50, texts, "texts with names of settings")
}

// settingsOfConnectors returns the names and aliases of the settings that the source and the sink declare.
func settingsOfConnectors(p *e2etest.Place) (keys []wit.ConfigKey) {
	p.T.Helper()
	for _, name := range []string{"odata-source", "odata-sink"} {
		r := p.Run("plugins", "show", name, "--plugins", e2etest.Plugins(p.T, "odata-sink"), "--json")
		var shown []struct {
			Components []struct {
				Settings []struct {
					Name    string   `json:"name"`
					Aliases []string `json:"aliases"`
				} `json:"settings"`
			} `json:"components"`
		}
		err := json.Unmarshal([]byte(r.Stdout), &shown)
		require.True(p.T, err == nil && len(shown) != 0 && len(shown[0].Components) != 0,
			"%v\n%s%s", err, r.Stdout, r.Stderr)
		for _, s := range shown[0].Components[0].Settings {
			for _, name := range append(s.Aliases, s.Name) {
				keys = append(keys, wit.ConfigKey{Name: name})
			}
		}
	}
	return keys
}

// isDeclared reports whether a connector with these settings, or the worker, has a setting or a prefix of settings.
func isDeclared(name string, keys []wit.ConfigKey) bool {
	if strings.HasPrefix(name, "sap.odata") {
		name = strings.NewReplacer("#NN", "#00", "#{n}", "#00", "NAME", "x", "{name}", "x").Replace(name)
		if _, ok := config.Declare(keys...).Find(name); ok {
			return true
		}
		for _, s := range keys { // a prefix, as in `sap.odata.proxy.`
			if strings.HasPrefix(strings.NewReplacer("#{n}", "#00").Replace(s.Name), name+".") {
				return true
			}
		}
		return false
	}
	_, problems := config.NewWorker("w", []config.Entry{config.NewEntry(name, "1", "w", 1)}, nil, nil)
	for _, problem := range problems {
		if problem.Setting == name && strings.Contains(problem.Text, "unknown") {
			return false
		}
	}
	return true
}

// checkAdvisedSettings checks the texts of a folder's sources, and returns the number of settings in them.
func checkAdvisedSettings(t *testing.T, folder string, keys []wit.ConfigKey) (texts int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || (d.IsDir() && d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, _ := strconv.Unquote(literal.Value)
			for _, name := range settingName.FindAllString(text, -1) {
				texts++
				assert.True(t, !strings.Contains(text, " ") || isDeclared(name, keys),
					"%s: expected the recommended setting %s to exist: %q", path, name, text)
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	return texts
}

// Each setting that package keystore may name in an error is the setting of a role.
func TestSettingsOfKeystoresAreOfARole(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"keystore." + keystore.FieldLocation, "keystore." + keystore.FieldPassword,
		"keystore." + keystore.FieldType, "keystore." + keystore.FieldKeyPassword, "keystore." + keystore.FieldAlias,
		"truststore." + keystore.FieldLocation, "truststore." + keystore.FieldPassword,
		"truststore." + keystore.FieldType, keystore.FieldProtocol, keystore.FieldAllowLegacy} {
		_, ok := role.Find("tls." + field)
		assert.True(t, ok, "expected a role for what package keystore calls %s", field)
	}
}
