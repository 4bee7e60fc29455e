package configtopic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// memoryLog returns to a store what the store writes.
type memoryLog struct {
	*Store
	records []Record
	writes  []string // who wrote, and the keys
	err     error    // the result of writes
}

func (l *memoryLog) Write(_ context.Context, leading bool, records ...Record) (int64, error) {
	if l.err != nil {
		return 0, l.err
	}
	line := fmt.Sprintf("leading=%t", leading)
	for _, r := range records {
		r.Offset = int64(len(l.records))
		l.records = append(l.records, r)
		l.Apply(r)
		line += " " + r.Key
	}
	l.writes = append(l.writes, line)
	return int64(len(l.records) - 1), nil
}

// topicStore returns a store of a topic in memory that starts with these records.
func topicStore(w *config.Worker, log *slog.Logger, changed func(Change), lines ...string) *memoryLog {
	l := &memoryLog{records: records(lines...)}
	l.Store = NewStore("configs", w, changed, log)
	l.SetWriter(l)
	for _, r := range l.records {
		l.Apply(r)
	}
	return l
}

// newWorker returns a worker with the settings of a properties file.
func newWorker(t *testing.T, text string) *config.Worker {
	t.Helper()
	entries, problems := config.Read("w.properties", []byte(text))
	require.NoError(t, problems.Err())
	w, problems := config.NewWorker("", entries, nil, nil)
	require.NoError(t, problems.Err())
	return w
}

func newConnector(t *testing.T, file, text string) *config.Connector {
	t.Helper()
	entries, problems := config.Read(file, []byte(text))
	require.NoError(t, problems.Err())
	c, problems := config.NewConnector(file, entries, nil)
	require.NoError(t, problems.Err())
	return c
}

var discard = slog.New(slog.DiscardHandler)

// A connector is readable when Put returns. Records that only the leader may write are written together.
func TestPutIsReadableAndLeaderWritesTogether(t *testing.T) {
	l := topicStore(newWorker(t, ""), discard, nil)
	if _, ok := l.Snapshot(); ok || l.Ready() {
		t.Error("expected no snapshot before everything was read")
	}
	l.CaughtUp()
	ctx := t.Context()
	c := newConnector(t, "request", "name=a\nx=1")
	require.NoError(t, l.Put(ctx, "a", config.Stored{Connector: c, Target: config.TargetStopped}))
	before, ok := l.Snapshot()
	assert.Equal(t, true, ok)
	require.NoError(t, l.Put(ctx, "a", config.Stored{Target: config.TargetPaused}))
	assert.Equal(t, true, l.IsStale(before))
	_, err := l.Store.Write(ctx, TaskRecord("a", 0, map[string]string{"t": "0"}),
		TaskRecord("a", 1, map[string]string{"t": "1"}))
	require.NoError(t, err)
	version, err := l.Store.Write(ctx, CommitRecord("a", 2))
	require.NoError(t, err)
	snapshot, _ := l.Snapshot()
	assert.Equal(t, false, l.IsStale(snapshot))
	assert.Equal(t, map[string]string{"a": config.TargetPaused}, snapshot.Targets)
	assert.Equal(t, map[string]config.TaskConfigs{"a": {Version: version, Settings: []map[string]string{{"t": "0"},
		{"t": "1"}}}}, snapshot.Tasks)
	assert.Equal(t, []string{"a"}, names(snapshot))
	assert.Equal(t, map[string]string{"name": "a", "x": "1"}, snapshot.Connectors[0].Raw())
	assert.Equal(t, "configs: connector-a", snapshot.Connectors[0].File)
	assert.Equal(t, true, &snapshot.Connectors[0].Entries[0] == &before.Connectors[0].Entries[0])
	assert.True(t, len(before.Tasks) == 0, "expected a snapshot not to change")
	require.NoError(t, l.Delete(ctx, "a"))
	snapshot, _ = l.Snapshot()
	assert.Equal(t, 0, len(snapshot.Connectors)+len(snapshot.Targets)+len(snapshot.Tasks)+len(snapshot.ConfigOffsets))
	assert.Equal(t, []string{"leading=true target-state-a connector-a", "leading=false target-state-a",
		"leading=true task-a-0 task-a-1", "leading=true commit-a",
		"leading=true connector-a target-state-a"}, l.writes)
}

// A connector of a folder belongs to REST once REST writes or deletes it. Its target state is always set by REST.
func TestRESTTakesOverFolderConnector(t *testing.T) {
	l := topicStore(newWorker(t, ""), discard, nil, `culvert-folder-a {"file":"a.json"}`,
		`connector-a {"properties":{"name":"a","x":"1"}}`, `culvert-folder-b {"file":"b.json"}`,
		`connector-b {"properties":{"name":"b"}}`)
	l.CaughtUp()
	require.NoError(t, l.Put(t.Context(), "a", config.Stored{Target: config.TargetPaused}))
	require.NoError(t, l.Put(t.Context(), "a", config.Stored{Connector: newConnector(t, "request", "name=a\nx=2")}))
	require.NoError(t, l.Put(t.Context(), "a", config.Stored{Connector: newConnector(t, "request", "name=a\nx=3")}))
	require.NoError(t, l.Delete(t.Context(), "b"))
	assert.Equal(t, []string{"leading=false target-state-a", "leading=true connector-a culvert-folder-a",
		"leading=true connector-a",
		"leading=true connector-b target-state-b culvert-folder-b"}, l.writes)
	assert.Equal(t, 0, len(l.Annotations(FolderAnnotation)))
}

