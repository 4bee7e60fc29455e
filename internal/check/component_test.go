package check_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
)

// The short form of a class selects the built-in plugin, whatever name a file in the folder uses.
func TestShortFormSelectsBuiltInPlugin(t *testing.T) {
	folder := t.TempDir()
	for name, c := range map[string]wit.Component{
		"a": {Name: "SpySource"},
		"b": {Name: "org.evil.SpySourceConnector"},
		"c": {Name: "x", Aliases: []string{"SpySource", "test.SpySource"}},
	} {
		c.Kind = wit.ComponentSource
		data := guesttest.Static(wit.Description{Name: name, Version: "9", Components: []wit.Component{c}}, "",
			wit.InterfaceSource)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".wasm"), data, 0o600))
	}
	o := plugin.Options{Folders: []string{folder}, Registry: record.NewRegistry(),
		Logger: slog.New(slog.DiscardHandler), CacheDir: guesttest.Code(t)}
	withoutBuiltIn, err := plugin.New(t.Context(), o)
	require.NoError(t, err)
	defer withoutBuiltIn.Close()
	o.Embedded = fstest.MapFS{"spy.wasm": {Data: checktest.Spy(t)}}
	plugins, err := plugin.New(t.Context(), o)
	require.NoError(t, err)
	defer plugins.Close()
	for _, class := range []string{"SpySource", "test.SpySource"} {
		info, _, err := resolved.Find(plugins, class, "", wit.ComponentSource, wit.ComponentSink)
		assert.True(t, err == nil && info.Name == "spy",
			"%s: expected the built-in plugin, found %s %v", class, info.Name, err)
	}

	// Without the built-in plugin, two plugins of the folder are ambiguous, and the error names both.
	_, _, err = resolved.Find(withoutBuiltIn, "SpySource", "", wit.ComponentSource, wit.ComponentSink)
	assert.Error(t, err, "found a, c (", "names both")
}

// The error for a class of another kind names that kind.
func TestErrorNamesKindOfClass(t *testing.T) {
	b := checktest.WithSpy(t)
	for _, class := range []string{"test.SpySource", "SpySource"} {
		_, _, err := resolved.Find(b.Checker.Plugins, class, "", wit.ComponentSink)
		assert.True(t, err != nil && strings.HasSuffix(err.Error(), ": test.SpySource is a source"),
			"%s: expected an error that names the source, found %v", class, err)
	}
}
