//go:build real

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// logBroker starts an Apache Kafka broker whose cleaner runs all the time.
func logBroker(t *testing.T) string {
	t.Helper()
	properties := filepath.Join(t.TempDir(), "more.properties")
	require.NoError(t, os.WriteFile(properties, []byte("log.cleaner.backoff.ms=200\n"), 0o600))
	port := e2etest.FreePort(t)
	runPeer(t, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t), "BROKER_PROPS=" + properties}, "start-broker.sh",
		port, t.TempDir())
	return "127.0.0.1:" + port
}

// connectREST sends a request to a Java worker until it returns this status.
func connectREST(t *testing.T, base, method, path, body string, status int, answer any) {
	t.Helper()
	last := ""
	require.Until(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			last = err.Error()
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		last = fmt.Sprint(response.Status, err, string(text))
		return response.StatusCode == status && err == nil && (answer == nil || json.Unmarshal(text, answer) == nil)
	}, func() string { return fmt.Sprintf("%s %s: expected %d, found %s", method, path, status, last) })
}

// Records of an Apache Kafka Connect worker result in the same state as its REST API shows, with and without
// transactions. It reads the records that we append.
func TestRealLogOfKafkaConnect(t *testing.T) {
	t.Parallel()
	broker := logBroker(t)
	for _, eos := range []string{"disabled", "enabled"} {
		t.Run(eos, func(t *testing.T) {
			group := "java-" + eos
			port := e2etest.FreePort(t)
			dir := t.TempDir()
			base := "http://127.0.0.1:" + port
			env := []string{"GROUP=" + group, "EOS=" + eos}
			java := runPeer(t, env, "start-connect.sh", port, dir, broker)
			file := filepath.Join(dir, "lines")
			require.NoError(t, os.WriteFile(file, []byte("one\ntwo\n"), 0o600))
			createConnectors(t, base, file)
			changeConnectors(t, base)
			f := openLogOf(t, group, broker)
			require.NoError(t, f.Refresh(kafkatest.Context(t)))
			checkRecordsOfConnect(t, base, f)
			if eos == "enabled" {
				checkFencing(t, f)
			}
			assert.Equal(t, "", f.journal.String())

			java.Stop()
			ours := map[string]string{"name": "ours", "connector.class": "FileStreamSource", "topic": "lines",
				"file": file, "tasks.max": "1", "odd": "<&>\u00e4\U0001f600\n"}
			writeRecords(t, f, ours)
			runPeer(t, env, "start-connect.sh", port, dir, broker)
			checkConnectReadsRecords(t, base, f, ours)
			log, err := os.ReadFile(filepath.Join(dir, "worker.log"))
			require.NoError(t, err)
			if strings.Contains(string(log), "wrong format") || strings.Contains(string(log), "Invalid data") {
				t.Errorf("expected Connect to accept our records, found\n%s", log)
			}
		})
	}
}

// createConnectors creates five connectors in a Java worker and waits until each has a task.
func createConnectors(t *testing.T, base, file string) {
	t.Helper()
	for _, name := range []string{"a", "a-1", "paused", "stopped", "gone"} {
		connectREST(t, base, "POST", "/connectors", fmt.Sprintf(`{"name":%q,"config":{"connector.class":`+
			`"FileStreamSource","topic":"lines","file":%q,"some&thing":"ä \"quoted\""}}`, name, file),
			http.StatusCreated, nil)
		var tasks []any
		connectREST(t, base, "GET", "/connectors/"+name+"/tasks", "", http.StatusOK, &tasks)
		require.Until(t, func() bool {
			connectREST(t, base, "GET", "/connectors/"+name+"/tasks", "", http.StatusOK, &tasks)
			return len(tasks) == 1
		}, func() string { return name + " has no task" })
	}
}

// changeConnectors pauses, stops, deletes and restarts connectors, and waits until the stopped one has no tasks.
func changeConnectors(t *testing.T, base string) {
	t.Helper()
	connectREST(t, base, "PUT", "/connectors/paused/pause", "", http.StatusAccepted, nil)
	connectREST(t, base, "PUT", "/connectors/stopped/stop", "", http.StatusNoContent, nil)
	connectREST(t, base, "DELETE", "/connectors/gone", "", http.StatusNoContent, nil)
	connectREST(t, base, "PUT", "/admin/loggers/org.apache.kafka.connect?scope=cluster", `{"level":"WARN"}`,
		http.StatusNoContent, nil)
	connectREST(t, base, "POST", "/connectors/a/restart?includeTasks=true", "", http.StatusAccepted, nil)
	stoppedTasks := []any{1}
	require.Until(t, func() bool {
		connectREST(t, base, "GET", "/connectors/stopped/tasks", "", http.StatusOK, &stoppedTasks)
		return len(stoppedTasks) == 0
	}, func() string { return "stopped has tasks" })
}

