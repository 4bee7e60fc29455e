package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	javajson "github.com/culvert-project/culvert/wit/java/json"
)

// Status is what a worker says of a connector or of one of its tasks. The zero value is none.
type Status struct {
	Connector string
	// Task is the task's number, from 0; -1: the connector itself.
	Task  int
	State connect.State
	// Trace is why it failed, "" for nothing to say; more than 64 KiB are cut when it is written.
	Trace string
	// WorkerID is host:port of the worker that says it, as it is advertised.
	WorkerID string
	// Generation is the group's, in which the worker had the connector or task.
	Generation int32
	// Version is the plugin's; "" where none runs.
	Version string
	// Extension is JSON with what only a worker of Culvert says, as members of [connect.ConnectorStatus] or
	// [connect.TaskStatus]: in a member that Kafka Connect skips. "" means nothing.
	Extension string
}

// overtaken tells whether another worker has said something else in a newer generation: what Kafka Connect's "safe"
// writes do not overwrite (KafkaStatusBackingStore).
func (s Status) overtaken(by Status) bool {
	return by != Status{} && by.WorkerID != s.WorkerID && by.Generation > s.Generation
}

// statusKey is a record's key in the status topic: a connector or one of its tasks, or with a topic that the connector
// uses that (task is 0 then).
type statusKey struct {
	connector string
	task      int
	topic     string
}

// String is the key's text, as Kafka Connect writes it.
func (k statusKey) String() string {
	switch {
	case k.topic != "":
		return "status-topic-" + k.topic + ":connector-" + k.connector
	case k.task >= 0:
		return "status-task-" + k.connector + "-" + strconv.Itoa(k.task)
	}
	return "status-connector-" + k.connector
}

// parseStatusKey takes a key exactly as [statusKey.String] writes it.
func parseStatusKey(key string) (k statusKey, err error) {
	if name, ok := strings.CutPrefix(key, "status-connector-"); ok {
		k = statusKey{connector: name, task: -1}
	} else if rest, ok := strings.CutPrefix(key, "status-task-"); ok {
		dash := max(0, strings.LastIndexByte(rest, '-')) // names of connectors have dashes too
		n, _ := strconv.ParseInt(strings.TrimPrefix(rest[dash:], "-"), 10, 32)
		k = statusKey{connector: rest[:dash], task: int(n)}
	} else if rest, ok := strings.CutPrefix(key, "status-topic-"); ok {
		k.topic, k.connector, _ = strings.Cut(rest, ":connector-")
	}
	if k.connector == "" || k.String() != key || !utf8.ValidString(key) {
		return k, fmt.Errorf("expected a key status-connector-…, status-task-… or status-topic-…, found %.300q", key)
	}
	return k, nil
}

// Bounds of what is read and written.
const (
	// maxStatusBytes is the largest record that is looked into, key and value. Kafka's own default is 1 MB.
	maxStatusBytes = 2 << 20
	// maxTraceBytes is how much of a trace is written.
	maxTraceBytes = 64 << 10
)

// encode is the record's value, byte for byte as Kafka Connect 4.3 writes it: without a schema, its members in this
// order, what is not there as null. What is Culvert's own comes last.
func (s Status) encode() []byte {
	if len(s.Trace) > maxTraceBytes {
		s.Trace = strings.ToValidUTF8(s.Trace[:maxTraceBytes], "") + "…"
	}
	text := javajson.AppendString([]byte(`{"state":`), string(s.State))
	text = appendOrNull(append(text, `,"trace":`...), s.Trace)
	text = javajson.AppendString(append(text, `,"worker_id":`...), s.WorkerID)
	text = strconv.AppendInt(append(text, `,"generation":`...), int64(s.Generation), 10)
	text = appendOrNull(append(text, `,"version":`...), s.Version)
	if s.Extension != "" {
		text = append(append(text, `,"culvert":`...), s.Extension...)
	}
	return append(text, '}')
}

func appendOrNull(text []byte, s string) []byte {
	if s == "" {
		return append(text, "null"...)
	}
	return javajson.AppendString(text, s)
}

