package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/restbackend"
	"github.com/culvert-project/culvert/internal/setup"
)

// Connectors of an earlier version stop the start of a worker alone and of a group, and their import, by the name of
// their file. A run that ends by itself ignores them.
func TestStoredConnectorsOfEarlierVersionStopTheStart(t *testing.T) {
	data := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(data, "connectors.states.json"), []byte(`{"a":"STOPPED"}`), 0o600))
	group := write(t, "group.properties", "bootstrap.servers=127.0.0.1:1\ngroup.id=g\nconfig.storage.topic=c\n"+
		"offset.storage.topic=o\nstatus.storage.topic=s\n")
	c := Config{Data: data, Logger: discardLogger()}
	for _, worker := range []string{group, ""} {
		c.Files.Worker = worker
		_, err := New(t.Context(), c)
		assert.Error(t, err, "connectors.states.json: expected no file of an earlier version", worker)
	}
	c.Files.Worker = group
	_, err := Import(t.Context(), c, false)
	assert.Error(t, err, "connectors.states.json: expected no file of an earlier version")
	c.Files.Worker = ""
	c.Once = true
	h, err := New(t.Context(), c)
	require.NoError(t, err)
	h.Close()
}

// Temporary files of killed writes in the data folder are removed at the next start: they may contain passwords.
func TestTemporaryFilesAreRemovedAtStart(t *testing.T) {
	data := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	path := filepath.Join(data, ".culvert-new-1")
	require.NoError(t, errors.Join(os.WriteFile(path, []byte("secret"), 0o600), os.Chtimes(path, old, old)))
	h, err := New(t.Context(), Config{Data: data, Logger: discardLogger(), Files: config.Files{
		Worker: write(t, "worker.properties", "bootstrap.servers=embedded\nlisteners=http://127.0.0.1:0\n")}})
	require.NoError(t, err)
	h.Close()
	_, err = os.Stat(path)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A worker that is starting has no herder, not even an interface with a nil value, standalone or in a group.
func TestStartingWorkerHasNoHerder(t *testing.T) {
	settings, _ := config.NewWorker("", nil, nil, nil)
	for _, g := range []group.Member{&group.Standalone{}, &group.Worker{}} {
		b := restbackend.New(restbackend.Options{Group: g, Parts: new(setup.Parts), WorkerID: func() string { return "" },
			Installation: &setup.Installation{Installation: &config.Installation{Worker: settings}}})
		parts := b.REST().Now()
		assert.Error(t, parts.Starting, "Plugins are being loaded.")
		assert.True(t, parts.Herder == nil, "expected no herder, found %#v", parts.Herder)
	}
}

// A worker joins a group if its settings are those of a distributed worker and it does not run in one-shot mode.
func TestInGroup(t *testing.T) {
	distributed := []string{"bootstrap.servers=b:9092", "group.id=g", "config.storage.topic=c",
		"status.storage.topic=s"}
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
		mode   mode
		lines  []string
		want   bool
	}{
		{lines: distributed, want: true},
		{config: Config{Files: config.Files{Folder: "f"}}, lines: distributed, want: true},
		{config: Config{Files: config.Files{Connectors: []string{"a.properties"}}}, lines: distributed, want: true},
		{mode: mode{standalone: true}, lines: distributed},
		{config: Config{Once: true}, lines: distributed},
		{lines: distributed[:3]},
		{lines: append([]string{"bootstrap.servers=embedded"}, distributed[1:]...)},
	} {
		assert.Equal(t, c.want, c.mode.inGroup(c.config, worker(c.lines...)), c)
	}
}

// Other workers reach a worker at its listener of the advertised protocol, in any order, and never at one for /admin
// only (Kafka Connect: RestServer.advertisedUrl).
func TestAdvertisedURL(t *testing.T) {
	store := filepath.Join(t.TempDir(), "server.pem")
	require.NoError(t, os.WriteFile(store, certtest.Issue(t, "server", nil, nil).KeyPEM(t), 0o600))
	const plain, secure = "http://127.0.0.1:0", "https://127.0.0.1:0"
	for _, c := range []struct {
		listeners string
		settings  string // further lines of the file
		want      string // with PORTn for a listener's port
	}{
		{listeners: plain, want: "http://127.0.0.1:PORT0"},
		{listeners: secure, want: "https://127.0.0.1:PORT0"},
		{listeners: plain + "," + secure, want: "http://127.0.0.1:PORT0"},
		{listeners: secure + "," + plain, want: "http://127.0.0.1:PORT1"},
		{listeners: plain + "," + secure, settings: "rest.advertised.listener=HTTPS", want: "https://127.0.0.1:PORT1"},
		{listeners: secure + "," + plain, settings: "rest.advertised.listener=https", want: "https://127.0.0.1:PORT0"},
		{listeners: secure + "," + plain, settings: "admin.listeners=http://127.0.0.1:0",
			want: "http://127.0.0.1:PORT1"},
		{listeners: secure, settings: "admin.listeners=http://127.0.0.1:0", want: "https://127.0.0.1:PORT0"},
		{listeners: plain + "," + secure,
			settings: "rest.advertised.listener=https\nrest.advertised.host.name=a.example",
			want:     "https://a.example:PORT1"},
		{listeners: plain + "," + secure, settings: "rest.advertised.listener=https\nrest.advertised.port=8443",
			want: "https://127.0.0.1:8443"},
		{settings: "rest.advertised.host.name=a.example", want: "http://a.example:8083"},
	} {
		entries, _ := config.Read("w.properties", []byte("bootstrap.servers=b:9092\nlisteners="+c.listeners+
			"\nlisteners.https.ssl.keystore.location="+store+"\n"+c.settings))
		w, problems := config.NewWorker("w.properties", entries, nil, nil)
		require.NoError(t, problems.Err())
		in := &setup.Installation{Log: discardLogger(), Installation: &config.Installation{Worker: w}}
		h := &Host{installation: in, group: &group.Standalone{},
			backend: restbackend.New(restbackend.Options{Installation: in, Group: &group.Standalone{}})}
		require.NoError(t, h.listen())
		want := c.want
		for n, address := range h.addresses() {
			_, port, _ := net.SplitHostPort(address)
			want = strings.ReplaceAll(want, fmt.Sprint("PORT", n), port)
		}
		assert.Equal(t, want, h.advertisedURL(), c)
		_, id, _ := strings.Cut(want, "://")
		assert.Equal(t, id, h.workerID(), c)
		h.closeListeners()
	}
}
