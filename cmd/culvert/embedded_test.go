package main

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// The content of a built-in file is the same after its pages were unmapped. Package embed has the fields by which the
// content is found, without which nothing would be unmapped.
func TestBuiltInFilesStayReadable(t *testing.T) {
	const name = "README.md"
	expected, err := fs.ReadFile(embeddedPlugins, "plugins/"+name)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if content, err := fs.ReadFile(builtInPlugins(), name); err != nil || string(content) != string(expected) {
			t.Errorf("expected %q, found %q, %v", expected, content, err)
		}
	}
	file, err := embeddedPlugins.Open("plugins/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if content := contentOf(file); content != string(expected) {
		t.Errorf("expected %q, found %q", expected, content)
	}
	entries, err := fs.ReadDir(builtInPlugins(), ".")
	if err != nil || len(entries) == 0 {
		t.Errorf("expected the files of the folder, found %v, %v", entries, err)
	}
}

// Whole pages of a file in the program are removed from memory, and its content stays the same.
func TestLargeBuiltInFileIsUnmapped(t *testing.T) {
	const name = "reference/commands.md"
	file, err := referencePages.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content := contentOf(file)
	expected := string([]byte(content))
	pages, err := unmap(content)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("nothing is unmapped on this system")
	}
	if least := max(len(content)/os.Getpagesize()-1, 1); err != nil || pages < least {
		t.Errorf("expected at least %d pages, found %d, %v", least, pages, err)
	}
	if content != expected {
		t.Error("expected the same content after its pages were removed")
	}
}