// checkRecordsOfConnect checks that the records of a Java worker are read as its REST API shows them.
func checkRecordsOfConnect(t *testing.T, base string, f *follower) {
	t.Helper()
	checkSameAsREST(t, base, f)
	state, _ := f.store.Snapshot()
	assert.Equal(t, config.TargetPaused, state.Targets["paused"])
	assert.Equal(t, config.TargetStopped, state.Targets["stopped"])
	assert.Equal(t, 0, len(state.Tasks["stopped"].Settings))
	assert.Equal(t, "", state.Targets["gone"])
	_, ok := f.store.SessionKey()
	assert.True(t, ok, "expected a session key")
}

// checkFencing checks that the fencing of a connector is recorded after its tasks.
func checkFencing(t *testing.T, f *follower) {
	t.Helper()
	state, _ := f.store.Snapshot()
	fencing := f.store.Fencing("a")
	assert.Equal(t, config.FencingCounts{Tasks: 1, At: fencing.At}, fencing)
	if version := state.Tasks["a"].Version; fencing.At <= version {
		t.Errorf("expected the fencing of version %d after its tasks, found offset %d", version, fencing.At)
	}
}

// writeRecords writes, as the leader, records of each kind: a stopped connector with the settings, a paused one with a
// plan of two tasks, a target state, a deletion, an annotation and a fencing.
func writeRecords(t *testing.T, f *follower, stopped map[string]string) {
	t.Helper()
	ctx := kafkatest.Context(t)
	require.NoError(t, f.Lead(ctx))
	_, err := f.store.Write(ctx, configtopic.TargetRecord("ours", config.TargetStopped),
		configtopic.ConnectorRecord("ours", stopped))
	require.NoError(t, err)
	_, err = f.putTasks(ctx, "ours", nil)
	require.NoError(t, err)
	planned := map[string]string{"name": "planned", "connector.class": "FileStreamSource", "topic": "lines",
		"file": stopped["file"], "tasks.max": "2"}
	_, err = f.store.Write(ctx, configtopic.TargetRecord("planned", config.TargetPaused),
		configtopic.ConnectorRecord("planned", planned))
	require.NoError(t, err)
	offset, _ := f.store.ConfigOffset("planned")
	planned["task.class"] = "org.apache.kafka.connect.file.FileStreamSourceTask"
	_, err = f.store.Write(ctx, configtopic.TaskPlanRecords("planned", config.TaskPlan{Offset: offset,
		Tasks:        []map[string]string{planned, planned},
		Requirements: config.Requirements{Claims: []string{"x"}, Origin: "o", Requests: 2}})...)
	require.NoError(t, err)
	require.NoError(t, f.store.Put(ctx, "a", config.Stored{Target: config.TargetPaused}))
	require.NoError(t, f.store.Delete(ctx, "a-1"))
	note, err := configtopic.AnnotationRecord("culvert-plugin-a", map[string]string{"hash": "x"})
	require.NoError(t, err)
	fencing := configtopic.FencingRecords("ours", config.FencingCounts{Tasks: 1, Producers: 4})
	_, err = f.store.Write(ctx, append(fencing, note)...)
	require.NoError(t, err)
	f.Resign()
}

// checkConnectReadsRecords checks that a Java worker has the state that [writeRecords] wrote.
func checkConnectReadsRecords(t *testing.T, base string, f *follower, stopped map[string]string) {
	t.Helper()
	var shown map[string]string
	connectREST(t, base, "GET", "/connectors/ours/config", "", http.StatusOK, &shown)
	assert.Equal(t, stopped, shown)
	for name, want := range map[string]string{"ours": "STOPPED", "a": "PAUSED", "paused": "PAUSED"} {
		var status struct{ Connector struct{ State string } }
		require.Until(t, func() bool {
			connectREST(t, base, "GET", "/connectors/"+name+"/status", "", http.StatusOK, &status)
			return status.Connector.State == want
		}, func() string { return fmt.Sprintf("%s: expected %s, found %v", name, want, status) })
	}
	require.NoError(t, f.Refresh(kafkatest.Context(t)))
	checkSameAsREST(t, base, f)
	var tasks []any
	connectREST(t, base, "GET", "/connectors/planned/tasks", "", http.StatusOK, &tasks)
	assert.Equal(t, 2, len(tasks)) // of a commit with more fields than Connect's
}

