package host

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// built is the folder that other tests build and use at the same time.
const built = "../bin"

// Lines of Go have at most 120 columns, a tab being four. Text in backquotes, such as documents of services and help
// texts, and texts without a space, which cannot be broken, do not count.
func TestLines(t *testing.T) {
	lineCount := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == built || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for number, line := range strings.Split(withoutDocuments(path, text), "\n") {
			lineCount++
			columns := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
			assert.True(t, columns <= 120, "%s:%d: expected at most 120 columns, found %d", path, number+1, columns)
		}
		return nil
	})
	assert.True(t, err == nil && lineCount >= 100_000, "expected at least 100000 lines, found %d: %v", lineCount, err)
}

// Lines of Markdown have at most 100 columns, except tables, code blocks, headings, single words such as links, and
// generated reference pages.
func TestLinesOfMarkdown(t *testing.T) {
	lineCount := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && (path == built || entry.Name()[0] == '.' ||
			slices.Contains([]string{"reference", "node_modules", "target", "dist", "data"}, entry.Name())):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		isCode := false
		for number, line := range strings.Split(string(text), "\n") {
			lineCount++
			trimmed := strings.TrimLeft(line, " ")
			if strings.HasPrefix(trimmed, "```") {
				isCode = !isCode
			}
			if isCode || strings.HasPrefix(trimmed, "|") || strings.HasPrefix(trimmed, "#") ||
				len(strings.Fields(strings.TrimLeft(trimmed, "-*> "))) < 2 {
				continue
			}
			columns := utf8.RuneCountInString(line)
			assert.True(t, columns <= 100, "%s:%d: expected at most 100 columns, found %d", path, number+1, columns)
		}
		return nil
	})
	assert.True(t, err == nil && lineCount >= 3_000, "expected at least 3000 lines, found %d: %v", lineCount, err)
}

// withoutDocuments returns a file without its literals in backquotes, except for their line breaks, and without its
// literals that have no space.
func withoutDocuments(path string, text []byte) string {
	files := token.NewFileSet()
	file := files.AddFile(path, files.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	var b strings.Builder
	last := 0
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			b.Write(text[last:])
			return b.String()
		}
		if kind == token.STRING && (literal[0] == '`' || !strings.Contains(literal, " ")) {
			start := file.Offset(pos)
			b.Write(text[last:start])
			b.WriteString(strings.Repeat("\n", strings.Count(literal, "\n")))
			last = start + len(literal)
		}
	}
}
