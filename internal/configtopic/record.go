package configtopic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/config"
)

// Record is a record of the config topic. Offset is only set if it was read.
type Record struct {
	Key    string
	Value  []byte // JSON without a schema. Nil deletes.
	Offset int64
}

// Kind is the beginning of a record's key. All but KindAnnotation are Kafka Connect's (KafkaConfigBackingStore).
type Kind string

// The kinds of records. KindUnknown is any other key.
const (
	KindTarget     Kind = "target-state-"
	KindConnector  Kind = "connector-"
	KindTask       Kind = "task-"
	KindCommit     Kind = "commit-"
	KindRestart    Kind = "restart-connector-"
	KindFencing    Kind = "tasks-fencing-"
	KindSession    Kind = "session-key"
	KindLogger     Kind = "logger-cluster-"
	KindAnnotation Kind = "culvert-"
	KindUnknown    Kind = ""
)

var topicKinds = []Kind{KindTarget, KindConnector, KindTask, KindCommit, KindRestart, KindFencing, KindSession,
	KindLogger, KindAnnotation}

// FencingAnnotation begins the keys of annotations with fencing counts; the connector follows.
const FencingAnnotation = "culvert-fencing-"

// Kind returns the kind and what follows it in the key: the name of a connector or logger.
func (r Record) Kind() (kind Kind, name string) {
	for _, kind := range topicKinds {
		if name, ok := strings.CutPrefix(r.Key, string(kind)); ok && (kind != KindSession || name == "") {
			return kind, name
		}
	}
	return KindUnknown, r.Key
}

// LeaderOnly reports whether only the leader may write the record: a late write of a former leader must fail.
func (r Record) LeaderOnly() bool {
	kind, _ := r.Kind()
	return kind != KindTarget && kind != KindRestart && kind != KindLogger && r.Key != rejoinKey
}

// RejoinAnnotation is the name of the annotation that makes members rejoin, without the kind.
const RejoinAnnotation = "rejoin"

const rejoinKey = string(KindAnnotation) + RejoinAnnotation

// RejoinRecord makes the members of a generation rejoin at once instead of with their next heartbeats.
func RejoinRecord(generation int32) Record {
	return Record{Key: rejoinKey, Value: fmt.Appendf(nil, `{"generation":%d}`, generation)}
}

const maxTopicValue = 2 << 20 // the largest size of a value in bytes: twice what brokers accept by default

// document returns a value's members, nil for a deletion. Of repeated ones the last counts. Errors quote no secrets.
func (r Record) document() (map[string]json.RawMessage, error) {
	value := bytes.TrimSpace(r.Value)
	switch {
	case r.Value == nil || string(value) == "null":
		return nil, nil
	case len(r.Value) > maxTopicValue:
		return nil, fmt.Errorf("expected at most %d bytes, found %d", maxTopicValue, len(r.Value))
	case len(value) == 0 || value[0] != '{':
		return nil, errors.New("expected a JSON object, found something else")
	case !utf8.Valid(value):
		return nil, errors.New("expected UTF-8, found other bytes")
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(value, &members); err != nil {
		return nil, errors.New("expected a JSON object, found one that is damaged or nested too deep")
	}
	return members, nil
}

var errNoValue = errors.New("expected a JSON object, found no value")

func member[T any](members map[string]json.RawMessage, name, expected string) (value T, err error) {
	raw, ok := members[name]
	switch {
	case !ok || string(raw) == "null":
		return value, fmt.Errorf("%s: expected %s, found none", name, expected)
	case json.Unmarshal(raw, &value) != nil:
		return value, fmt.Errorf("%s: expected %s, found something else", name, expected)
	}
	return value, nil
}

// settings returns the "properties", nil for a deletion. A value that is no text is an error; null means not set.
func (r Record) settings() (map[string]string, error) {
	if settings, ok := r.plainSettings(); ok {
		return settings, nil
	}
	members, err := r.document()
	if err != nil || members == nil {
		return nil, err
	}
	properties, err := member[map[string]*string](members, "properties", "an object of texts")
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string, len(properties))
	for key, value := range properties {
		if value != nil {
			settings[key] = *value
		}
	}
	return settings, nil
}

// plainSettings is settings for records without escapes, five times as fast. ok is false for other records.
func (r Record) plainSettings() (settings map[string]string, ok bool) {
	remaining, ok := strings.CutPrefix(string(r.Value), `{"properties":{"`)
	isEscaped := func(r rune) bool { return r == '\\' || r < ' ' || r == utf8.RuneError }
	if !ok || len(r.Value) > maxTopicValue || strings.ContainsFunc(remaining, isEscaped) {
		return nil, false
	}
	settings = make(map[string]string, 1+strings.Count(remaining, `","`))
	for ok {
		key, tail, _ := strings.Cut(remaining, `":"`)
		value, tail, _ := strings.Cut(tail, `"`)
		if strings.Contains(key, `"`) || tail == "" {
			return nil, false
		}
		settings[key] = value
		if tail == "}}" {
			return settings, true
		}
		remaining, ok = strings.CutPrefix(tail, `,"`)
	}
	return nil, false
}

func decodeCount(members map[string]json.RawMessage, name string) (int, error) {
	n, err := member[int32](members, name, "a number")
	if err == nil && n < 0 {
		err = fmt.Errorf("%s: expected a number of 0 or more, found %d", name, n)
	}
	return int(n), err
}

func parseTaskKey(suffix string) (connector string, task int, err error) {
	if dash := strings.LastIndexByte(suffix, '-'); dash > 0 {
		if n, err := strconv.ParseInt(suffix[dash+1:], 10, 32); err == nil && n >= 0 {
			return suffix[:dash], int(n), nil
		}
	}
	return "", 0, errors.New("expected the key task-CONNECTOR-NUMBER, found no number after the last hyphen")
}

