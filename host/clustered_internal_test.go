package host

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/certtest"
	"github.com/culvert-project/culvert/host/internal/base/logtest"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/wit"
)

// A worker that was alone and is to form a group is not started while there are connectors that REST made in it, or
// what it was to stop: nobody would notice that they do not run, or that it runs.
func TestNoneOfBefore(t *testing.T) {
	data := t.TempDir()
	refused := func() error { return noneOfBefore(Config{Data: data}) }
	assert.NoError(t, refused(), "no folder")
	require.NoError(t, os.Mkdir(filepath.Join(data, "connectors"), 0o755))
	states := filepath.Join(data, statesFile)
	require.NoError(t, os.WriteFile(states, []byte(`{"a":"STARTED"}`), 0o600))
	assert.NoError(t, refused(), "an empty one")
	require.NoError(t, os.WriteFile(states, []byte(`{"a":"STARTED","b":"STOPPED"}`), 0o600))
	assert.Error(t, refused(), "found STOPPED b: `culvert cluster adopt --data")
	orders := filepath.Join(data, "connectors", "orders.properties")
	require.NoError(t, os.MkdirAll(filepath.Dir(orders), 0o755)) // an empty one is removed
	require.NoError(t, os.WriteFile(orders, []byte("name=orders"), 0o600))
	assert.Error(t, refused(), "found STOPPED b, orders: `culvert cluster adopt")
	if _, err := os.Stat(orders); err == nil {
		t.Error("expected orders.properties to be imported")
	}
	assert.Error(t, refused(), "found STOPPED b, orders: `culvert cluster adopt") // from connectors.json
	require.NoError(t, os.WriteFile(states, []byte(`{`), 0o600))
	assert.Error(t, refused(), "states of connectors")
}

// A file of a connector of the version before that cannot be imported keeps a worker from a group, and is not adopted
// silently: the connector would be lost.
func TestFilesThatCannotBeImportedAreRefused(t *testing.T) {
	data := t.TempDir()
	bad := filepath.Join(data, "connectors", "bad.json")
	require.NoError(t, os.Mkdir(filepath.Dir(bad), 0o755))
	require.NoError(t, os.WriteFile(bad, []byte("{"), 0o600))
	assert.Error(t, noneOfBefore(Config{Data: data}), "found "+bad+": `culvert cluster adopt")
	_, err := Adopt(t.Context(), Config{Data: data, Logger: quiet(), Files: config.Files{
		Worker: write(t, "worker.properties", "bootstrap.servers=127.0.0.1:1\ngroup.id=g\n"+
			"config.storage.topic=c\noffset.storage.topic=o\nstatus.storage.topic=s\n")}}, false)
	assert.Error(t, err, bad+":1: invalid JSON")
}

// Files that users have written stay theirs, also where they lie in the folder in which REST kept connectors before.
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
			return config.Files{Connectors: []string{link +
				"/file"}}
		},
		"others": func(_, _, link string) config.Files {
			return config.Files{Folder: link, Worker: filepath.Join(link, "w"), Connectors: []string{link + "/other"}}
		},
	} {
		for _, grouped := range []bool{false, true} {
			data, link := t.TempDir(), t.TempDir()
			folder := filepath.Join(data, "connectors")
			file := filepath.Join(folder, "mine.properties")
			require.NoError(t, errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(file, []byte("name=mine"), 0o600),
				os.Symlink(folder, filepath.Join(link, "folder")), os.Symlink(file, filepath.Join(link, "file"))))
			c := Config{Data: data, Logger: quiet(), Files: files(folder, file, link)}
			if grouped {
				_ = noneOfBefore(c)
			} else {
				_, _, err := c.openStored()
				require.NoError(t, err)
			}
			_, err := os.Stat(file)
			assert.Equal(t, name != "nothing" && name != "others", err == nil, name, grouped)
		}
	}
}

