package takeover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// formerGroup is a cluster with topics of workers that have left.
type formerGroup struct {
	t      *testing.T
	fake   *kfake.Cluster
	client *kgo.Client
	admin  *kadm.Client
	config setup.Config
	group  string // the group of the members
}

// newFormerGroup creates the topics of the group g, which are empty, and the file of a worker with additional settings.
func newFormerGroup(t *testing.T, settings ...string) *formerGroup {
	t.Helper()
	group := &formerGroup{t: t, group: "g", fake: kafkatest.Cluster(t, kfake.NumBrokers(1))}
	servers := group.fake.ListenAddrs()[0]
	group.client = kafkatest.Client(t, kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	group.admin = kadm.NewClient(group.client)
	compacted := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	for _, topic := range []string{"configs", "states", "offsets", "in"} {
		_, err := group.admin.CreateTopic(t.Context(), 1, 1, compacted, topic)
		require.NoError(t, err)
	}
	plugins := t.TempDir()
	for name, module := range map[string][]byte{
		"source": pluginModule("Source", wit.ComponentSource, wit.InterfaceSource),
		"sink":   pluginModule("Sink", wit.ComponentSink, wit.InterfaceSink),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(plugins, name+".wasm"), module, 0o600))
	}
	worker := filepath.Join(t.TempDir(), "worker.properties")
	lines := append([]string{"bootstrap.servers=" + servers, "group.id=g", "config.storage.topic=configs",
		"status.storage.topic=states", "offset.storage.topic=offsets"}, settings...)
	require.NoError(t, os.WriteFile(worker, []byte(strings.Join(lines, "\n")), 0o600))
	group.config = setup.Config{Files: config.Files{Worker: worker}, Plugins: []string{plugins}, Data: t.TempDir(),
		Logger: slog.New(slog.DiscardHandler)}
	return group
}

// pluginModule returns the module of a plugin with one component, test. and its name.
func pluginModule(name string, kind wit.ComponentKind, interfaceName string) []byte {
	roleSetting := func(name string, kind wit.SettingKind, settingRole string) wit.ConfigKey {
		return setting.Define("x."+name, kind, wit.Low, setting.Default("1"), "Some setting.",
			setting.Role(settingRole))
	}
	settings := []wit.ConfigKey{
		roleSetting("scheme", wit.KindString, role.Scheme),
		roleSetting("host", wit.KindString, role.Address),
		roleSetting("port", wit.KindInt, role.Port),
		{Name: "x.user", Documentation: "A user."},
		{Name: "x.key", Kind: wit.KindPassword, Documentation: "A secret."},
	}
	component := wit.Component{Name: "test." + name, Kind: kind, Prefixes: []string{"x."}, Settings: settings}
	m := guesttest.StaticModule(wit.Description{Name: strings.ToLower(name), Version: "1",
		Components: []wit.Component{component}}, "", interfaceName)
	m.Answer(wit.InterfacePlugin, "Validate", wit.ValidateResult{Done: &[]wit.ConfigValue{}})
	return m.Bytes()
}

// put writes records of the form KEY VALUE; a record without a value is a tombstone.
func (f *formerGroup) put(topic string, records ...string) {
	f.t.Helper()
	for _, text := range records {
		key, value, hasValue := strings.Cut(text, " ")
		r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
		if !hasValue {
			r.Value = nil
		}
		require.NoError(f.t, f.client.ProduceSync(f.t.Context(), r).FirstErr())
	}
}

// putAborted writes a record in a transaction that is aborted.
func (f *formerGroup) putAborted(topic, key, value string) {
	f.t.Helper()
	client := kafkatest.Client(f.t, kgo.SeedBrokers(f.fake.ListenAddrs()...), kgo.TransactionalID("aborted"))
	require.NoError(f.t, client.BeginTransaction())
	require.NoError(f.t, client.ProduceSync(f.t.Context(), &kgo.Record{Topic: topic, Key: []byte(key),
		Value: []byte(value)}).FirstErr())
	require.NoError(f.t, client.EndTransaction(f.t.Context(), kgo.TryAbort))
}

