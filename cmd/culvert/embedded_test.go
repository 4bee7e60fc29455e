package main

import (
	"io/fs"
	"testing"
)

// The content of a built-in file is the same after its pages were unmapped, and package embed has the expected fields:
// else nothing would be unmapped.
func TestBuiltInFilesStayReadable(t *testing.T) {
	const name = "README.md"
	expected, err := fs.ReadFile(built, "plugins/"+name)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if found, err := fs.ReadFile(builtIn(), name); err != nil || string(found) != string(expected) {
			t.Errorf("expected %q, found %q, %v", expected, found, err)
		}
	}
	opened, err := built.Open("plugins/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if found := contentOf(opened); found != string(expected) {
		t.Errorf("expected %q, found %q", expected, found)
	}
	entries, err := fs.ReadDir(builtIn(), ".")
	if err != nil || len(entries) == 0 {
		t.Errorf("expected the files of the folder, found %v, %v", entries, err)
	}
}
