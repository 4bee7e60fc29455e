package configtopic

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// records returns records from lines `KEY VALUE`, with offsets from 0. The value `-` is a tombstone.
func records(lines ...string) (records []Record) {
	for offset, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		r := Record{Key: key, Offset: int64(offset)}
		if value != "-" {
			r.Value = []byte(value)
		}
		records = append(records, r)
	}
	return records
}

// applyAll returns the state after these records, and the errors by key.
func applyAll(records []Record) (s *State, errs map[string]string) {
	s = NewState()
	errs = map[string]string{}
	for _, r := range records {
		if _, err := s.Apply(r); err != nil {
			errs[r.Key] = err.Error()
		}
	}
	return s, errs
}

// kafkaRecords contains records that a worker of Apache Kafka 4.3.1 wrote, and the records that we write for the same.
var kafkaRecords = []struct {
	name  string
	key   string
	value string
	ours  func() []Record
}{
	{"session key", "session-key", `{"key":"SQwWAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=","algorithm":"HmacSHA256",` +
		`"creation-timestamp":1795198231502}`, func() []Record {
		key := []byte{0x49, 0x0c, 0x16}
		for b := range byte(29) {
			key = append(key, b)
		}
		return []Record{SessionKeyRecord(SessionKey{key, "HmacSHA256", time.UnixMilli(1795198231502)})}
	}},
	{"connector", "connector-a-1",
		`{"properties":{"connector.class":"FileStreamSource","tasks.max":"2","file":"/x?a&b",` +
			`"topic":"t","name":"a-1"}}`, func() []Record {
			return []Record{ConnectorRecord("a-1", map[string]string{"name": "a-1",
				"connector.class": "FileStreamSource", "tasks.max": "2", "file": "/x?a&b", "topic": "t"})}
		}},
	{"task", "task-a-1-0", `{"properties":{"file":"${env:F}","task.class":` +
		`"org.apache.kafka.connect.file.FileStreamSourceTask"}}`, func() []Record {
		return []Record{TaskRecord("a-1", 0, map[string]string{"file": "${env:F}",
			"task.class": "org.apache.kafka.connect.file.FileStreamSourceTask"})}
	}},
	{"commit", "commit-a-1", `{"tasks":1}`, func() []Record { return []Record{CommitRecord("a-1", 1)} }},
	{"fencing", "tasks-fencing-e-1", `{"task-count":1}`, func() []Record {
		return FencingRecords("e-1", config.FencingCounts{Tasks: 1, Producers: 4})[:1]
	}},
	{"stopped", "target-state-a-2", `{"state":"PAUSED","state.v2":"STOPPED"}`, func() []Record {
		return []Record{TargetRecord("a-2", config.TargetStopped)}
	}},
	{"started", "target-state-a-2", `{"state":"STARTED","state.v2":"STARTED"}`, func() []Record {
		return []Record{TargetRecord("a-2", config.TargetStarted)}
	}},
	{"restart", "restart-connector-a-1", `{"include-tasks":true,"only-failed":false}`, func() []Record {
		return []Record{RestartRecord(RestartRequest{Connector: "a-1", IncludeTasks: true})}
	}},
	{"logger", "logger-cluster-org.apache", `{"level":"WARN"}`, func() []Record {
		return []Record{LoggerRecord("org.apache", "WARN")}
	}},
	{"deleted connector", "connector-a-1", "-", func() []Record { return []Record{ConnectorRecord("a-1", nil)} }},
	{"deleted state", "target-state-a-1", "-", func() []Record { return []Record{TargetRecord("a-1", "")} }},
}

// We write the same records as Kafka Connect, except for the order of members.
func TestRecordsMatchKafkaConnect(t *testing.T) {
	for _, c := range kafkaRecords {
		want := records(c.key + " " + c.value)[0]
		ours := c.ours()
		require.Equal(t, 1, len(ours), c.name, "record")
		got := ours[0]
		assert.Equal(t, want.Key, got.Key, c.name)
		assert.Equal(t, want.Value == nil, got.Value == nil, c.name, "is a deletion")
		if want.Value != nil {
			var wantValue, gotValue any
			require.NoError(t, json.Unmarshal(want.Value, &wantValue))
			require.NoError(t, json.Unmarshal(got.Value, &gotValue))
			assert.Equal(t, wantValue, gotValue, c.name)
		}
		kind, name := got.Kind()
		assert.Equal(t, want.Key, string(kind)+name, c.name)
		assert.Equal(t, !slices.Contains([]Kind{KindTarget, KindRestart, KindLogger}, kind), got.LeaderOnly(), c.name,
			"is written by the leader only")
	}
}

