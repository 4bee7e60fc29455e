package connect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/shown"
)

// Prefixes of the headers of dead letters: Kafka Connect's (KIP-298) and Culvert's own.
const (
	letterHeader    = "__connect.errors."
	ownLetterHeader = "__culvert.errors."
)

// DeadLetter is a record of a topic of dead letters, with what its headers say.
type DeadLetter struct {
	Record *kgo.Record
	// Connector is "" where the letter has no headers (errors.deadletterqueue.context.headers.enable).
	Connector string
	// Topic, Partition and Offset are those of a sink's record; of a source's row: its topic, -1, and its number in the
	// answer to Request. Feed is the source's.
	Topic         string
	Partition     int32
	Offset        int64
	Feed, Request string
	// Timestamp is that of the record or row, which the letter's own may not be (message.timestamp.type=LogAppendTime);
	// zero: none is known.
	Timestamp time.Time
	// TargetPartition is that which a source's plugin wanted the row in, -1 for none.
	TargetPartition int32
	// Parts are those of the rows that the transforms made of it which the letter is about. Fault is why its headers
	// cannot be read.
	Rows        core.RowSubset
	HeaderError error
	// Stage is where it failed; Setting names what was at work there, Plugin and Version whose it was.
	Stage, Setting, Plugin, Version string
	// Class and Message are of the exception.
	Class, Message string
	// FailedAt is when that was, by the letter's time where no header says.
	FailedAt time.Time
	// Replays is how often the record was replayed before the letter was written.
	Replays int
	// Replayed: the letter was, or another one of its record stood for it; nil: nobody has looked.
	Replayed *bool
}

// ParseDeadLetter reads a record of a topic of dead letters.
func ParseDeadLetter(r *kgo.Record) DeadLetter {
	l := DeadLetter{Record: r, Partition: -1, TargetPartition: -1, FailedAt: r.Timestamp}
	if !byBroker(r) {
		l.Timestamp = r.Timestamp
	}
	number := func(text string, bits int) int64 {
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return -1
		}
		return n
	}
	for _, h := range r.Headers {
		text := string(h.Value)
		switch h.Key {
		case letterHeader + "connector.name":
			l.Connector = text
		case letterHeader + "topic":
			l.Topic = text
		case letterHeader + "partition":
			l.Partition = int32(number(text, 32))
		case letterHeader + "offset":
			l.Offset = number(text, 64)
		case letterHeader + "exception.class.name":
			l.Class = text
		case letterHeader + "exception.message":
			l.Message = text
		case ownLetterHeader + "feed":
			l.Feed = text
		case ownLetterHeader + "request":
			l.Request = text
		case ownLetterHeader + "stage":
			l.Stage = text
		case ownLetterHeader + "setting":
			l.Setting = text
		case ownLetterHeader + "plugin.name":
			l.Plugin = text
		case ownLetterHeader + "plugin.version":
			l.Version = text
		case ownLetterHeader + "timestamp":
			if at := number(text, 64); at >= 0 {
				l.Timestamp = time.UnixMilli(at)
			}
		case ownLetterHeader + "partition":
			l.TargetPartition = max(-1, int32(number(text, 32)))
		case ownLetterHeader + "parts":
			if l.Rows, l.HeaderError = core.ParseRowSubset(text); l.HeaderError != nil {
				l.HeaderError = fmt.Errorf("header %s: %w", h.Key, l.HeaderError)
			}
		case ownLetterHeader + "time":
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				l.FailedAt = at
			}
		case ownLetterHeader + "replays":
			l.Replays = max(0, int(number(text, 32)))
		}
	}
	return l
}

// byBroker tells whether the timestamp of a record is when a broker got it.
func byBroker(r *kgo.Record) bool { return r.Attrs.TimestampType() == 1 }

// original is the record of a sink as it was read first: without what is said of its failure.
func (l *DeadLetter) original() *kgo.Record {
	return &kgo.Record{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Key: l.Record.Key,
		Value: l.Record.Value, Timestamp: cmp.Or(l.Timestamp, l.Record.Timestamp), LeaderEpoch: -1,
		Headers: slices.DeleteFunc(slices.Clone(l.Record.Headers), func(h kgo.RecordHeader) bool {
			return strings.HasPrefix(h.Key, letterHeader) || strings.HasPrefix(h.Key, ownLetterHeader)
		})}
}

// replayed converts the letter for the task of a source, or of a sink, that replays it.
func (l *DeadLetter) replayed(source bool) core.DeadLetter {
	r := core.DeadLetter{Record: l.original(), Position: l.place().String(), Rows: l.Rows, Replays: l.Replays + 1,
		Feed: l.Feed, Request: l.Request, IsDocument: l.document()}
	if source {
		r.Record.Partition = l.TargetPartition
	}
	return r
}

// document tells whether the letter is a row as the service sent it.
func (l *DeadLetter) document() bool { return l.Stage == string(core.StageDecode) }

// DeadLetterPosition is where a dead letter stands in its topic.
type DeadLetterPosition struct {
	Partition int32
	Offset    int64
}

// String is PARTITION@OFFSET, which [ParseDeadLetterPosition] reads.
func (p DeadLetterPosition) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// ParseDeadLetterPosition reads PARTITION@OFFSET.
func ParseDeadLetterPosition(text string) (DeadLetterPosition, error) {
	p, o, _ := strings.Cut(text, "@")
	partition, err1 := strconv.ParseUint(p, 10, 31)
	offset, err2 := strconv.ParseUint(o, 10, 63)
	if err1 != nil || err2 != nil {
		return DeadLetterPosition{}, fmt.Errorf(
			"expected PARTITION@OFFSET as culvert dlq list has it, such as 0@17, found %q",
			shown.Within(text, 100))
	}
	return DeadLetterPosition{int32(partition), int64(offset)}, nil
}

func (l *DeadLetter) place() DeadLetterPosition {
	return DeadLetterPosition{l.Record.Partition, l.Record.Offset}
}

// DeadLetterFilter chooses dead letters; the zero value takes all.
type DeadLetterFilter struct {
	// Positions are where they stand; nil: anywhere.
	Positions map[DeadLetterPosition]bool
	// Connector is the name of one; Error is a part of the exception's class or message, in any case.
	Connector, Error string
	// Since and Until bound when they failed; zero: no bound.
	Since, Until time.Time
}

// SelectPositions has the filter take those letters alone that stand at places, each as PARTITION@OFFSET: none where no
// place is given, and any where places are nil.
func (f *DeadLetterFilter) SelectPositions(places []string) error {
	if places != nil {
		f.Positions = map[DeadLetterPosition]bool{}
	}
	for _, text := range places {
		at, err := ParseDeadLetterPosition(text)
		if err != nil {
			return err
		}
		f.Positions[at] = true
	}
	return nil
}

// Matches tells whether a letter is one of the chosen.
func (f *DeadLetterFilter) Matches(l *DeadLetter) bool {
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(f.Error)) }
	return (f.Positions == nil || f.Positions[l.place()]) && (f.Connector == "" || f.Connector == l.Connector) &&
		(contains(l.Class) || contains(l.Message)) &&
		(f.Since.IsZero() || !l.FailedAt.Before(f.Since)) && (f.Until.IsZero() || l.FailedAt.Before(f.Until))
}

// byOrigin sorts letters by where their records came from, and the later ones last.
func byOrigin(a, b *DeadLetter) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
		cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Record.Offset, b.Record.Offset))
}
