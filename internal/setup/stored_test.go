package setup

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// A worker of a group does not start with connectors that REST created on it before, or with stopped ones: they would
// silently not run, or run.
func TestNoneOfBefore(t *testing.T) {
	data := t.TempDir()
	reject := func() error { return RejectStored(Config{Data: data}) }
	assert.NoError(t, reject(), "no folder")
	require.NoError(t, os.Mkdir(filepath.Join(data, "connectors"), 0o755))
	states := filepath.Join(data, StatesFile)
	require.NoError(t, os.WriteFile(states, []byte(`{"a":"STARTED"}`), 0o600))
	assert.NoError(t, reject(), "an empty folder and a started connector")
	require.NoError(t, os.WriteFile(states, []byte(`{"a":"STARTED","b":"STOPPED"}`), 0o600))
	assert.Error(t, reject(), "found STOPPED b: `culvert cluster adopt --data")
	orders := filepath.Join(data, "connectors", "orders.properties")
	require.NoError(t, os.MkdirAll(filepath.Dir(orders), 0o755)) // an empty folder was removed
	require.NoError(t, os.WriteFile(orders, []byte("name=orders"), 0o600))
	assert.Error(t, reject(), "found STOPPED b, orders: `culvert cluster adopt")
	_, err := os.Stat(orders)
	assert.True(t, err != nil, "expected orders.properties to be imported")
	assert.Error(t, reject(), "found STOPPED b, orders: `culvert cluster adopt") // from connectors.json
	require.NoError(t, os.WriteFile(states, []byte(`{`), 0o600))
	assert.Error(t, reject(), "states of connectors")
}

// Files of users remain, even in the folder of connectors that REST created in earlier versions.
func TestGivenFilesAreNotImported(t *testing.T) {
	for name, files := range map[string]func(folder, file, link string) config.Files{
		"nothing": func(string, string, string) config.Files { return config.Files{} },
		"folder":  func(folder, _, _ string) config.Files { return config.Files{Folder: folder + "/../connectors/"} },
		"linked folder": func(_, _, link string) config.Files {
			return config.Files{Folder: filepath.Join(link, "folder")}
		},
		"file":   func(_, file, _ string) config.Files { return config.Files{Connectors: []string{file}} },
		"worker": func(_, file, _ string) config.Files { return config.Files{Worker: file} },
		"linked file": func(_, _, link string) config.Files {
			return config.Files{Connectors: []string{link + "/file"}}
		},
		"others": func(_, _, link string) config.Files {
			return config.Files{Folder: link, Worker: filepath.Join(link, "w"), Connectors: []string{link + "/other"}}
		},
	} {
		for _, isGroupWorker := range []bool{false, true} {
			data := t.TempDir()
			link := t.TempDir()
			folder := filepath.Join(data, "connectors")
			file := filepath.Join(folder, "mine.properties")
			require.NoError(t, errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(file, []byte("name=mine"), 0o600),
				os.Symlink(folder, filepath.Join(link, "folder")), os.Symlink(file, filepath.Join(link, "file"))))
			c := Config{Data: data, Logger: slog.New(slog.DiscardHandler), Files: files(folder, file, link)}
			if isGroupWorker {
				_ = RejectStored(c)
			} else {
				_, _, err := c.OpenStored()
				require.NoError(t, err)
			}
			_, err := os.Stat(file)
			isNamed := name != "nothing" && name != "others"
			assert.Equal(t, isNamed, err == nil, name, isGroupWorker)
		}
	}
}