// names returns the names of a snapshot's connectors.
func names(s config.Snapshot) (names []string) {
	for _, c := range s.Connectors {
		names = append(names, c.Name)
	}
	return names
}

// A failed write is reported and changes nothing. Records with invalid contents are not written.
func TestTopicStoreRejectsInvalidWrites(t *testing.T) {
	l := topicStore(newWorker(t, ""), discard, nil, `connector-a {"properties":{"x":"1"}}`)
	l.CaughtUp()
	var tooLarge *config.TooLargeError
	c := newConnector(t, "request", "x="+strings.Repeat("y", 1<<20-100))
	c.Entries[0].Raw = strings.Repeat("y", maxTopicValue)
	if err := l.Put(t.Context(), "a", config.Stored{Connector: c}); !errors.As(err, &tooLarge) {
		t.Errorf("expected an error about the size, found %v", err)
	}
	l.err = errors.New("fenced")
	assert.Error(t, l.Delete(t.Context(), "a"), "fenced")
	_, err := l.Store.Write(t.Context(), TaskRecord("a", 0, map[string]string{}))
	assert.Error(t, err, "fenced")
	snapshot, _ := l.Snapshot()
	assert.Equal(t, []string{"a"}, names(snapshot))
	assert.Equal(t, 0, len(l.writes))
	_, err = AnnotationRecord("plugin-a", 1)
	assert.Error(t, err, "begins with culvert-")
}

// The contents of the topic are treated as sent by REST, whoever wrote them: only the providers of config.providers are
// used. A reference that resolves later is found.
func TestReferencesInTheTopic(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.properties")
	record := `connector-a {"properties":{"name":"other","x":"${file:` + file + `:k}"}}`
	withoutProviders := topicStore(newWorker(t, ""), discard, nil, record)
	snapshot, _ := withoutProviders.Snapshot()
	c := snapshot.Connectors[0]
	assert.True(t, c.Problems.Err() != nil && strings.Contains(c.Problems[0].Text, "config.providers=file"),
		"expected the provider to be rejected, found %v", c.Problems)
	w := newWorker(t, "config.providers=file\nconfig.providers.file.class="+
		"org.apache.kafka.common.config.provider.FileConfigProvider"+
		"\nconfig.providers.file.param.allowed.paths="+dir)
	l := topicStore(w, discard, nil, record)
	l.CaughtUp()
	snapshot, _ = l.Snapshot()
	assert.Equal(t, "a", snapshot.Connectors[0].Name) // from the key
	assert.Error(t, snapshot.Connectors[0].Problems.Err(), file)
	require.NoError(t, os.WriteFile(file, []byte("k=hush"), 0o600))
	l.interval = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l.Watch(ctx, func(s config.Snapshot) {
		if s.Connectors[0].Problems.Err() == nil {
			snapshot = s
			cancel()
		}
	})
	assert.Equal(t, "hush", snapshot.Connectors[0].Text("x"))
	assert.Equal(t, "${file:"+file+":k}", snapshot.Connectors[0].Raw()["x"])
}