// SessionKey signs calls between the workers of a cluster (KIP-507).
type SessionKey struct {
	Key       []byte
	Algorithm string    // Java's name, such as HmacSHA256
	Created   time.Time // by the leader's clock, in whole milliseconds
}

// IsFresh reports whether the key is younger than ttl, also if a leader's clock put it into the future.
func (k SessionKey) IsFresh(ttl time.Duration) bool { return time.Since(k.Created).Abs() < ttl }

func decodeSessionKey(members map[string]json.RawMessage) (k SessionKey, err error) {
	key, err := member[[]byte](members, "key", "bytes in base64")
	if err != nil {
		return k, err
	}
	algorithm, err := member[string](members, "algorithm", "a text")
	if err != nil {
		return k, err
	}
	created, err := member[int64](members, "creation-timestamp", "milliseconds")
	return SessionKey{key, algorithm, time.UnixMilli(created)}, err
}

const (
	// Bounds of tasks and producers, so that a damaged record does not fence millions of producers.
	maxFencedTasks     = 10_000
	maxFencedProducers = 16
)

// FencedConnector returns the connector of a record with fencing counts. ok is false for other records.
func (r Record) FencedConnector() (connector string, ok bool) {
	if kind, name := r.Kind(); kind == KindFencing {
		return name, true
	}
	return strings.CutPrefix(r.Key, FencingAnnotation)
}

func decodeFencing(members map[string]json.RawMessage) (counts config.FencingCounts, err error) {
	if counts.Tasks, err = decodeCount(members, "task-count"); err != nil {
		return counts, err
	}
	if members["producer-count"] != nil {
		counts.Producers, err = decodeCount(members, "producer-count")
	}
	if err == nil && (counts.Tasks > maxFencedTasks || counts.Producers > maxFencedProducers) {
		err = fmt.Errorf("expected at most %d tasks, and %d producers of each, found %d and %d", maxFencedTasks,
			maxFencedProducers, counts.Tasks, counts.Producers)
	}
	return counts, err
}

func encodeJSON(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

type object map[string]any

func newRecord(kind Kind, name string, value object) Record {
	r := Record{Key: string(kind) + name}
	if value != nil {
		r.Value = encodeJSON(value)
	}
	return r
}

// TargetRecord sets a target state; empty deletes it. Workers that do not know STOPPED read PAUSED.
func TargetRecord(connector, target string) Record {
	if target == "" {
		return newRecord(KindTarget, connector, nil)
	}
	oldState := target
	if target == config.TargetStopped {
		oldState = config.TargetPaused
	}
	return newRecord(KindTarget, connector, object{"state": oldState, "state.v2": target})
}

// ConnectorRecord has a connector's settings as written, references unresolved. Nil deletes it.
func ConnectorRecord(connector string, settings map[string]string) Record {
	if settings == nil {
		return newRecord(KindConnector, connector, nil)
	}
	return newRecord(KindConnector, connector, object{"properties": settings})
}

// TaskRecord has a task's settings. They take effect with the next [CommitRecord].
func TaskRecord(connector string, task int, settings map[string]string) Record {
	return newRecord(KindTask, connector+"-"+strconv.Itoa(task), object{"properties": settings})
}

// CommitRecord makes the task settings before it take effect. It has no plan, see [TaskPlanRecords].
func CommitRecord(connector string, tasks int) Record {
	return newRecord(KindCommit, connector, object{"tasks": tasks})
}

// TaskPlanRecords writes a plan. All of the records must be written, or none.
func TaskPlanRecords(connector string, plan config.TaskPlan) []Record {
	var records []Record
	for number, settings := range plan.Tasks {
		records = append(records, TaskRecord(connector, number, settings))
	}
	return append(records, newRecord(KindCommit, connector, object{"tasks": len(plan.Tasks),
		planMember: config.TaskPlan{Offset: plan.Offset, Requirements: plan.Requirements}}))
}

// RestartRecord makes all workers restart what they run of a connector.
func RestartRecord(r RestartRequest) Record {
	return newRecord(KindRestart, r.Connector, object{"include-tasks": r.IncludeTasks, "only-failed": r.OnlyFailed})
}

// LoggerRecord sets the level of a logger on all workers.
func LoggerRecord(namespace, level string) Record {
	return newRecord(KindLogger, namespace, object{"level": level})
}

// SessionKeyRecord replaces the session key.
func SessionKeyRecord(k SessionKey) Record {
	return newRecord(KindSession, "", object{"key": base64.StdEncoding.EncodeToString(k.Key), "algorithm": k.Algorithm,
		"creation-timestamp": k.Created.UnixMilli()})
}

// FencingRecords returns the record of Kafka Connect, which has no producer count, and Culvert's annotation.
func FencingRecords(connector string, c config.FencingCounts) []Record {
	annotation := Record{Key: FencingAnnotation + connector,
		Value: encodeJSON(object{"task-count": c.Tasks, "producer-count": c.Producers})}
	return []Record{newRecord(KindFencing, connector, object{"task-count": c.Tasks}), annotation}
}

// AnnotationRecord stores a value as JSON; nil deletes it. The key must begin with [KindAnnotation].
func AnnotationRecord(key string, value any) (Record, error) {
	r := Record{Key: key}
	if kind, _ := r.Kind(); kind != KindAnnotation {
		return r, fmt.Errorf("expected a key that begins with %s, found %q", KindAnnotation, key)
	}
	var err error
	if value != nil {
		r.Value, err = json.Marshal(value)
	}
	return r, err
}
