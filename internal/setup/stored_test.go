package setup

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

func testConfig(t *testing.T) (*Config, *config.Worker) {
	t.Helper()
	worker, problems := config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	return &Config{Data: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}, worker
}

// A worker of a group does not start with connectors that REST created on it before, or with stopped ones: they would
// silently not run, or run.
func TestNoneOfBefore(t *testing.T) {
	c, worker := testConfig(t)
	put := func(name string, stored config.Stored) {
		t.Helper()
		store, err := c.OpenStored(worker)
		require.NoError(t, err)
		require.NoError(t, store.Put(t.Context(), name, stored))
	}
	assert.NoError(t, c.RejectStored(worker), "no file")
	put("a", config.Stored{Target: config.TargetStarted})
	assert.NoError(t, c.RejectStored(worker), "a started connector")
	put("b", config.Stored{Target: config.TargetStopped})
	assert.Error(t, c.RejectStored(worker), "found STOPPED b: `culvert cluster adopt --data")
	put("orders", config.Stored{Connector: &config.Connector{Name: "orders"}})
	assert.Error(t, c.RejectStored(worker), "found STOPPED b, orders: `culvert cluster adopt")
	require.NoError(t, os.WriteFile(filepath.Join(c.Data, StoredFile), []byte("{"), 0o600))
	assert.Error(t, c.RejectStored(worker), "connectors from before the worker formed a group: ")
}

// A file with connectors or target states of an earlier version stops the start by its name. An empty one does not.
func TestFilesOfEarlierVersionsAreRejected(t *testing.T) {
	for _, test := range []struct {
		file    string
		content string
		want    string // part of the error; "" means no error
	}{
		{file: "connectors.json", content: `{"last_version":3,"connectors":{}}`},
		{file: "connectors.json", content: `{"last_version":3,"connectors":{"a":{"version":1,"config":{}}}}`,
			want: "connectors.json: expected no file of an earlier version"},
		{file: "connectors.json", content: "{", want: "connectors.json: expected no file of an earlier version"},
		{file: "connectors.states.json", content: `{}`},
		{file: "connectors.states.json", content: `{"a":"STOPPED"}`, want: "pause or stop those " +
			"in connectors.states.json"},
	} {
		c, worker := testConfig(t)
		require.NoError(t, os.WriteFile(filepath.Join(c.Data, test.file), []byte(test.content), 0o600))
		_, err := c.OpenStored(worker)
		assert.ErrorOrNone(t, err, test.want, test)
	}
}
