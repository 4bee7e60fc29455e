package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Record is a record of the topic of configurations, which the workers of a cluster share.
type Record struct {
	Key string
	// Value is JSON without a schema; nil deletes.
	Value []byte
	// Offset is where it was read; of no meaning in one that is to be written.
	Offset int64
}

// Kind is what a record is about: its key, or what the key begins with. All but KindOurs are Kafka Connect's own
// (KafkaConfigBackingStore).
type Kind string

// The kinds of records.
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
	// KindUnknown is a key that neither Kafka Connect nor this program knows.
	KindUnknown Kind = ""
)

// topicKinds are in the order in which Kafka Connect tests keys.
var topicKinds = []Kind{KindTarget, KindConnector, KindTask, KindCommit, KindRestart, KindFencing, KindSession,
	KindLogger, KindAnnotation}

// FencingAnnotation is what the keys of our own counts of producers begin with.
const FencingAnnotation = "culvert-fencing-"

// Kind is the kind of a record, with what follows it in the key: the name of a connector, or of a logger.
func (r Record) Kind() (kind Kind, name string) {
	for _, kind := range topicKinds {
		if name, ok := strings.CutPrefix(r.Key, string(kind)); ok && (kind != KindSession || name == "") {
			return kind, name
		}
	}
	return KindUnknown, r.Key
}

// LeaderOnly tells whether the leader alone may write such a record. Others are written by any worker: what was wanted
// last counts, whoever took the request.
func (r Record) LeaderOnly() bool {
	kind, _ := r.Kind()
	return kind != KindTarget && kind != KindRestart && kind != KindLogger && r.Key != rejoinKey
}

// RejoinAnnotation is the name of a note that has all members join their group again: the rest of its key.
const RejoinAnnotation = "rejoin"

const rejoinKey = string(KindAnnotation) + RejoinAnnotation

// RejoinRecord has the members of a generation of the group join it again at once, any of them may write it. Kafka's
// protocol tells them with their next heartbeats.
func RejoinRecord(generation int32) Record {
	return Record{Key: rejoinKey, Value: fmt.Appendf(nil, `{"generation":%d}`, generation)}
}

// maxTopicValue is how long a record's value may be, in bytes: twice what brokers take by default.
const maxTopicValue = 2 << 20

// document is the value of a record: an object's members as they stand, the last one of each name, as Jackson reads
// them. nil is no value, or null. Errors quote nothing: values hold secrets.
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

// member reads a member, which has to be there.
func member[T any](members map[string]json.RawMessage, name, expected string) (value T, err error) {
	raw, there := members[name]
	switch {
	case !there || string(raw) == "null":
		return value, fmt.Errorf("%s: expected %s, found none", name, expected)
	case json.Unmarshal(raw, &value) != nil:
		return value, fmt.Errorf("%s: expected %s, found something else", name, expected)
	}
	return value, nil
}

// settings are those of a connector or task, nil where the record deletes. Kafka Connect takes any value and fails with
// a ClassCastException where it uses one that is no text; here the record is damaged. What is null is not given.
func (r Record) settings() (map[string]string, error) {
	if settings, ok := r.plainSettings(); ok {
		return settings, nil
	}
	members, err := r.document()
	if err != nil || members == nil {
		return nil, err
	}
	given, err := member[map[string]*string](members, "properties", "an object of texts")
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string, len(given))
	for key, value := range given {
		if value != nil {
			settings[key] = *value
		}
	}
	return settings, nil
}

// plainSettings is settings for records as Kafka Connect and we write them, in which nothing is escaped. It reads five
// times as fast, and worker starts read every record. !ok: the record is another, or damaged.
func (r Record) plainSettings() (settings map[string]string, ok bool) {
	text, ok := strings.CutPrefix(string(r.Value), `{"properties":{"`)
	escaped := func(r rune) bool { return r == '\\' || r < ' ' || r == utf8.RuneError }
	if !ok || len(r.Value) > maxTopicValue || strings.ContainsFunc(text, escaped) {
		return nil, false
	}
	settings = make(map[string]string, 1+strings.Count(text, `","`))
	for ok {
		key, rest, _ := strings.Cut(text, `":"`)
		value, rest, _ := strings.Cut(rest, `"`)
		if strings.Contains(key, `"`) || rest == "" {
			return nil, false
		}
		settings[key] = value
		if rest == "}}" {
			return settings, true
		}
		text, ok = strings.CutPrefix(rest, `,"`)
	}
	return nil, false
}

// count is a number of 0 or more.
func count(members map[string]json.RawMessage, name string) (int, error) {
	n, err := member[int32](members, name, "a number")
	if err == nil && n < 0 {
		err = fmt.Errorf("%s: expected a number of 0 or more, found %d", name, n)
	}
	return int(n), err
}

// taskOf is the connector and the number in the rest of a task's key: the number is after the last hyphen.
func taskOf(rest string) (connector string, task int, err error) {
	at := strings.LastIndexByte(rest, '-')
	if at > 0 {
		n, err := strconv.ParseInt(rest[at+1:], 10, 32)
		if err == nil && n >= 0 {
			return rest[:at], int(n), nil
		}
	}
	return "", 0, errors.New("expected the key task-CONNECTOR-NUMBER, found no number after the last hyphen")
}

// targetOf is the target state that a record says. state.v2, which is newer, counts before state (KIP-875).
func targetOf(members map[string]json.RawMessage) (string, error) {
	target, err := member[string](members, "state.v2", "a text")
	if err != nil {
		target, err = member[string](members, "state", "a text")
	}
	if err == nil && !slices.Contains([]string{TargetStarted, TargetPaused, TargetStopped}, target) {
		err = fmt.Errorf("state: expected %s, %s or %s, found something else", TargetStarted, TargetPaused,
			TargetStopped)
	}
	return target, err
}