// openLogOf follows the config topic of a Java worker's group.
func openLogOf(t *testing.T, group, broker string) *follower {
	t.Helper()
	return openFollowerOf(t, func(o *LogOptions) {
		o.Group = group
		o.Topic.Name = group + "-configs"
	}, broker)
}

// checkSameAsREST compares connectors and their tasks with the REST API of a Java worker.
func checkSameAsREST(t *testing.T, base string, f *follower) {
	t.Helper()
	var names []string
	connectREST(t, base, "GET", "/connectors", "", http.StatusOK, &names)
	slices.Sort(names)
	now, _ := f.store.Snapshot()
	var got []string
	for _, c := range now.Connectors {
		got = append(got, c.Name)
		var settings map[string]string
		connectREST(t, base, "GET", "/connectors/"+c.Name+"/config", "", http.StatusOK, &settings)
		assert.Equal(t, settings, c.Raw(), c.Name)
		var tasks []struct{ Config map[string]string }
		connectREST(t, base, "GET", "/connectors/"+c.Name+"/tasks", "", http.StatusOK, &tasks)
		assert.Equal(t, len(tasks), len(now.Tasks[c.Name].Settings), c.Name)
		for n, task := range tasks[:min(len(tasks), len(now.Tasks[c.Name].Settings))] {
			assert.Equal(t, task.Config, now.Tasks[c.Name].Settings[n], c.Name)
		}
	}
	assert.Equal(t, names, got)
}

// After Kafka's own cleaner has compacted small segments, and a leader has died within a transaction, a new reader has
// the same state, except that tasks may be missing.
func TestRealLogCompacted(t *testing.T) {
	t.Parallel()
	broker := logBroker(t)
	ctx := kafkatest.Context(t)
	f := openFollower(t, broker)
	client := kafkatest.Client(t, kgo.SeedBrokers(broker))
	admin := kadm.NewClient(client)
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	_, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{set("segment.bytes", "1048576"), set("segment.ms", "100"),
		set("min.cleanable.dirty.ratio", "0.001"), set("delete.retention.ms", "100"),
		set("min.compaction.lag.ms", "0")}, "configs")
	require.NoError(t, err)
	require.NoError(t, f.Lead(ctx))
	written := 0
	for round := range 30 {
		for _, name := range []string{"a", "b", "c"} {
			require.NoError(t, f.put(ctx, name, fmt.Sprint(round)))
			tasks := []map[string]string{{"t": fmt.Sprint(round)}, {"t": fmt.Sprint(round)}}
			_, err := f.putTasks(ctx, name, tasks[:1+round%2])
			require.NoError(t, err)
			written += 3 + round%2
		}
		if round == 20 {
			require.NoError(t, f.store.Delete(ctx, "c"))
		}
	}
	require.NoError(t, f.store.Delete(ctx, "c"))
	// The leader dies, first with tasks that have no commit, then within a transaction.
	_, err = f.store.Write(ctx, configtopic.TaskRecord("b", 0, map[string]string{"t": "lost"}))
	require.NoError(t, err)
	dying := kafkatest.Client(t, kgo.SeedBrokers(broker), kgo.TransactionalID("connect-cluster-g"))
	require.NoError(t, dying.BeginTransaction())
	open := configtopic.CommitRecord("b", 1)
	require.NoError(t, dying.ProduceSync(ctx, &kgo.Record{Topic: "configs", Key: []byte(open.Key),
		Value: open.Value}).FirstErr())
	second := openFollower(t, broker)
	require.NoError(t, second.Lead(ctx)) // aborts it
	want, _ := f.store.Snapshot()

	readAll := func() (n int, state *configtopic.State) {
		l, err := OpenLog(ctx, logOptionsOf([]string{broker}, f.options.Logger))
		require.NoError(t, err)
		defer l.Close()
		state = configtopic.NewState()
		_, err = l.reader.Read(ctx, "configs", kafka.ReadOptions{}, func(r *kgo.Record) error {
			n++
			_, err := state.Apply(configtopic.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
			return err
		})
		require.NoError(t, err)
		return n, state
	}
	n, state := readAll()
	require.Until(t, func() bool {
		// A record of any worker ends a segment.
		require.NoError(t, second.store.Put(ctx, "d", config.Stored{Target: config.TargetPaused}))
		n, state = readAll()
		return n < written/3 && state.Snapshot().Incomplete["b"]
	}, func() string { return fmt.Sprintf("%d of %d records are left: %v", n, written, state.Snapshot()) })
	late := openFollower(t, broker)
	got, _ := late.store.Snapshot()
	assert.Equal(t, want.ConfigOffsets, got.ConfigOffsets)
	assert.Equal(t, map[string]string{"a": "29", "b": "29"}, late.values())
	assert.Equal(t, map[string]config.TaskConfigs{"a": want.Tasks["a"]}, got.Tasks)
	assert.Equal(t, map[string]bool{"b": true}, got.Incomplete)
	t.Logf("%d of %d records remain", n, written)
	start := time.Now()
	require.NoError(t, second.put(ctx, "e", "1"))
	t.Logf("a write took %v", time.Since(start))
}