// An ambiguous key is read as by Kafka Connect.
func TestAmbiguousKeysAreReadAsByKafkaConnect(t *testing.T) {
	for key, want := range map[string][2]string{
		"connector-connector-x":    {"connector-", "connector-x"},
		"target-state-connector-x": {"target-state-", "connector-x"},
		"tasks-fencing-x":          {"tasks-fencing-", "x"},
		"task-s-1":                 {"task-", "s-1"},
		"session-key":              {"session-key", ""},
		"session-key-2":            {"", "session-key-2"},
		"culvert-plugin-x":         {"culvert-", "plugin-x"},
		"commits-x":                {"", "commits-x"},
		"":                         {"", ""},
	} {
		kind, name := Record{Key: key}.Kind()
		assert.Equal(t, want, [2]string{string(kind), name}, key)
	}
	for suffix, want := range map[string]string{
		"a-1-0":                  "a-1 0",
		"a--1":                   "a- 1",
		"a-007":                  "a 7",
		"1":                      "",
		"a-":                     "",
		"a":                      "",
		"-1":                     "",
		"a-1x":                   "",
		"a-2147483648":           "",
		"a-99999999999999999999": "",
	} {
		name, number, err := parseTaskKey(suffix)
		got := "" // an error
		if err == nil {
			got = fmt.Sprint(name, " ", number)
		}
		assert.Equal(t, want, got, suffix)
	}
}

// The state does not depend on the order of members, on white space, on unknown or duplicate members, or on whether a
// target state precedes its connector.
func TestStateOfARecordSequence(t *testing.T) {
	s, errs := applyAll(records(
		`target-state-a {"state.v2":"STOPPED", "state":"PAUSED", "more":[1]}`,
		`connector-a { "more": {"x":1}, "properties" : {"b":"1","b":"2","n":null,"u":"<&>\u00e4"} } `,
		`task-a-0 {"properties":{"t":"0"}}`,
		`task-a-1 {"properties":{"t":"1"}}`,
		`commit-a {"tasks":2}`,
		`connector-b {"properties":{}}`,
		`commit-b {"tasks":0}`,
		`connector-c {"properties":{}}`,
		`task-c-1 {"properties":{}}`,
		`commit-c {"tasks":2}`,
		`commit-d {"tasks":0}`,
		`target-state-e {"state":"PAUSED"}`,
		`target-state-f {"state":"PAUSED","state.v2":7}`,
		`target-state-g {"state":"PAUSED"}`,
		`target-state-g null`,
		`tasks-fencing-a {"task-count":3}`,
		`culvert-fencing-a {"task-count":2,"producer-count":4}`,
		`tasks-fencing-old {"task-count":2,"producer-count":4}`,
		`culvert-plugin-a {"hash":"x"}`,
		`culvert-plugin-b {"hash":"y"}`,
		`culvert-plugin-b -`,
		`session-key {"creation-timestamp":1500,"algorithm":"HmacSHA256","key":"AQI="}`,
		`something {}`,
	))
	assert.Equal(t, map[string]string{}, errs)
	snapshot := s.Snapshot()
	assert.Equal(t, map[string]string{"b": "2", "u": "<&>ä"}, s.connectors["a"].settings)
	assert.Equal(t, map[string]string{"a": config.TargetStopped, "e": config.TargetPaused, "f": config.TargetPaused},
		snapshot.Targets)
	assert.Equal(t, map[string]config.TaskConfigs{
		"a": {Version: 4, Settings: []map[string]string{{"t": "0"}, {"t": "1"}}},
		"b": {Version: 6},
	}, snapshot.Tasks)
	assert.Equal(t, map[string]bool{"c": true}, snapshot.Incomplete)
	assert.Equal(t, map[string]int64{"a": 1, "b": 5, "c": 7}, snapshot.ConfigOffsets)
	assert.Equal(t, int64(23), snapshot.Offset)
	assert.Equal(t, config.FencingCounts{Tasks: 3, Producers: 4, At: 15}, s.Fencing("a"))
	assert.Equal(t, config.FencingCounts{Tasks: 2, Producers: 4, At: 17}, s.Fencing("old"))
	assert.Equal(t, config.FencingCounts{}, s.Fencing("none"))
	assert.Equal(t, map[string]json.RawMessage{"a": json.RawMessage(`{"hash":"x"}`)}, s.Annotations("culvert-plugin-"))
	assert.Equal(t, SessionKey{[]byte{1, 2}, "HmacSHA256", time.UnixMilli(1500)}, s.session)
}

