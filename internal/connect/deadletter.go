package connect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/shown"
)

const (
	kafkaHeaderPrefix   = "__connect.errors."
	culvertHeaderPrefix = "__culvert.errors."
)

// DeadLetter is a record of a dead letter topic with the contents of its headers.
type DeadLetter struct {
	Record    *kgo.Record
	Connector string // "" if the record has no headers (errors.deadletterqueue.context.headers.enable)
	DeadLetterOrigin
	DeadLetterCause
	// Original identifies the original record or row, in hexadecimal digits. "" means that this is its first letter, or
	// that an earlier version has written it: then its content identifies it.
	Original    string
	HeaderError error  // a header cannot be parsed
	Replays     int    // number of replays that failed
	Settled     *bool  // whether it was delivered or discarded; nil means unknown
	storedValue []byte // the record's value before it was edited
}

// DeadLetterOrigin identifies the record or row that failed.
type DeadLetterOrigin struct {
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
	Rows core.RowSubset
}

// DeadLetterCause is where and why a record or row failed.
type DeadLetterCause struct {
	Stage    string    // the [core.ErrorStage] in which it failed
	Setting  string    // the setting that names the class that failed
	Plugin   string    // the plugin that failed
	Version  string    // the version of the plugin
	Class    string    // the class of the exception, as in Java
	Message  string    // the message of the exception
	FailedAt time.Time // the time of the failure, or of the dead letter if no header has it
}

// ParseDeadLetter parses the headers of a record of a dead letter topic.
func ParseDeadLetter(r *kgo.Record) DeadLetter {
	deadLetter := DeadLetter{Record: r, DeadLetterOrigin: DeadLetterOrigin{Partition: -1, TargetPartition: -1},
		DeadLetterCause: DeadLetterCause{FailedAt: r.Timestamp}}
	if r.Attrs.TimestampType() != 1 { // not LogAppendTime
		deadLetter.Timestamp = r.Timestamp
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
		switch h.Key {
		case kafkaHeaderPrefix + "connector.name":
			deadLetter.Connector = content
		case kafkaHeaderPrefix + "topic":
			deadLetter.Topic = content
		case kafkaHeaderPrefix + "partition":
			deadLetter.Partition = int32(parseInt(content, 32))
		case kafkaHeaderPrefix + "offset":
			deadLetter.Offset = parseInt(content, 64)
		case kafkaHeaderPrefix + "exception.class.name":
			deadLetter.Class = content
		case kafkaHeaderPrefix + "exception.message":
			deadLetter.Message = content
		case culvertHeaderPrefix + "feed":
			deadLetter.Feed = content
		case culvertHeaderPrefix + "request":
			deadLetter.Request = content
		case culvertHeaderPrefix + "stage":
			deadLetter.Stage = content
		case culvertHeaderPrefix + "setting":
			deadLetter.Setting = content
		case culvertHeaderPrefix + "plugin.name":
			deadLetter.Plugin = content
		case culvertHeaderPrefix + "plugin.version":
			deadLetter.Version = content
		case culvertHeaderPrefix + "timestamp":
			if millis := parseInt(content, 64); millis >= 0 {
				deadLetter.Timestamp = time.UnixMilli(millis)
			}
		case culvertHeaderPrefix + "partition":
			deadLetter.TargetPartition = max(-1, int32(parseInt(content, 32)))
		case culvertHeaderPrefix + "parts":
			if deadLetter.Rows, deadLetter.HeaderError = core.ParseRowSubset(content); deadLetter.HeaderError != nil {
				deadLetter.HeaderError = fmt.Errorf("header %s: %w", h.Key, deadLetter.HeaderError)
			}
		case culvertHeaderPrefix + "time":
			if failedAt, err := time.Parse(time.RFC3339, content); err == nil {
				deadLetter.FailedAt = failedAt
			}
		case culvertHeaderPrefix + "original":
			deadLetter.Original = content
		case culvertHeaderPrefix + "replays":
			deadLetter.Replays = max(0, int(parseInt(content, 32)))
		}
	}
	return deadLetter
}

func (l *DeadLetter) originalRecord() *kgo.Record {
	return &kgo.Record{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Key: l.Record.Key,
		Value: l.Record.Value, Timestamp: cmp.Or(l.Timestamp, l.Record.Timestamp), LeaderEpoch: -1,
		Headers: slices.DeleteFunc(slices.Clone(l.Record.Headers), func(h kgo.RecordHeader) bool {
			return strings.HasPrefix(h.Key, kafkaHeaderPrefix) || strings.HasPrefix(h.Key, culvertHeaderPrefix)
		})}
}