// What killed writes have left in the data folder goes at the next start: it may hold passwords.
func TestLeftoversGo(t *testing.T) {
	data := t.TempDir()
	folder := filepath.Join(data, "connectors")
	require.NoError(t, os.Mkdir(folder, 0o755))
	old := time.Now().Add(-2 * time.Hour)
	leftovers := []string{filepath.Join(data, ".culvert-new-1"), filepath.Join(folder, ".culvert-new-2")}
	for _, path := range leftovers {
		require.NoError(t, errors.Join(os.WriteFile(path, []byte("secret"), 0o600), os.Chtimes(path, old, old)))
	}
	h, err := New(t.Context(), Config{Data: data, Logger: quiet(), Files: config.Files{
		Worker: write(t, "worker.properties", "bootstrap.servers=embedded\nlisteners=http://127.0.0.1:0\n")}})
	require.NoError(t, err)
	h.Close()
	for _, path := range leftovers {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("expected %s to be removed", path)
		}
	}
}

// The folders that keep a leader from applying its own are those of members that stay, and say another digest. Nothing
// is known before the group has heard of its own.
func TestDiffering(t *testing.T) {
	member := func(id, digest string, leaving bool) rest.GroupMember {
		return rest.GroupMember{WorkerID: id, Digest: digest, Leaving: leaving}
	}
	for _, c := range []struct {
		digest, want string
		members      []rest.GroupMember
		known        bool
	}{
		{"one", "", nil, false},
		{"one", "", []rest.GroupMember{member("me", "old", false), member("a", "one", false)}, false},
		{"one", "", []rest.GroupMember{member("me", "one", false), member("a", "", false)}, true},
		{"one", "a, b", []rest.GroupMember{member("me", "one", false), member("a", "two", false),
			member("b", "three", false),
			member("c", "", false)}, true},
		{"one", "", []rest.GroupMember{member("me", "one", false), member("a", "two", true)}, true},
		{"", "a", []rest.GroupMember{member("me", "", false), member("a", "one", false), member("b", "", false)}, true},
	} {
		others, known := differing(c.digest, rest.Group{Leader: "me", Members: c.members})
		assert.Equal(t, c.want, others, c)
		assert.Equal(t, c.known, known, c)
	}
}

// The warning that folders differ is logged once, and shown on, while the group has not heard of the leader's changes.
func TestFoldersThatDiffer(t *testing.T) {
	var journal logtest.Journal
	f := &groupFolder{files: &reloader{log: journal.Logger(slog.LevelInfo)}, digest: "one"}
	group := func(own, other string) rest.Group {
		return rest.Group{Leader: "me", Members: []rest.GroupMember{{WorkerID: "me", Digest: own},
			{WorkerID: "a", Digest: other}}}
	}
	unread := config.Snapshot{Problems: config.Problems{{Text: "unreadable"}}} // f.digest stays
	for _, c := range []struct {
		name, digest string
		group        rest.Group
		leads        bool
		agreed       bool
		differ       string
	}{
		{"another folder", "one", group("one", "two"), true, false, "a"},
		{"a change of the leader's", "new", group("one", "two"), true, false, "a"},
		{"of which the group has heard", "new", group("new", "two"), true, false, "a"},
		{"the same folder", "new", group("new", "new"), true, true, ""},
		{"no leader", "new", group("new", "two"), false, false, ""},
		{"no folder", "", group("", ""), true, false, ""},
	} {
		f.digest = c.digest
		assert.Equal(t, c.agreed, f.agreed(unread, c.group, c.leads), c.name)
		assert.Equal(t, c.differ, f.differ, c.name)
	}
	assert.Equal(t, 1, strings.Count(journal.String(), notApplied))
}

// A worker that starts has no herder yet, not even an interface that holds a nil one, alone or in a group.
func TestPartsWithoutAHerder(t *testing.T) {
	settings, _ := config.NewWorker("", nil, nil, nil)
	for _, c := range []*clustered{nil, {}} {
		h := &Host{in: &config.Installation{Worker: settings}, running: &running{}, clustered: c}
		parts := worker{h}.Now()
		assert.Error(t, parts.Starting, "Plugins are being loaded.")
		if parts.Herder != nil {
			t.Errorf("expected no herder, found %#v", parts.Herder)
		}
	}
}

// A worker forms a group where its settings are those of a distributed one, and it is not to end by itself.
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
		lines  []string
		want   bool
	}{
		{Config{}, distributed, true},
		{Config{Files: config.Files{Folder: "f"}}, distributed, true},
		{Config{Files: config.Files{Connectors: []string{"a.properties"}}}, distributed, true},
		{Config{alone: true}, distributed, false},
		{Config{Once: true}, distributed, false},
		{Config{}, distributed[:3], false},
		{Config{}, append([]string{"bootstrap.servers=embedded"}, distributed[1:]...), false},
	} {
		assert.Equal(t, c.want, c.config.inGroup(worker(c.lines...)), c)
	}
}

