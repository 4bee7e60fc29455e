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

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/java"
)

// Status is the status of a connector or one of its tasks. The zero value means that there is no status.
type Status struct {
	Connector  string
	Task       int // the task's number, -1 for the connector itself
	State      connect.State
	Trace      string // the error; empty means no error. More than 64 KiB are cut when it is written.
	WorkerID   string // the advertised host:port of the worker
	Generation int32  // the group's generation in which the worker owned the resource
	Version    string // of the plugin; empty if no plugin runs
	// Extension is JSON that Kafka Connect skips, with fields of [connect.ConnectorStatus] or [connect.TaskStatus].
	Extension string
}

// isSuperseded reports whether a "safe" write of Kafka Connect must not replace another status.
func (s Status) isSuperseded(other Status) bool {
	return other != Status{} && other.WorkerID != s.WorkerID && other.Generation > s.Generation
}

// statusKey is a record's key: a connector (task -1), one of its tasks, or a topic that it uses.
type statusKey struct {
	connector string
	task      int
	topic     string
}

func (k statusKey) String() string {
	switch {
	case k.topic != "":
		return "status-topic-" + k.topic + ":connector-" + k.connector
	case k.task >= 0:
		return "status-task-" + k.connector + "-" + strconv.Itoa(k.task)
	}
	return "status-connector-" + k.connector
}

func parseStatusKey(key string) (k statusKey, err error) {
	if name, ok := strings.CutPrefix(key, "status-connector-"); ok {
		k = statusKey{connector: name, task: -1}
	} else if suffix, ok := strings.CutPrefix(key, "status-task-"); ok {
		dash := max(0, strings.LastIndexByte(suffix, '-')) // connector names may contain dashes
		n, _ := strconv.ParseInt(strings.TrimPrefix(suffix[dash:], "-"), 10, 32)
		k = statusKey{connector: suffix[:dash], task: int(n)}
	} else if suffix, ok := strings.CutPrefix(key, "status-topic-"); ok {
		k.topic, k.connector, _ = strings.Cut(suffix, ":connector-")
	}
	if k.connector == "" || k.String() != key || !utf8.ValidString(key) {
		return k, fmt.Errorf("expected a key status-connector-…, status-task-… or status-topic-…, found %.300q", key)
	}
	return k, nil
}

const (
	maxStatusBytes = 2 << 20
	maxTraceBytes  = 64 << 10 // the largest size of a trace that is written
)

// encode returns the value of the record as Kafka Connect writes it, and Extension as another member.
func (s Status) encode() []byte {
	if len(s.Trace) > maxTraceBytes {
		s.Trace = strings.ToValidUTF8(s.Trace[:maxTraceBytes], "") + "…"
	}
	encoded := java.AppendJSONString([]byte(`{"state":`), string(s.State))
	encoded = appendOrNull(append(encoded, `,"trace":`...), s.Trace)
	encoded = java.AppendJSONString(append(encoded, `,"worker_id":`...), s.WorkerID)
	encoded = strconv.AppendInt(append(encoded, `,"generation":`...), int64(s.Generation), 10)
	encoded = appendOrNull(append(encoded, `,"version":`...), s.Version)
	if s.Extension != "" {
		encoded = append(append(encoded, `,"culvert":`...), s.Extension...)
	}
	return append(encoded, '}')
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return java.AppendJSONString(dst, s)
}

func encodeTopic(k statusKey, task int, since int64) []byte {
	encoded := java.AppendJSONString([]byte(`{"topic":{"name":`), k.topic)
	encoded = java.AppendJSONString(append(encoded, `,"connector":`...), k.connector)
	encoded = strconv.AppendInt(append(encoded, `,"task":`...), int64(task), 10)
	encoded = strconv.AppendInt(append(encoded, `,"discoverTimestamp":`...), since, 10)
	return append(encoded, "}}"...)
}

var statusStates = []connect.State{connect.Unassigned, connect.Running, connect.Paused, connect.Stopped, connect.Failed,
	connect.Restarting}

func decodeStatus(k statusKey, value []byte) (Status, error) {
	var decoded struct {
		State      connect.State   `json:"state"`
		Trace      string          `json:"trace"`
		WorkerID   *string         `json:"worker_id"`
		Generation *int32          `json:"generation"`
		Version    string          `json:"version"`
		Extension  json.RawMessage `json:"culvert"`
	}
	switch err := json.Unmarshal(value, &decoded); {
	case err != nil:
		return Status{}, err
	case !slices.Contains(statusStates, decoded.State):
		return Status{}, fmt.Errorf("expected a state, found %.100q", decoded.State)
	case decoded.WorkerID == nil || decoded.Generation == nil:
		return Status{}, errors.New("expected worker_id and generation, found none")
	}
	return Status{
		Connector:  k.connector,
		Task:       k.task,
		State:      decoded.State,
		Trace:      decoded.Trace,
		WorkerID:   *decoded.WorkerID,
		Generation: *decoded.Generation,
		Version:    decoded.Version,
		Extension:  string(decoded.Extension),
	}, nil
}

// Statuses is the content of the status topic as it was read back; of each key the last record counts. A tombstone
// deletes its own key only, because a connector and its tasks may be in different partitions.
type Statuses struct {
	mu          guard.RWMutex
	byConnector map[string]map[statusKey]Status
}

// apply applies the next record of a partition. An invalid one is an error and changes nothing.
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
	if s.byConnector == nil {
		s.byConnector = map[string]map[statusKey]Status{}
	}
	statuses := s.byConnector[k.connector]
	if statuses == nil {
		statuses = map[statusKey]Status{}
		s.byConnector[k.connector] = statuses
	}
	statuses[k] = status
	if value == nil {
		delete(statuses, k)
	}
	if len(statuses) == 0 {
		delete(s.byConnector, k.connector)
	}
	return nil
}

func (s *Statuses) status(k statusKey) Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byConnector[k.connector][k]
}

func (s *Statuses) keys(connector string) []statusKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Keys(s.byConnector[connector]), func(a, b statusKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), a.task-b.task)
	})
}

// Connector returns the status of a connector itself. ok is false if it has no status.
func (s *Statuses) Connector(name string) (status Status, ok bool) {
	status = s.status(statusKey{connector: name, task: -1})
	return status, status != Status{}
}

// Tasks returns the statuses of a connector's tasks, by number.
func (s *Statuses) Tasks(name string) (tasks []Status) {
	for _, k := range s.keys(name) {
		if status := s.status(k); status.State != "" && k.task >= 0 {
			tasks = append(tasks, status)
		}
	}
	return tasks
}

// Topics returns the topics that a connector has used, sorted.
func (s *Statuses) Topics(name string) (topics []string) {
	for _, k := range s.keys(name) {
		if k.topic != "" {
			topics = append(topics, k.topic)
		}
	}
	return topics
}

// Connectors returns the names of all connectors with a status, sorted, including deleted ones.
func (s *Statuses) Connectors() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.byConnector))
}
