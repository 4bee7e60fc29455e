package deadletters

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/shown"
)

const (
	kafkaHeaderPrefix   = "__connect.errors."
	culvertHeaderPrefix = "__culvert.errors."
	unknownHeader       = culvertHeaderPrefix + "…" // stands for headers that only other versions know
)

// Letter is a record of a dead letter topic with the contents of its headers.
type Letter struct {
	Record    *kgo.Record
	Connector string // "" if the record has no headers (errors.deadletterqueue.context.headers.enable)
	Origin
	Cause
	// Original identifies the original record or row, in hexadecimal digits. "" means that this is its first letter.
	Original string
	// UnreadableHeader is the name of a header of this program that cannot be read, or unknownHeader. "" means none.
	UnreadableHeader string
	Replays          int    // number of replays that failed
	storedValue      []byte // the record's value before it was edited
}

// Origin identifies the record or row that failed.
type Origin struct {
	// A source's row has the Partition -1, and as Offset its index in the response to Request.
	Topic     string
	Partition int32
	Offset    int64
	Feed      string
	Request   string
	// Timestamp is the record's or row's. Zero means unknown; a broker may have replaced it (LogAppendTime).
	Timestamp       time.Time
	TargetPartition int32 // the partition that a source's plugin chose, -1 for no choice
	// Rows selects the rows that failed among those that the transforms created from the record.
	Rows task.RowSubset
}

// Cause is where and why a record or row failed.
type Cause struct {
	Stage    string    // the [task.ErrorStage] in which it failed
	Setting  string    // the setting that names the class that failed
	Plugin   string    // the plugin that failed
	Version  string    // the version of the plugin
	Class    string    // the class of the exception, as in Java
	Message  string    // the message of the exception
	FailedAt time.Time // the time of the failure, or of the dead letter if no header has it
}

// Parse parses the headers of a record of a dead letter topic. redact removes secrets from the class and the message,
// from which the cause is derived; nil removes nothing.
func Parse(r *kgo.Record, redact func(string) string) Letter {
	letter := Letter{Record: r, Origin: Origin{Partition: -1, TargetPartition: -1}, Cause: Cause{FailedAt: r.Timestamp}}
	if r.Attrs.TimestampType() != 1 { // not LogAppendTime
		letter.Timestamp = r.Timestamp
	}
	parseInt := func(digits string, bits int) int64 { // -1 if digits are invalid
		n, err := strconv.ParseInt(digits, 10, bits)
		if err != nil {
			return -1
		}
		return n
	}
	for _, h := range r.Headers {
		content := string(h.Value)
		isReadable := true
		switch h.Key {
		case kafkaHeaderPrefix + "connector.name":
			letter.Connector = content
		case kafkaHeaderPrefix + "topic":
			letter.Topic = content
		case kafkaHeaderPrefix + "partition":
			letter.Partition = int32(parseInt(content, 32))
		case kafkaHeaderPrefix + "offset":
			letter.Offset = parseInt(content, 64)
		case kafkaHeaderPrefix + "exception.class.name":
			letter.Class = content
		case kafkaHeaderPrefix + "exception.message":
			letter.Message = content
		case culvertHeaderPrefix + "feed":
			letter.Feed = content
		case culvertHeaderPrefix + "request":
			letter.Request = content
		case culvertHeaderPrefix + "stage":
			letter.Stage = content
		case culvertHeaderPrefix + "setting":
			letter.Setting = content
		case culvertHeaderPrefix + "plugin.name":
			letter.Plugin = content
		case culvertHeaderPrefix + "plugin.version":
			letter.Version = content
		case culvertHeaderPrefix + "timestamp":
			millis := parseInt(content, 64)
			if isReadable = millis >= 0; isReadable {
				letter.Timestamp = time.UnixMilli(millis)
			}
		case culvertHeaderPrefix + "partition":
			letter.TargetPartition = max(-1, int32(parseInt(content, 32)))
			isReadable = letter.TargetPartition >= 0
		case culvertHeaderPrefix + "parts":
			var err error
			letter.Rows, err = task.ParseRowSubset(content)
			isReadable = err == nil
		case culvertHeaderPrefix + "time":
			failedAt, err := time.Parse(time.RFC3339, content)
			if isReadable = err == nil; isReadable {
				letter.FailedAt = failedAt
			}
		case culvertHeaderPrefix + "original":
			letter.Original = content
			isReadable = len(content) == hex.EncodedLen(len(recordID{}))
		case culvertHeaderPrefix + "replays":
			letter.Replays = max(0, int(parseInt(content, 32)))
			isReadable = content == strconv.Itoa(letter.Replays)
		case culvertHeaderPrefix + "plugin.hash", culvertHeaderPrefix + "service.code",
			culvertHeaderPrefix + "service.message":
			// only for people
		default:
			if strings.HasPrefix(h.Key, culvertHeaderPrefix) {
				letter.UnreadableHeader = unknownHeader
			}
		}
		if !isReadable {
			letter.UnreadableHeader = h.Key
		}
	}
	if redact != nil {
		letter.Class = redact(letter.Class)
		letter.Message = redact(letter.Message)
	}
	return letter
}