func (l *DeadLetter) forReplay() core.DeadLetter {
	return core.DeadLetter{Record: l.originalRecord(), Position: l.position().String(),
		Original: fmt.Sprintf("%x", l.recordID()), Feed: l.Feed, Request: l.Request, IsDocument: l.isDocument()}
}

// withValue returns a copy with another value, which is of the same original.
func (l *DeadLetter) withValue(value string) *DeadLetter {
	edited := *l
	record := *l.Record
	edited.Original = fmt.Sprintf("%x", l.recordID())
	edited.storedValue = l.Record.Value
	record.Value = []byte(value)
	edited.Record = &record
	return &edited
}

// isDocument reports whether the dead letter is a whole response that could not be decoded, and not a row.
func (l *DeadLetter) isDocument() bool { return l.Stage == string(core.StageDecode) }

// DeadLetterPosition is the position of a dead letter in its topic.
type DeadLetterPosition struct {
	Partition int32
	Offset    int64
}

// String returns PARTITION@OFFSET, see [ParseDeadLetterPosition].
func (p DeadLetterPosition) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// ParseDeadLetterPosition parses PARTITION@OFFSET.
func ParseDeadLetterPosition(text string) (DeadLetterPosition, error) {
	before, after, _ := strings.Cut(text, "@")
	partition, partitionErr := strconv.ParseUint(before, 10, 31)
	offset, offsetErr := strconv.ParseUint(after, 10, 63)
	if partitionErr != nil || offsetErr != nil {
		return DeadLetterPosition{}, fmt.Errorf("expected PARTITION@OFFSET as culvert dlq list shows it, such as 0@17"+
			", found %q", shown.LineUpTo(text, 100))
	}
	return DeadLetterPosition{int32(partition), int64(offset)}, nil
}

func (l *DeadLetter) position() DeadLetterPosition {
	return DeadLetterPosition{l.Record.Partition, l.Record.Offset}
}

// DeadLetterFilter selects dead letters. The zero value selects all.
type DeadLetterFilter struct {
	Positions map[DeadLetterPosition]bool // single dead letters; nil means all
	Connector string                      // a name; empty means all connectors
	Cause     string                      // a [DeadLetter.CauseID]; empty means all
	Error     string                      // a part of the exception's class or message, in any case
	Since     time.Time                   // the earliest FailedAt; zero means no bound
	Until     time.Time                   // the first FailedAt that is not selected; zero means no bound
	// Superseded selects letters with a newer one of the same key and another value. Matches does not check it.
	Superseded bool
}

// IsZero reports whether the filter selects all dead letters of its connectors.
func (f *DeadLetterFilter) IsZero() bool {
	return f.Positions == nil && f.Cause == "" && f.Error == "" && f.Since.IsZero() && f.Until.IsZero() && !f.Superseded
}

// isInTime reports whether the filter selects letters that failed at a time.
func (f *DeadLetterFilter) isInTime(failedAt time.Time) bool {
	return !failedAt.Before(f.Since) && (f.Until.IsZero() || failedAt.Before(f.Until))
}

// SelectPositions sets Positions from texts like PARTITION@OFFSET. Nil changes nothing; an empty slice excludes all.
func (f *DeadLetterFilter) SelectPositions(positions []string) error {
	if positions != nil {
		f.Positions = map[DeadLetterPosition]bool{}
	}
	for _, text := range positions {
		position, err := ParseDeadLetterPosition(text)
		if err != nil {
			return err
		}
		f.Positions[position] = true
	}
	return nil
}

// Matches reports whether the filter selects a dead letter.
func (f *DeadLetterFilter) Matches(deadLetter *DeadLetter) bool {
	return (f.Positions == nil || f.Positions[deadLetter.position()]) &&
		(f.Connector == "" || f.Connector == deadLetter.Connector) &&
		(f.Cause == "" || f.Cause == deadLetter.CauseID()) &&
		f.matchesText(deadLetter) && f.isInTime(deadLetter.FailedAt)
}

// matchesText reports whether the filter selects the texts of a dead letter's exception.
func (f *DeadLetterFilter) matchesText(l *DeadLetter) bool {
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(f.Error)) }
	return contains(l.Class) || contains(l.Message)
}

func compareOrigins(a, b *DeadLetter) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
		cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Record.Offset, b.Record.Offset))
}
