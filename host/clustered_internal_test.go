package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// A worker that was alone and is to form a group is not started while there are connectors that REST made in it: nobody
// would notice that they do not run.
func TestNoneOfBefore(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "connectors")
	assert.NoError(t, noneOfBefore(folder), "no folder")
	require.NoError(t, os.Mkdir(folder, 0o755))
	assert.NoError(t, noneOfBefore(folder), "an empty one")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "orders.properties"), []byte("name=orders"), 0o600))
	assert.Error(t, noneOfBefore(folder), "found orders.properties: make them by REST")
}

// A worker forms a group where its settings are those of a distributed one, and it is given no connectors of its own.
func TestInGroup(t *testing.T) {
	distributed := []string{"bootstrap.servers=b:9092", "group.id=g", "config.storage.topic=c", "status.storage.topic=s"}
	worker := func(lines ...string) *config.Worker {
		t.Helper()
		settings := map[string]string{}
		for _, line := range lines {
			entries, _ := config.Read("w.properties", []byte(line))
			settings[entries[0].Key] = entries[0].Raw
		}
		w, _ := config.NewWorker("", nil, nil, settings)
		return w
	}
	for _, c := range []struct {
		config Config
		lines  []string
		want   bool
	}{
		{Config{}, distributed, true},
		{Config{Files: config.Files{Folder: "f"}}, distributed, true},
		{Config{Files: config.Files{Connectors: []string{"a.properties"}}}, distributed, false},
		{Config{Once: true}, distributed, false},
		{Config{}, distributed[:3], false},
		{Config{}, append([]string{"bootstrap.servers=embedded"}, distributed[1:]...), false},
	} {
		assert.Equal(t, c.want, c.config.inGroup(worker(c.lines...)), c)
	}
}