// A session key expires when it reaches its maximum age, even if the leader's clock was ahead.
func TestSessionKeyExpires(t *testing.T) {
	for age, isFresh := range map[time.Duration]bool{
		0:                 true,
		59 * time.Minute:  true,
		61 * time.Minute:  false,
		-59 * time.Minute: true,
		-61 * time.Minute: false,
		-9000 * time.Hour: false,
	} {
		assert.Equal(t, isFresh, SessionKey{Created: time.Now().Add(-age)}.IsFresh(time.Hour), age)
	}
}

// Task configs count as planned if their commit has the requirements for the connector's current settings. Tasks
// planned by a Kafka Connect worker, or of a connector that was created again, do not.
func TestTasksWithoutRequirementsAreReplanned(t *testing.T) {
	plan := config.TaskPlan{Tasks: []map[string]string{{"t": "0"}},
		Requirements: config.Requirements{Claims: []string{"x"}, Origin: "o", Requests: 2, PerSecond: 0.5}}
	log := records(`connector-a {"properties":{}}`)
	add := func(more ...Record) *config.TaskConfigs {
		t.Helper()
		for _, r := range more {
			r.Offset = int64(len(log))
			log = append(log, r)
		}
		s, errs := applyAll(log)
		assert.Equal(t, map[string]string{}, errs)
		snapshot := s.Snapshot()
		assert.Equal(t, snapshot.TaskConfigs("a"), s.TaskConfigs("a"))
		return s.TaskConfigs("a")
	}
	want := &config.TaskConfigs{Settings: plan.Tasks, Requirements: plan.Requirements, HasRequirements: true}
	checkPlan := func(when string) {
		t.Helper()
		more := TaskPlanRecords("a", plan)
		want.Version = int64(len(log) + len(more) - 1)
		assert.Equal(t, want, add(more...), "planned", when)
	}
	checkPlan("first")
	assert.Equal(t, nil, add(CommitRecord("a", 0)), "it is stopped")
	checkPlan("when it runs again")
	java := records(`connector-a {"properties":{"b":"1"}}`, `task-a-0 {"properties":{}}`, `commit-a {"tasks":1}`)
	assert.Equal(t, nil, add(java[1:]...), "a worker of Kafka Connect's has planned other tasks of the same settings")
	checkPlan("after that worker")
	assert.Equal(t, nil, add(records(`culvert-plan-a {"offset":0}`, `task-a-0 {"properties":{}}`,
		`commit-a {"tasks":1}`)...), "a record that has no meaning any more")
	assert.Equal(t, nil, add(java...), "a worker of Kafka Connect's has planned its new settings")
	paused := add(TargetRecord("a", config.TargetPaused))
	assert.Equal(t, &config.TaskConfigs{Version: int64(len(log) - 2), Settings: []map[string]string{{}}}, paused)
	assert.Equal(t, nil, add(TargetRecord("a", config.TargetStarted)))
	assert.Equal(t, nil, add(TaskPlanRecords("a", plan)...), "planned of the previous settings")
	s, _ := applyAll(log)
	plan.Offset, _ = s.ConfigOffset("a")
	checkPlan("of the new settings")
}