// References are resolved again after Refresh, even if a snapshot resolves them meanwhile.
func TestRefreshDuringASnapshot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.properties")
	w := newWorker(t, "config.providers=file\nconfig.providers.file.class="+
		"org.apache.kafka.common.config.provider.FileConfigProvider"+
		"\nconfig.providers.file.param.allowed.paths="+dir)
	var records []string
	for i := range 300 {
		records = append(records, fmt.Sprintf(`connector-c%d {"properties":{"x":"${file:%s:k}"}}`, i, file))
	}
	l := topicStore(w, discard, nil, records...)
	l.CaughtUp()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resolving := make(chan struct{})
	go func() {
		for {
			select {
			case resolving <- struct{}{}:
				l.Snapshot()
			case <-ctx.Done():
				return
			}
		}
	}()
	refresh := func(value string) {
		require.NoError(t, os.WriteFile(file+".new", []byte("k="+value), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
		l.Refresh()
	}
	for i := range 20 {
		refresh("before")
		<-resolving
		value := fmt.Sprint("v", i)
		refresh(value)
		for range 2 { // the second finds what the first or the goroutine has cached
			snapshot, _ := l.Snapshot()
			for _, c := range snapshot.Connectors {
				require.Equal(t, value, c.Text("x"), c.Name)
			}
		}
	}
}

// Watch reports the state once everything was read, then each change and each request, but not each record of the first
// read.
func TestWatchTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []Change
		l := topicStore(newWorker(t, ""), discard, func(c Change) { changes = append(changes, c) },
			`connector-a {"properties":{}}`, `restart-connector-a {}`)
		var mu sync.Mutex
		seen := []string{}
		ctx, cancel := context.WithCancel(t.Context())
		go l.Watch(ctx, func(s config.Snapshot) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprint(names(s), s.Requested))
		})
		check := func(do func(), wantSeen []string, wantChanges ...Change) {
			t.Helper()
			mu.Lock()
			seen = []string{}
			changes = nil
			mu.Unlock()
			do()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, wantSeen, seen, "snapshots")
			assert.Equal(t, wantChanges, changes, "changes")
		}
		check(func() {}, []string{})
		check(l.CaughtUp, []string{"[a] false"})
		check(l.CaughtUp, []string{})
		check(func() { l.Store.Write(ctx, ConnectorRecord("b", map[string]string{})) }, []string{"[a b] false"},
			Change{Kind: KindConnector, Name: "b"})
		check(func() { l.Store.Write(ctx, RestartRecord(RestartRequest{Connector: "b"})) }, []string{},
			Change{Kind: KindRestart, Name: "b", Restart: RestartRequest{Connector: "b"}})
		note, err := AnnotationRecord("culvert-plugin-a", map[string]int{"v": 1})
		require.NoError(t, err)
		check(func() { l.Store.Write(ctx, note) }, []string{}, Change{Kind: KindAnnotation, Name: "plugin-a"})
		assert.Equal(t, `{"v":1}`, string(l.Annotations("culvert-plugin-")["a"]))
		check(l.Refresh, []string{"[a b] true"})
		check(func() { time.Sleep(retryEvery) }, []string{"[a b] false"})
		cancel()
		synctest.Wait()
	})
}

// The cluster state contains the records that belong to no connector.
func TestClusterState(t *testing.T) {
	l := topicStore(newWorker(t, ""), discard, nil)
	if _, ok := l.SessionKey(); ok {
		t.Error("expected no session key")
	}
	key := SessionKey{[]byte{1, 2, 3}, "HmacSHA256", time.UnixMilli(1795198231502)}
	_, err := l.Store.Write(t.Context(), SessionKeyRecord(key))
	require.NoError(t, err)
	got, ok := l.SessionKey()
	assert.Equal(t, true, ok, "has a session key")
	assert.Equal(t, key, got)
	_, err = l.Store.Write(t.Context(), FencingRecords("a", config.FencingCounts{Tasks: 3, Producers: 4})...)
	require.NoError(t, err)
	assert.Equal(t, config.FencingCounts{Tasks: 3, Producers: 4, At: l.records[1].Offset}, l.Fencing("a"))
	assert.Equal(t, `{"task-count":3}`, string(l.records[1].Value))
	assert.Equal(t, []string{"leading=true session-key", "leading=true tasks-fencing-a culvert-fencing-a"}, l.writes)
}

// The first damaged records are logged with their positions. Further ones, and unknown keys, are counted.
func TestDamagedRecordsAreLogged(t *testing.T) {
	var journal logtest.Journal
	var lines []string
	for n := range 30 {
		lines = append(lines, fmt.Sprintf(`connector-c%d {"properties":{"k":4711}}`, n),
			fmt.Sprintf("foreign-%d {}", n))
	}
	lines[0] = "connector-" + strings.Repeat("x", 400) + "\x1b[2J -x"
	l := topicStore(newWorker(t, ""), journal.Logger(slog.LevelInfo), nil, lines...)
	l.CaughtUp()
	text := journal.String()
	assert.Contains(t, text, "partition=0 offset=2 key=connector-c1 error=\"properties: expected an object of texts",
		"topic=configs damaged=30 others=30", strings.Repeat("x", 290)+"... (114 bytes more)")
	assert.Equal(t, 10+1, strings.Count(text, "\n"))
}

// In a topic the version is the record's offset. It stays the same if nothing is written.
func TestVersionIsRecordOffset(t *testing.T) {
	t.Parallel()
	l := topicStore(newWorker(t, ""), discard, nil, `connector-a {"properties":{"name":"a","x":"1"}}`)
	l.CaughtUp()
	put := func(x, ifVersion string) error {
		return l.Put(t.Context(), "a", config.Stored{Connector: newConnector(t, "request", "name=a\nx="+x),
			IfMatch: func(version string) bool { return version == ifVersion }})
	}
	version := func() string {
		snapshot, _ := l.Snapshot()
		return snapshot.Connectors[0].Version
	}
	assert.Equal(t, "0", version())
	require.NoError(t, put("1", "0"))
	assert.Equal(t, "0", version())
	require.NoError(t, put("2", "0"))
	assert.Equal(t, "1", version())
	assert.Error(t, put("3", "0"), "has changed in the meantime")
	assert.Equal(t, 2, len(l.records))
}
