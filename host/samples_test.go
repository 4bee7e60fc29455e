package host

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// A transform of another class does not get a stored password if the sender only repeats the mask.
func TestStoredSecretIsNotUsedForAnotherTransform(t *testing.T) {
	data := t.TempDir()
	worker, _ := config.NewWorker("", nil, nil, nil)
	store, err := (&Config{Data: data, Logger: discardLogger()}).OpenStored(worker)
	require.NoError(t, err)
	require.NoError(t, store.Put(t.Context(), "a", config.Stored{Connector: config.NewRESTConnector("test",
		map[string]string{"connector.class": "None", "transforms": "t", "transforms.t.type": "T",
			"transforms.t.password": "hush"}, nil, nil)}))
	h, err := New(t.Context(), Config{Data: data, Logger: discardLogger(), Files: config.Files{
		Worker: write(t, "worker.properties", "bootstrap.servers=embedded\nlisteners=http://127.0.0.1:0\n")}})
	require.NoError(t, err)
	defer h.Close()
	stop := runWorker(t, h)
	defer stop()
	for _, c := range []struct {
		name     string
		class    string
		password string
		want     string
	}{
		{name: "other class, stored password", class: "U", password: config.Mask,
			want: "transforms.t.type differs from the stored configuration"},
		{name: "other class, own password", class: "U", password: "mine", want: "no plugin has the transformation U"},
	} {
		_, err := h.backend.REST().ReadSample(t.Context(), "a", "none", map[string]string{"transforms": "t",
			"transforms.t.type": c.class, "transforms.t.password": c.password})
		assert.Error(t, err, c.want, c.name)
	}
}