// join joins a member to the group and returns when the group is stable. leave removes the member.
func (f *formerGroup) join(kind, protocol, url string) (leave func()) {
	f.t.Helper()
	metadata, err := cluster.Metadata{URL: url}.Encode()
	require.NoError(f.t, err)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group = f.group
	join.ProtocolType = kind
	join.SessionTimeoutMillis = 60_000
	join.RebalanceTimeoutMillis = 60_000
	joinProtocol := kmsg.NewJoinGroupRequestProtocol()
	joinProtocol.Name = protocol
	joinProtocol.Metadata = metadata
	join.Protocols = append(join.Protocols, joinProtocol)
	member, err := join.RequestWith(f.t.Context(), f.client)
	require.NoError(f.t, err)
	if errors.Is(kerr.ErrorForCode(member.ErrorCode), kerr.MemberIDRequired) {
		join.MemberID = member.MemberID
		member, err = join.RequestWith(f.t.Context(), f.client)
		require.NoError(f.t, err)
	}
	require.NoError(f.t, kerr.ErrorForCode(member.ErrorCode))
	syncGroup := kmsg.NewPtrSyncGroupRequest()
	syncGroup.Group = f.group
	syncGroup.MemberID = member.MemberID
	syncGroup.Generation = member.Generation
	syncGroup.ProtocolType = &kind
	syncGroup.Protocol = &protocol
	assignment := kmsg.NewSyncGroupRequestGroupAssignment()
	assignment.MemberID = member.MemberID
	syncGroup.GroupAssignment = append(syncGroup.GroupAssignment, assignment)
	response, err := syncGroup.RequestWith(f.t.Context(), f.client)
	require.NoError(f.t, err)
	require.NoError(f.t, kerr.ErrorForCode(response.ErrorCode))
	return func() {
		leaveGroup := kmsg.NewPtrLeaveGroupRequest()
		leaveGroup.Group = f.group
		leaveGroup.MemberID = member.MemberID
		leavingMember := kmsg.NewLeaveGroupRequestMember()
		leavingMember.MemberID = member.MemberID
		leaveGroup.Members = append(leaveGroup.Members, leavingMember)
		_, err := leaveGroup.RequestWith(f.t.Context(), f.client)
		require.NoError(f.t, err)
	}
}

// problemLines returns a line for each problem, with ! before errors, without the worker's folder.
func (f *formerGroup) problemLines(problems config.Problems) (lines []string) {
	for _, p := range problems {
		text := strings.Replace(p.String(), filepath.Dir(f.config.Files.Worker)+string(filepath.Separator), "", 1)
		if !p.Warning {
			text = "! " + text
		}
		lines = append(lines, text)
	}
	return lines
}

// connectorRecord returns the record of a connector, with additional settings, for [formerGroup.put].
func connectorRecord(name, class, settings string) string {
	return `connector-` + name + ` {"properties":{"connector.class":"` + class + `","name":"` + name +
		`","x.host":"127.0.0.1","x.port":"1"` + settings + `}}`
}

// The check shows the connectors of another program's workers, each with everything that keeps it from running, without
// secret values. It writes nothing.
func TestCheckTakeover(t *testing.T) {
	t.Parallel()
	group := newFormerGroup(t)
	group.put("configs",
		connectorRecord("orders", "test.Source", `,"x.key":"c4n4ry","x.user":"me"`),
		`task-orders-0 {"properties":{"task.class":"T"}}`, `task-orders-1 {"properties":{"task.class":"T"}}`,
		`commit-orders {"tasks":2}`, `target-state-orders {"state":"PAUSED","state.v2":"PAUSED"}`,
		connectorRecord("sink", "test.Sink", `,"topics":"in"`),
		`target-state-sink {"state":"PAUSED","state.v2":"STOPPED"}`,
		connectorRecord("foreign", "com.example.Foreign",
			`,"topics":"in","transforms":"t","transforms.t.type":"com.example.T"`),
		connectorRecord("refers", "test.Source", `,"x.key":"${vault:a:b}","x.user":"${env:HOME}"`),
		connectorRecord("broken", "test.Source", `,"value.converter":"com.example.C"`), `commit-broken {"tasks":2}`,
		connectorRecord("gone", "test.Source", ``), `connector-gone`,
		connectorRecord("own", "test.Source", `,"offsets.storage.topic":"in"`),
		`tasks-fencing-orders {"task-count":2}`, `whatever {"x":1}`)
	group.putAborted("configs", "connector-orders", `{"properties":{"connector.class":"Other"}}`)
	group.putAborted("configs", "connector-sink", `{"properties":{"connector.class":"Other"}}`)
	group.put("configs", connectorRecord("sink", "test.Sink", `,"topics":"in"`))
	group.put("offsets", `["orders",{"set":"A"}] {"at":1}`, `["orders",{"set":"B"}] {"at":1}`,
		`["orders",{"set":"A"}] {"at":2}`, `["orders",{"set":"C"}] {"at":1}`, `["orders",{"set":"C"}]`,
		`["refers",{"set":"A"}] damaged`)
	group.put("in", `["own",{"set":"A"}] {"at":1}`)
	committed := kadm.Offsets{}
	committed.AddOffset("in", 0, 1, -1)
	_, err := group.admin.CommitOffsets(t.Context(), "connect-sink", committed)
	require.NoError(t, err)
	endsBefore, err := group.admin.ListEndOffsets(t.Context())
	require.NoError(t, err)

	report, err := Check(t.Context(), group.config)
	require.NoError(t, err)
	var lines []string
	for _, c := range report.Connectors {
		lines = append(lines, fmt.Sprint(c.Name, " ", c.Class, " ", c.State, " ", c.Tasks, " ", c.Offsets))
	}
	assert.Equal(t, []string{
		"broken test.Source RUNNING 0 0",
		"foreign com.example.Foreign RUNNING 0 0",
		"orders test.Source PAUSED 2 2",
		"own test.Source RUNNING 0 1",
		"refers test.Source RUNNING 0 0",
		"sink test.Sink STOPPED 0 1",
	}, lines)
	problems := strings.Join(group.problemLines(report.Problems), "\n")
	t.Log(problems)
	assert.Contains(t, problems+"\n",
		"! configs: connector-refers: its offsets cannot be read: offset of connector refers",
		"! configs: connector-foreign: connector.class: ",
		"! configs: connector-foreign: transforms.t.type: ",
		"! configs: connector-refers: x.user: ${env:HOME}: a configuration received by REST, or in "+
			"config.storage.topic, may",
		"! configs: connector-refers: x.key: looks like a reference to an unknown config provider",
		"! configs: connector-broken: value.converter: ",
		"configs: connector-broken: warning: compaction deleted some of its tasks",
		"configs: connector-orders: x.key: warning: a secret in clear text",
	)
	assert.True(t, !strings.Contains(problems, "c4n4ry") && !strings.Contains(problems, "connector-sink") &&
		!strings.Contains(problems, "! configs: connector-orders") && strings.Count("\n"+problems, "\n! ") == 6,
		"expected six errors, none of orders or sink, and no secret, found:\n%s", problems)
	endsAfter, err := group.admin.ListEndOffsets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, endsBefore.Offsets(), endsAfter.Offsets(), "end offsets")
}

