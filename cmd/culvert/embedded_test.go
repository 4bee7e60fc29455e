package main

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The content of a built-in file is the same after its pages were unmapped. Package embed has the fields by which the
// content is found, without which nothing would be unmapped.
func TestBuiltInFilesStayReadable(t *testing.T) {
	const name = "README.md"
	expected, err := fs.ReadFile(embeddedPlugins, "plugins/"+name)
	require.NoError(t, err)
	for range 2 {
		if content, err := fs.ReadFile(builtInPlugins(), name); err != nil || string(content) != string(expected) {
			t.Errorf("expected %q, found %q, %v", expected, content, err)
		}
	}
	file, err := embeddedPlugins.Open("plugins/" + name)
	require.NoError(t, err)
	defer file.Close()
	content := contentOf(file)
	assert.True(t, content == string(expected), "expected %q, found %q", expected, content)
	entries, err := fs.ReadDir(builtInPlugins(), ".")
	assert.True(t, err == nil && len(entries) != 0, "expected the files of the folder, found %v, %v", entries, err)
}

// Whole pages of a file in the program are removed from memory, and its content stays the same.
func TestLargeBuiltInFileIsUnmapped(t *testing.T) {
	const name = "reference/commands.md"
	file, err := referencePages.Open(name)
	require.NoError(t, err)
	defer file.Close()
	content := contentOf(file)
	expected := string([]byte(content))
	pages, err := unmap(content)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("nothing is unmapped on this system")
	}
	least := max(len(content)/os.Getpagesize()-1, 1)
	assert.True(t, err == nil && pages >= least, "expected at least %d pages, found %d, %v", least, pages, err)
	assert.True(t, content == expected, "expected the same content after its pages were removed")
}