// Damaged records are skipped and change nothing. Errors do not contain their contents.
func TestDamagedRecords(t *testing.T) {
	validLines := []string{`connector-a {"properties":{"k":"1"}}`, `target-state-a {"state":"PAUSED"}`,
		`task-a-0 {"properties":{}}`, `commit-a {"tasks":1}`, `tasks-fencing-a {"task-count":1}`,
		`session-key {"key":"AQI=","algorithm":"HmacSHA256","creation-timestamp":1}`, `culvert-plugin-a {"v":1}`}
	for _, c := range []struct{ line, want string }{
		{`connector-a hunter2`, "found something else"},
		{`connector-a `, "found something else"},
		{`connector-a ["hunter2"]`, "found something else"},
		{`connector-a {"properties":{"k":"hunter2"}`, "damaged"},
		{`connector-a {"properties":{"k":"hunter2"}} more`, "damaged"},
		{"connector-a {\"properties\":{\"k\":\"hunter2\xff\"}}", "UTF-8"},
		{`connector-a {"Properties":{"k":"hunter2"}}`, "properties: expected an object of texts, found none"},
		{`connector-a {"properties":null}`, "found none"},
		{`connector-a {"properties":"hunter2"}`, "properties: expected an object of texts, found something else"},
		{`connector-a {"properties":{"k":4711}}`, "properties: expected an object of texts, found something else"},
		{`connector-a {"properties":{"k":{"l":"hunter2"}}}`, "found something else"},
		{`connector-a {"properties":` + strings.Repeat(`{"k":`, 20_000) + `1` + strings.Repeat(`}`, 20_001), "nested"},
		{`connector-a {"properties":{"k":"` + strings.Repeat("x", maxTopicValue) + `"}}`, "at most 2097152 bytes"},
		{`target-state-a {"state":"RUNNING"}`, "expected STARTED, PAUSED or STOPPED"},
		{`target-state-a {"state":"PAUSED","state.v2":"started"}`, "expected STARTED, PAUSED or STOPPED"},
		{`target-state-a {}`, "state: expected a text"},
		{`target-state-a "STARTED"`, "found something else"},
		{`task-a-0 -`, "no value"},
		{`task-a-x {"properties":{}}`, "no number after the last hyphen"},
		{`task-a-0 {"properties":[]}`, "something else"},
		{`task-a-0 {}`, "found none"},
		{`commit-a -`, "no value"},
		{`commit-a {"tasks":"1"}`, "tasks: expected a number"},
		{`commit-a {"tasks":1.5}`, "tasks: expected a number"},
		{`commit-a {"tasks":-1}`, "found -1"},
		{`commit-a {"tasks":4294967297}`, "expected a number"},
		{`commit-a {}`, "found none"},
		{`restart-connector-a -`, "no value"},
		{`logger-cluster-a {"level":1}`, "level: expected a text"},
		{`logger-cluster-a {}`, "level: expected a text"},
		{`tasks-fencing-a {"task-count":10001}`, "at most 10000"},
		{`tasks-fencing-a {"task-count":1,"producer-count":4000000000}`, "producer-count: expected a number"},
		{`culvert-fencing-a {"task-count":1,"producer-count":17}`, "16 producers of each, found 1 and 17"},
		{`tasks-fencing-a -`, "no value"},
		{`session-key -`, "no value"},
		{`session-key {"key":"§","algorithm":"HmacSHA256","creation-timestamp":1}`, "key: expected bytes in base64"},
		{`session-key {"key":"AQI=","creation-timestamp":1}`, "algorithm: expected a text"},
		{`session-key {"key":"AQI=","algorithm":"HmacSHA256","creation-timestamp":1.5}`, "expected milliseconds"},
		{`culvert-plugin-a 7`, "found something else"},
		{`culvert-fencing-a {"task-count":10001}`, "at most 10000"},
	} {
		log := records(append(slices.Clone(validLines), c.line)...)
		s, errs := applyAll(log[:len(validLines)])
		assert.Equal(t, map[string]string{}, errs)
		change, err := s.Apply(log[len(validLines)])
		line := c.line[:min(len(c.line), 80)]
		assert.Error(t, err, c.want, line)
		assert.Equal(t, Change{}, change, line)
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "4711")) {
			t.Errorf("%s: expected no value in an error, found %v", line, err)
		}
		want, _ := applyAll(log[:len(validLines)])
		want.next++
		if !reflect.DeepEqual(contents(want), contents(s)) {
			t.Errorf("%s: expected no change, found %+v", line, contents(s))
		}
	}
}

