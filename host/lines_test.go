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
)

// built is the folder that other tests build and use at the same time.
const built = "../bin"

// Lines of Go have at most 120 columns, a tab being four. Text in backquotes, such as documents of services and help
// texts, and texts without a space, which cannot be broken, do not count.
func TestLines(t *testing.T) {
	found := 0
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
			found++
			if columns := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t"); columns > 120 {
				t.Errorf("%s:%d: expected at most 120 columns, found %d", path, number+1, columns)
			}
		}
		return nil
	})
	if err != nil || found < 100_000 {
		t.Errorf("looked at %d lines: %v", found, err)
	}
}

// Lines of Markdown have at most 100 columns, except tables, code blocks, headings, single words such as links, and
// generated reference pages.
func TestLinesOfMarkdown(t *testing.T) {
	found := 0
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
		code := false
		for number, line := range strings.Split(string(text), "\n") {
			found++
			begins := strings.TrimLeft(line, " ")
			if strings.HasPrefix(begins, "```") {
				code = !code
			}
			if code || strings.HasPrefix(begins, "|") || strings.HasPrefix(begins, "#") ||
				len(strings.Fields(strings.TrimLeft(begins, "-*> "))) < 2 {
				continue
			}
			if columns := utf8.RuneCountInString(line); columns > 100 {
				t.Errorf("%s:%d: expected at most 100 columns, found %d", path, number+1, columns)
			}
		}
		return nil
	})
	if err != nil || found < 3_000 {
		t.Errorf("looked at %d lines: %v", found, err)
	}
}

// withoutDocuments returns a file with empty literals in place of those in backquotes, except for their line breaks,
// and of those without a space.
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
			at := file.Offset(pos)
			b.Write(text[last:at])
			b.WriteString(strings.Repeat("\n", strings.Count(literal, "\n")))
			last = at + len(literal)
		}
	}
}