// A group is released when it has no members: all of our producers are fenced, also those of deleted connectors, no
// connector has tasks, and the topic belongs to no group. A second release writes nothing.
func TestReleaseGroup(t *testing.T) {
	t.Parallel()
	group := newFormerGroup(t, "exactly.once.source.support=enabled")
	group.put("configs",
		connectorRecord("orders", "test.Source", `,"transforms":"t","transforms.t.type":"com.example.T"`),
		`task-orders-0 {"properties":{}}`, `commit-orders {"tasks":1,"culvert":{"offset":0}}`,
		`tasks-fencing-orders {"task-count":1}`, `culvert-fencing-orders {"task-count":2,"producer-count":4}`,
		connectorRecord("java", "test.Source", ``), `tasks-fencing-java {"task-count":3}`,
		connectorRecord("none", "com.example.Foreign", ``),
		`tasks-fencing-gone {"task-count":1}`, `culvert-fencing-gone {"task-count":1,"producer-count":1}`)
	leave := group.join("connect", "culvert-1", "http://b:8083/")
	if _, err := Release(t.Context(), group.config); err == nil || !strings.Contains(err.Error(), "http://b:8083/") {
		t.Errorf("expected an error that names the live member, found %v", err)
	}
	leave()
	group.put("configs", "culvert-group-other {}")
	_, err := Release(t.Context(), group.config)
	assert.Error(t, err, "found that the topic belongs to group other")
	group.put("configs", "culvert-group-other", "culvert-group-g {}", "culvert-group-late {}")
	zombie := kafkatest.Client(t, kgo.SeedBrokers(group.fake.ListenAddrs()...), kgo.TransactionalID("g-orders-1-3"))
	require.NoError(t, zombie.BeginTransaction())
	write := func() error {
		return zombie.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte("late")}).FirstErr()
	}
	require.NoError(t, write())
	var mu sync.Mutex
	var ids []string
	kafkatest.RejectIf(group.fake, kmsg.InitProducerID, kerr.UnknownServerError, func(r kmsg.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil {
			ids = append(ids, *id)
		}
		return false
	})
	endOffset := func() int64 {
		t.Helper()
		ends, err := group.admin.ListEndOffsets(t.Context(), "configs")
		require.NoError(t, err)
		end, _ := ends.Lookup("configs", 0)
		return end.Offset
	}
	tasks := map[string]int{"orders": 1}
	// The first release writes a commit and two annotations, and the marker of their transaction; the second nothing.
	for _, recordCount := range []int64{4, 0} {
		start := endOffset()
		released, err := Release(t.Context(), group.config)
		require.NoError(t, err)
		assert.Equal(t, recordCount, endOffset()-start, "written records")
		assert.Equal(t, nil, group.problemLines(released.Problems))
		assert.Equal(t, map[string]int{"orders": 8, "java": 3, "gone": 1}, released.Fenced)
		assert.Equal(t, tasks, released.Tasks)
		tasks = map[string]int{}
		report, err := Check(t.Context(), group.config)
		require.NoError(t, err)
		for _, c := range report.Connectors {
			assert.Equal(t, 0, c.Tasks, c.Name)
		}
	}
	mu.Lock()
	slices.Sort(ids)
	assert.Equal(t, []string{"connect-cluster-g", "g-gone-0", "g-java-0", "g-java-1", "g-java-2", "g-orders-0",
		"g-orders-0-1", "g-orders-0-2", "g-orders-0-3", "g-orders-1", "g-orders-1-1", "g-orders-1-2", "g-orders-1-3"},
		slices.Compact(ids))
	mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	assert.True(t, zombie.EndTransaction(ctx, kgo.TryCommit) != nil, "expected a stalled worker to commit nothing")
}