// With the brokers' own authorizer, missing permissions of a leader are reported at the start. Without them, nothing is
// fenced.
func TestRealLogRights(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	properties := filepath.Join(t.TempDir(), "more.properties")
	require.NoError(t, os.WriteFile(properties, []byte("authorizer.class.name=org.apache.kafka.metadata.authorizer."+
		"StandardAuthorizer\nsuper.users=User:ANONYMOUS\n"), 0o600))
	port := e2etest.FreePort(t)
	saslPort := e2etest.FreePort(t)
	runPeer(t, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t), "BROKER_PROPS=" + properties,
		"SASL_PORT=" + saslPort}, "start-broker.sh", port, dir)
	leader := openFollower(t, "127.0.0.1:"+port)
	ctx := kafkatest.Context(t)
	require.NoError(t, leader.Lead(ctx))
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers("127.0.0.1:"+port)))
	acls := func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.ResourcePatternType(kadm.ACLPatternLiteral) }
	_, err := admin.CreateACLs(ctx, acls(kadm.NewACLs().Topics("*").Groups("*").TransactionalIDs("*").Clusters().
		Operations(kadm.OpAll).Allow("User:user").AllowHosts("*")))
	require.NoError(t, err)
	k, _, err := kafka.Parse(ctx, map[string]string{"bootstrap.servers": "127.0.0.1:" + saslPort,
		"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
		"sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required " +
			`username="user" password="user-secret";`,
		"ssl.truststore.location": filepath.Join(dir, "tls", "trust.p12"), "ssl.truststore.password": "changeit"})
	require.NoError(t, err)
	open := func() error {
		o := logOptionsOf(nil, leader.options.Logger)
		o.Kafka = k
		l, err := OpenLog(ctx, o)
		if err != nil {
			return err
		}
		defer l.Close()
		readCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		return l.Read(readCtx, func(configtopic.Record) {}, cancel)
	}
	for want, denied := range map[string]*kadm.ACLBuilder{
		"expected the right WRITE on the resource Topic configs": kadm.NewACLs().Topics("configs").
			Operations(kadm.OpWrite),
		"expected the right READ on the resource Topic configs": kadm.NewACLs().Topics("configs").
			Operations(kadm.OpRead),
		"expected the right WRITE on the resource TransactionalId connect-cluster-g": kadm.NewACLs().
			TransactionalIDs("connect-cluster-g").Operations(kadm.OpWrite),
	} {
		_, err := admin.CreateACLs(ctx, acls(denied.Deny("User:user").DenyHosts("*")))
		require.NoError(t, err)
		last := error(nil)
		require.Until(t, func() bool { // brokers learn permissions from their controllers
			last = open()
			return last != nil && strings.Contains(last.Error(), want)
		}, func() string { return fmt.Sprintf("expected %q, found %v", want, last) })
		_, err = admin.DeleteACLs(ctx, acls(denied.Deny("User:user").DenyHosts("*")))
		require.NoError(t, err)
	}
	require.NoError(t, leader.put(ctx, "c", "1"))
	assert.Equal(t, "", leader.journal.String())
}