// Each change of the topic is reported once, with the defaults of Kafka Connect.
func TestTopicChanges(t *testing.T) {
	s := NewState()
	for _, c := range []struct {
		line string
		want Change
	}{
		{`connector-a {"properties":{}}`, Change{Kind: KindConnector, Name: "a"}},
		{`task-a-0 {"properties":{}}`, Change{Name: "a-0"}},
		{`commit-a {"tasks":1}`, Change{Kind: KindCommit, Name: "a"}},
		{`restart-connector-a {"include-tasks":true}`, Change{Kind: KindRestart, Name: "a",
			Restart: RestartRequest{Connector: "a", IncludeTasks: true}}},
		{`restart-connector-a {"include-tasks":"yes","only-failed":true}`, Change{Kind: KindRestart, Name: "a",
			Restart: RestartRequest{Connector: "a", OnlyFailed: true}}},
		{`logger-cluster-x.y {"level":"WARN"}`, Change{Kind: KindLogger, Name: "x.y", Level: "WARN"}},
		{`culvert-plugin-a {}`, Change{Kind: KindAnnotation, Name: "plugin-a"}},
		{`connector-a -`, Change{Kind: KindConnector, Name: "a"}},
		{`something {}`, Change{Name: "something"}},
	} {
		change, err := s.Apply(records(c.line)[0])
		assert.NoError(t, err)
		assert.Equal(t, c.want, change, c.line)
	}
}

// compact returns the records that Kafka's cleaner leaves: before the end offset the last record of each key, without
// expired tombstones if dropTombstones is set, and all records from there on.
func compact(log []Record, end int64, dropTombstones bool) (remaining []Record) {
	last := map[string]int64{}
	for _, r := range log {
		if r.Offset < end {
			last[r.Key] = r.Offset
		}
	}
	for _, r := range log {
		if r.Offset >= end || (last[r.Key] == r.Offset && !(dropTombstones && r.Value == nil)) {
			remaining = append(remaining, r)
		}
	}
	return remaining
}

// history returns random records of leaders that write connectors and their tasks and sometimes stop halfway.
func history(random *rand.Rand, length int) (log []Record) {
	offset := int64(0)
	set := 0
	add := func(more ...Record) {
		for _, r := range more {
			r.Offset = offset
			log = append(log, r)
			offset += 1 + random.Int64N(2) // transaction markers
		}
	}
	for len(log) < length {
		name := []string{"a", "b", "b-1"}[random.IntN(3)]
		switch random.IntN(6) {
		case 0:
			add(ConnectorRecord(name, nil), TargetRecord(name, ""))
		case 1:
			add(TargetRecord(name, config.TargetPaused))
		case 2:
			set++
			add(ConnectorRecord(name, map[string]string{"set": fmt.Sprint(set)}))
		default:
			set++
			tasks := random.IntN(4)
			for n := range tasks {
				add(TaskRecord(name, n, map[string]string{"set": fmt.Sprint(set)}))
			}
			if random.IntN(4) > 0 { // else the leader was killed
				add(CommitRecord(name, tasks))
			}
		}
	}
	return log
}

// contents returns all fields of a state except its lock.
func contents(s *State) []any {
	return []any{s.connectors, s.targets, s.pending, s.session, s.fencing, s.annotations, s.offsets, s.next}
}

// Compaction changes nothing that is known, except that the tasks of a connector may be missing, all of them at once.
// Sets of task configs are never mixed.
func TestCompactionKeepsTaskConfigsConsistent(t *testing.T) {
	incomplete := 0
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 26))
		log := history(random, 40)
		full, _ := applyAll(log)
		want := full.Snapshot()
		remaining := log
		for range random.IntN(3) + 1 {
			remaining = compact(remaining, random.Int64N(log[len(log)-1].Offset), random.IntN(2) == 0)
		}
		s, errs := applyAll(remaining)
		assert.Equal(t, map[string]string{}, errs, seed)
		got := s.Snapshot()
		assert.Equal(t, want.ConfigOffsets, got.ConfigOffsets, seed)
		assert.Equal(t, want.Targets, got.Targets, seed)
		assert.Equal(t, want.Offset, got.Offset, seed)
		for name := range want.ConfigOffsets {
			assert.Equal(t, full.connectors[name].settings, s.connectors[name].settings, "seed", seed, name)
			if got.Incomplete[name] {
				incomplete++
			}
		}
		for name, tasks := range got.Tasks {
			assert.True(t, reflect.DeepEqual(want.Tasks[name], tasks),
				"seed %d: %s: expected tasks %v or none, found %v", seed, name, want.Tasks[name], tasks)
			for _, settings := range tasks.Settings {
				assert.Equal(t, tasks.Settings[0]["set"], settings["set"], seed)
			}
		}
		require.True(t, !t.Failed(), "seed %d: %v", seed, remaining)
	}
	assert.AtLeast(t, 20, incomplete, "histories with incomplete sets")
}