// forReplay returns the letter in the form that tasks replay, without what its other attempts decide.
func (l *Letter) forReplay() task.DeadLetter {
	original := &kgo.Record{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Key: l.Record.Key,
		Value: l.Record.Value, Timestamp: cmp.Or(l.Timestamp, l.Record.Timestamp), LeaderEpoch: -1,
		Headers: slices.DeleteFunc(slices.Clone(l.Record.Headers), func(h kgo.RecordHeader) bool {
			return strings.HasPrefix(h.Key, kafkaHeaderPrefix) || strings.HasPrefix(h.Key, culvertHeaderPrefix)
		})}
	return task.DeadLetter{Record: original, Position: l.position().String(), Original: fmt.Sprintf("%x", l.recordID()),
		Feed: l.Feed, Request: l.Request, IsDocument: l.Stage == string(task.StageDecode)}
}

// withValue returns a copy with another value, which is of the same original.
func (l *Letter) withValue(value string) *Letter {
	edited := *l
	record := *l.Record
	edited.Original = fmt.Sprintf("%x", l.recordID())
	edited.storedValue = l.Record.Value
	record.Value = []byte(value)
	edited.Record = &record
	return &edited
}

// Position is the position of a dead letter in its topic.
type Position struct {
	Partition int32
	Offset    int64
}

// String returns PARTITION@OFFSET, see [ParsePosition].
func (p Position) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// ParsePosition parses PARTITION@OFFSET.
func ParsePosition(text string) (Position, error) {
	before, after, _ := strings.Cut(text, "@")
	partition, partitionErr := strconv.ParseUint(before, 10, 31)
	offset, offsetErr := strconv.ParseUint(after, 10, 63)
	if partitionErr != nil || offsetErr != nil {
		return Position{}, fmt.Errorf("expected PARTITION@OFFSET as culvert dlq list shows it, such as 0@17"+
			", found %q", shown.LineUpTo(text, 100))
	}
	return Position{int32(partition), int64(offset)}, nil
}

func comparePositions(a, b Position) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

func (l *Letter) position() Position { return Position{l.Record.Partition, l.Record.Offset} }

// recordID identifies a record by position and content: a recreated topic has other records in the same positions.
type recordID [16]byte

func newRecordID(topic string, partition int32, offset int64, timestamp time.Time, key, value []byte) (id recordID) {
	h := sha256.New()
	position := binary.LittleEndian.AppendUint32(nil, uint32(partition))
	position = binary.LittleEndian.AppendUint64(position, uint64(offset))
	if !timestamp.IsZero() {
		position = binary.LittleEndian.AppendUint64(position, uint64(timestamp.UnixMilli()))
	}
	for _, part := range [][]byte{[]byte(topic), position, key, value} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// recordID identifies the original record or row. A row of a source with a key is the same row each time that it is
// read, until it has another value.
func (l *Letter) recordID() (id recordID) {
	r := l.Record
	original, err := hex.DecodeString(l.Original)
	switch {
	case err == nil && len(original) == len(id):
		return recordID(original)
	case l.Connector == "": // without headers, which nobody can replay
		return newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value)
	case l.isRow() && r.Key != nil:
		return newRowRecord(l.Feed, r.Key, r.Value).content
	case l.isRow() && l.Timestamp.IsZero() && l.Replays == 0:
		// Only the position of the dead letter distinguishes rows without key and time.
		return newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value)
	}
	return newRecordID(l.Topic, l.Partition, l.Offset, l.Timestamp, r.Key, r.Value)
}

// isRow reports whether the letter is of a source.
func (l *Letter) isRow() bool { return l.Partition < 0 }

// keyID identifies the key of the original record or row, which letters with other values share. Zero means no key.
func (l *Letter) keyID() originalID {
	switch {
	case l.Record.Key == nil, l.Connector == "":
		return 0
	case l.isRow():
		return newRowRecord(l.Feed, l.Record.Key, l.Record.Value).key.original()
	}
	return newKeyID(l.Topic, l.Partition, l.Record.Key).original()
}

// original returns the identifier in an index.
func (r recordID) original() originalID { return originalID(binary.LittleEndian.Uint64(r[:])) }

// newKeyID identifies a record key in a partition.
func newKeyID(topic string, partition int32, key []byte) recordID {
	return newRecordID(topic, partition, -1, time.Time{}, key, nil)
}