// encodeTopic is the value of the record that says that a task uses a topic, since a time in milliseconds.
func encodeTopic(k statusKey, task int, since int64) []byte {
	text := javajson.AppendString([]byte(`{"topic":{"name":`), k.topic)
	text = javajson.AppendString(append(text, `,"connector":`...), k.connector)
	text = strconv.AppendInt(append(text, `,"task":`...), int64(task), 10)
	text = strconv.AppendInt(append(text, `,"discoverTimestamp":`...), since, 10)
	return append(text, "}}"...)
}

var statusStates = []connect.State{connect.Unassigned, connect.Running, connect.Paused, connect.Stopped, connect.Failed,
	connect.Restarting}

// decodeStatus reads a value by structure. Workers before Kafka 4.1 write no version.
func decodeStatus(k statusKey, value []byte) (Status, error) {
	var v struct {
		State      connect.State   `json:"state"`
		Trace      string          `json:"trace"`
		WorkerID   *string         `json:"worker_id"`
		Generation *int32          `json:"generation"`
		Version    string          `json:"version"`
		Own        json.RawMessage `json:"culvert"`
	}
	switch err := json.Unmarshal(value, &v); {
	case err != nil:
		return Status{}, err
	case !slices.Contains(statusStates, v.State):
		return Status{}, fmt.Errorf("expected a state, found %.100q", v.State)
	case v.WorkerID == nil || v.Generation == nil:
		return Status{}, errors.New("expected worker_id and generation, found none")
	}
	return Status{k.connector, k.task, v.State, v.Trace, *v.WorkerID, *v.Generation, v.Version, string(v.Own)}, nil
}

// Statuses is what the status topic says, record by record: a state is there when it was read back, as in Kafka
// Connect. The zero value is an empty topic's.
//
// Of each key the last record counts. A connector that nothing is said of is not in the map. Tombstones take away their
// own key only: those of a connector and of its tasks lie in different partitions, and whoever deletes a connector
// writes all of them.
type Statuses struct {
	mu guard.RWMutex
	// said is by connector and key; that of a topic has no more than the connector's name.
	said map[string]map[statusKey]Status
}

// apply takes a record; a nil value is a tombstone. Other keys than the status topic's, and statuses that are damaged,
// change nothing and are an error.
func (s *Statuses) apply(key, value []byte) error {
	if len(key)+len(value) > maxStatusBytes {
		return fmt.Errorf("expected a record of at most %d bytes, found %d", maxStatusBytes, len(key)+len(value))
	}
	k, err := parseStatusKey(string(key))
	if err != nil {
		return err
	}
	status := Status{Connector: k.connector}
	if value != nil && k.topic == "" {
		if status, err = decodeStatus(k, value); err != nil {
			return fmt.Errorf("value of %s: %w", k, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		s.said = map[string]map[statusKey]Status{}
	}
	of := s.said[k.connector]
	if of == nil {
		of = map[statusKey]Status{}
		s.said[k.connector] = of
	}
	if of[k] = status; value == nil {
		delete(of, k)
	}
	if len(of) == 0 {
		delete(s.said, k.connector)
	}
	return nil
}

// unit is what is said of a key, zero if nothing is.
func (s *Statuses) unit(k statusKey) Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.said[k.connector][k]
}

// keys are those of a connector that have a record: itself, tasks by number, topics by name.
func (s *Statuses) keys(connector string) []statusKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Keys(s.said[connector]), func(a, b statusKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), a.task-b.task)
	})
}

// Connector is the status of a connector itself; false: there is none.
func (s *Statuses) Connector(name string) (Status, bool) {
	status := s.unit(statusKey{connector: name, task: -1})
	return status, status != Status{}
}

// Tasks are the statuses of a connector's tasks, by number.
func (s *Statuses) Tasks(name string) (tasks []Status) {
	for _, k := range s.keys(name) {
		if status := s.unit(k); status.State != "" && k.task >= 0 {
			tasks = append(tasks, status)
		}
	}
	return tasks
}

// Topics are the topics that a connector uses, sorted.
func (s *Statuses) Topics(name string) (topics []string) {
	for _, k := range s.keys(name) {
		if k.topic != "" {
			topics = append(topics, k.topic)
		}
	}
	return topics
}

// Connectors are the names of all connectors that something is said of, sorted: the leader looks among them for those
// that were deleted, and for what workers that are gone have said last.
func (s *Statuses) Connectors() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.said))
}