// FuzzTopicState applies any records: applied records are reported as changes, and skipped records leave no trace.
func FuzzTopicState(f *testing.F) {
	for _, c := range kafkaRecords {
		f.Add(c.key, []byte(c.value))
	}
	f.Add("culvert-fencing-a", []byte(`{"task-count":1,"producer-count":2}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		log := records(`connector-a {"properties":{}}`, `task-a-0 {"properties":{}}`, `commit-a {"tasks":1}`)
		s, _ := applyAll(log)
		r := Record{Key: key, Value: value, Offset: 7}
		settings, ok := r.plainSettings()
		checkSettings(t, r, settings, ok)
		change, err := s.Apply(r)
		if err != nil {
			want, _ := applyAll(log)
			want.next = 8
			assert.True(t, change == (Change{}) && reflect.DeepEqual(contents(want), contents(s)),
				"expected no change, found %v", change)
			return
		}
		assert.Equal(t, 8, s.Snapshot().Offset, "offset")
		if kind, name := r.Kind(); kind == KindConnector && s.connectors[name] != nil {
			copied := NewState()
			_, err := copied.Apply(ConnectorRecord(name, s.connectors[name].settings))
			assert.NoError(t, err)
			assert.Equal(t, s.connectors[name].settings, copied.connectors[name].settings)
		}
	})
}

// The fast path returns the same as encoding/json, or nothing.
func TestSettingsFastPath(t *testing.T) {
	for value, isPlain := range map[string]bool{
		`{"properties":{"a":"1"}}`: true, `{"properties":{"a":"","":"ä","a":"{}[]:,"}}`: true,
		`{"properties":{"a":"1"} }`: false, `{"properties":{"a":"1"}}}`: false, `{"properties":{"a":"1",}}`: false,
		`{"properties":{"a":null}}`: false, `{"properties":{}}`: false, `{"properties":{"a":"\""}}`: false,
		`{"properties":{"a":1,"b":"2"}}`: false, `{"properties":{"a":"1"`: false,
		`{"properties":{"a":"1"},"b":"c"}}`: false,
		`{"properties":{"a"}}`:              false, "{\"properties\":{\"a\":\"\n\"}}": false,
		"{\"properties\":{\"a\":\"\xff\"}}": false,
		`{"properties":{"a":"1""b":"2"}}`:   false, `{"properties":{"a":"1","b":["x"]}}`: false,
	} {
		r := Record{Value: []byte(value)}
		settings, ok := r.plainSettings()
		assert.Equal(t, isPlain, ok, value)
		checkSettings(t, r, settings, ok)
	}
}

// checkSettings compares settings of the fast path, if ok, with those of encoding/json.
func checkSettings(t *testing.T, r Record, settings map[string]string, ok bool) {
	t.Helper()
	if !ok {
		return
	}
	var want struct{ Properties map[string]string }
	if err := json.Unmarshal(r.Value, &want); err != nil || !reflect.DeepEqual(want.Properties, settings) {
		t.Errorf("%s: expected %v (%v), found %v", r.Value, want.Properties, err, settings)
	}
}

// If several groups use a topic, it belongs to the group whose annotation is first, whatever compaction removed.
func TestTopicBelongsToFirstGroup(t *testing.T) {
	t.Parallel()
	records := []Record{GroupRecord("gone", true), ConnectorRecord("a", nil), GroupRecord("b", true),
		GroupRecord("a", true), GroupRecord("gone", false), GroupRecord("b", false), GroupRecord("b", true)}
	s := NewState()
	var owners []string // after each record
	for n, r := range records {
		r.Offset = int64(n)
		_, err := s.Apply(r)
		require.NoError(t, err)
		owners = append(owners, s.Group())
	}
	assert.Equal(t, []string{"gone", "gone", "gone", "gone", "b", "a", "a"}, owners)
	compacted := NewState()
	for _, n := range []int{3, 6} {
		records[n].Offset = int64(n)
		_, err := compacted.Apply(records[n])
		require.NoError(t, err)
	}
	assert.Equal(t, "a", compacted.Group())
	_, err := compacted.Apply(GroupRecord("", true)) // a record before any group's annotation
	require.NoError(t, err)
	assert.Equal(t, "a", compacted.Group())
}