// SessionKey signs what workers of a cluster ask of each other (KIP-507).
type SessionKey struct {
	Key []byte
	// Algorithm is Java's name, such as HmacSHA256.
	Algorithm string
	// Created is by the leader's clock, in whole milliseconds.
	Created time.Time
}

// IsFresh tells whether the key is used for so long. Clocks of leaders differ: one that was made in the future would
// otherwise last until then, whatever another leader's inter.worker.key.ttl.ms says.
func (k SessionKey) IsFresh(ttl time.Duration) bool { return time.Since(k.Created).Abs() < ttl }

func sessionKeyOf(members map[string]json.RawMessage) (k SessionKey, err error) {
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

// FencingCounts are how many tasks a connector had, and how many transactional producers each of them at most, when its
// producers were fenced last. A record of Kafka Connect's does not say how many: 0, which stands for one.
type FencingCounts struct {
	Tasks, Producers int
	// At is the offset of the last record that says so: tasks of an older version were fenced before they began. Of no
	// meaning in counts that are to be written.
	At int64
}

// Bounds, so that a strange record does not have millions of producers fenced: of tasks, as many as a connector may
// have, and of the producers of each, four times as many as there are.
const (
	maxFencedTasks     = 10_000
	maxFencedProducers = 16
)

// Max are the larger ones of both, as of the record of c.
func (c FencingCounts) Max(other FencingCounts) FencingCounts {
	return FencingCounts{max(c.Tasks, other.Tasks), max(c.Producers, other.Producers), c.At}
}

// FencedConnector is the connector whose counts a record says; ok is false of other records.
func (r Record) FencedConnector() (connector string, ok bool) {
	if kind, name := r.Kind(); kind == KindFencing {
		return name, true
	}
	return strings.CutPrefix(r.Key, FencingAnnotation)
}

func fencingOf(members map[string]json.RawMessage) (c FencingCounts, err error) {
	if c.Tasks, err = count(members, "task-count"); err != nil {
		return c, err
	}
	if members["producer-count"] != nil {
		c.Producers, err = count(members, "producer-count")
	}
	if err == nil && (c.Tasks > maxFencedTasks || c.Producers > maxFencedProducers) {
		err = fmt.Errorf("expected at most %d tasks, and %d producers of each, found %d and %d", maxFencedTasks,
			maxFencedProducers, c.Tasks, c.Producers)
	}
	return c, err
}

// encoded is a value as it is written. Marshalling texts, numbers and what was JSON before cannot fail.
func encoded(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

type object map[string]any

func keyed(kind Kind, name string, value object) Record {
	r := Record{Key: string(kind) + name}
	if value != nil {
		r.Value = encoded(value)
	}
	return r
}

// TargetRecord is the state that a connector is to have, by [TargetStarted] and its like; "" deletes it. Workers that
// know no STOPPED read PAUSED.
func TargetRecord(connector, target string) Record {
	if target == "" {
		return keyed(KindTarget, connector, nil)
	}
	before := target
	if target == TargetStopped {
		before = TargetPaused
	}
	return keyed(KindTarget, connector, object{"state": before, "state.v2": target})
}

// ConnectorRecord is a connector's settings as they were written, references and all; nil deletes it.
func ConnectorRecord(connector string, settings map[string]string) Record {
	if settings == nil {
		return keyed(KindConnector, connector, nil)
	}
	return keyed(KindConnector, connector, object{"properties": settings})
}

// TaskRecord is a task's settings as they were written, which count from the next [CommitRecord] on.
func TaskRecord(connector string, task int, settings map[string]string) Record {
	return keyed(KindTask, connector+"-"+strconv.Itoa(task), object{"properties": settings})
}

// CommitRecord has the tasks of a connector count that were written before it.
func CommitRecord(connector string, tasks int) Record {
	return keyed(KindCommit, connector, object{"tasks": tasks})
}

// Records have a connector have a layout, where all of them are written, or none.
func (l TaskPlan) Records(connector string) []Record {
	var records []Record
	for number, settings := range l.Tasks {
		records = append(records, TaskRecord(connector, number, settings))
	}
	return append(records, keyed(KindCommit, connector, object{"tasks": len(l.Tasks),
		commitNote: TaskPlan{Offset: l.Offset, Requirements: l.Requirements}}))
}

// RestartRecord asks the workers that run to restart a connector.
func RestartRecord(r RestartRequest) Record {
	return keyed(KindRestart, r.Connector, object{"include-tasks": r.IncludeTasks, "only-failed": r.OnlyFailed})
}

// LoggerRecord sets the level of a logger on the workers that run, by Kafka Connect's name of the level.
func LoggerRecord(namespace, level string) Record {
	return keyed(KindLogger, namespace, object{"level": level})
}

// SessionKeyRecord is a new key for all workers.
func SessionKeyRecord(k SessionKey) Record {
	return keyed(KindSession, "", object{"key": base64.StdEncoding.EncodeToString(k.Key), "algorithm": k.Algorithm,
		"creation-timestamp": k.Created.UnixMilli()})
}

// FencingRecords are the counts for Kafka Connect, which knows tasks alone, and for us.
func FencingRecords(connector string, c FencingCounts) []Record {
	ours := Record{Key: FencingAnnotation + connector,
		Value: encoded(object{"task-count": c.Tasks, "producer-count": c.Producers})}
	return []Record{keyed(KindFencing, connector, object{"task-count": c.Tasks}), ours}
}

// AnnotationRecord is a record of ours, whose key begins with `culvert-`; a nil value deletes it. The value is any that
// encoding/json can write.
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