// Others reach a worker at its listener of the advertised protocol, whichever stands first, and at none for /admin
// alone (Kafka Connect: RestServer.advertisedUrl).
func TestAdvertisedURL(t *testing.T) {
	store := filepath.Join(t.TempDir(), "server.pem")
	require.NoError(t, os.WriteFile(store, certtest.Issue(t, "server", nil, nil).KeyPEM(t), 0o600))
	const plain, secure = "http://127.0.0.1:0", "https://127.0.0.1:0"
	for _, c := range []struct {
		listeners, more string
		want            string // with PORTn for that of a listener
	}{
		{plain, "", "http://127.0.0.1:PORT0"},
		{secure, "", "https://127.0.0.1:PORT0"},
		{plain + "," + secure, "", "http://127.0.0.1:PORT0"},
		{secure + "," + plain, "", "http://127.0.0.1:PORT1"},
		{plain + "," + secure, "rest.advertised.listener=HTTPS", "https://127.0.0.1:PORT1"},
		{secure + "," + plain, "rest.advertised.listener=https", "https://127.0.0.1:PORT0"},
		{secure + "," + plain, "admin.listeners=http://127.0.0.1:0", "http://127.0.0.1:PORT1"},
		{secure, "admin.listeners=http://127.0.0.1:0", "https://127.0.0.1:PORT0"},
		{plain + "," + secure, "rest.advertised.listener=https\nrest.advertised.host.name=a.example",
			"https://a.example:PORT1"},
		{plain + "," + secure, "rest.advertised.listener=https\nrest.advertised.port=8443", "https://127.0.0.1:8443"},
		{"", "rest.advertised.host.name=a.example", "http://a.example:8083"},
	} {
		entries, _ := config.Read("w.properties", []byte("bootstrap.servers=b:9092\nlisteners="+c.listeners+
			"\nlisteners.https.ssl.keystore.location="+store+"\n"+c.more))
		w, problems := config.NewWorker("w.properties", entries, nil, nil)
		require.NoError(t, problems.Err())
		h := &Host{log: slog.New(slog.DiscardHandler), in: &config.Installation{Worker: w}, running: &running{}}
		require.NoError(t, h.listen())
		want := c.want
		for n, address := range h.addresses() {
			_, port, _ := net.SplitHostPort(address)
			want = strings.ReplaceAll(want, fmt.Sprint("PORT", n), port)
		}
		assert.Equal(t, want, h.advertised(), c)
		_, id, _ := strings.Cut(want, "://")
		assert.Equal(t, id, h.workerID(), c)
		h.hangUp()
	}
}

// A call is made again where its answer may be another one then: also where the worker that is asked knows no newer
// session key yet (Kafka Connect: DistributedHerderTest.testKeyExceptionDetection).
func TestCallsThatAreMadeAgain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&rest.Refusal{Status: 409}, true},
		{&rest.Refusal{Status: 503}, true},
		{fmt.Errorf("at the worker w: %w", &rest.Refusal{Status: 403}), true},
		{&rest.Refusal{Status: 400}, false},
		{&rest.Refusal{Status: 500}, false},
		{&url.Error{Op: "Post", URL: "http://w", Err: errors.New("connection refused")}, true},
		{rest.ErrNoKey, true},
		{errors.New("another one"), false},
	} {
		assert.Equal(t, c.want, passes(c.err), c.err)
	}
}

// What a leader could not do because of what may pass is asked for again, whether this worker leads or another one.
func TestWhatALeaderMayDoLater(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("fence: %w", kerr.NotCoordinator), true},
		{kerr.TransactionalIDAuthorizationFailed, false},
		{&wit.Error{Kind: wit.ErrorTransient}, true},
		{&wit.Error{Kind: wit.ErrorConfig}, false},
		{fmt.Errorf("c: %w", connect.ErrUnknownConnector), true}, // it has not read of it yet
	} {
		assert.Equal(t, []bool{c.want, c.want}, []bool{passes(c.err), passes(taken(c.err))}, c.err)
	}
}
