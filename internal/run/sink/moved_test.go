package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// copied is a world whose group has metadata that may have been written for another log.
type copied struct {
	*world
	tp      topicPartition
	written map[string]bool // the service has the row
	checked map[string]bool // the keys that the plugin has checked
	log     strings.Builder
}

// newCopied creates a log with a number of records, of which the service has the written ones.
func newCopied(c *checker, records int, written func(offset int) bool) *copied {
	x := &copied{world: newWorldOf(&c.writer, c), tp: topicPartition{"t", 0}, written: map[string]bool{},
		checked: map[string]bool{}}
	x.o.InFlight = 4
	x.group.maxPoll = 500
	x.o.BatchRows = 500
	x.o.Logger = slog.New(slog.NewTextHandler(&x.log, nil))
	for n := range records {
		x.put(n)
		if written(n) {
			x.written[keyOf(n)] = true
		}
	}
	x.service.answer = func(_ int, body string) (uint16, error) {
		if key, ok := strings.CutPrefix(body, "look "); ok {
			x.checked[key] = true
			return map[bool]uint16{true: 200, false: 404}[x.written[key]], nil
		}
		if x.written[body] {
			return 0, fmt.Errorf("%s is written twice", body)
		}
		x.written[body] = true
		return 201, nil
	}
	return x
}

func keyOf(offset int) string { return fmt.Sprintf("%c%d", 'a'+offset%26, offset) }

// put adds the n-th record.
func (c *copied) put(n int) { c.group.put(c.tp.topic, c.tp.partition, keyOf(n)+"=v") }

// commitAt commits an offset for the group, with metadata. stored is what else is known of them.
func (c *copied) commitAt(offset int64, text string, stored kafka.CommitMetadata) {
	c.group.committed[c.tp] = offset
	c.group.metadata[c.tp] = text
	c.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{c.tp: stored}
}

// A copiedCase is a log whose committed metadata may be about another log. Records before the end of the settled ones
// are written. Of the records in progress, 5 and 6, 6 is written.
type copiedCase struct {
	name     string
	records  int
	next     int64 // the committed offset
	text     string
	metadata kafka.CommitMetadata
	doubts   offsetRange // the records that are checked
	warned   bool
	later    int // the number of offsets by which the copy's records follow the original ones
}

const movedOffset = "they were written for another offset"

var copiedCases = []copiedCase{
	{
		name: "they fit", records: 20, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Verified: true, End: 20}, doubts: offsetRange{5, 6},
	},
	{
		name: "they fit, to the end", records: 15, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Verified: true, End: 15}, doubts: offsetRange{5, 6},
	},
	{
		name: "without a topic ID", records: 20, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, End: 20}, doubts: offsetRange{5, 6},
	},
	{
		name: "translated", records: 20, next: 2, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 20}, doubts: offsetRange{2, 19},
		warned: true,
	},
	{
		name: "nothing ahead", records: 20, next: 2,
		metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 20}, doubts: offsetRange{2, 19},
		warned: true,
	},
	{
		name: "another topic", records: 20, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 20}, doubts: offsetRange{5, 19},
		warned: true,
	},
	{
		name: "beyond the end by one", records: 14, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Verified: true, End: 14}, doubts: offsetRange{5, 13},
		warned: true,
	},
	{
		name: "beyond the end, without a topic ID", records: 14, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, End: 14}, doubts: offsetRange{5, 14}, warned: true,
	},
	{
		name: "a copy with other offsets", records: 20, next: 2, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 1005, Mismatch: movedOffset, End: 18}, doubts: offsetRange{2, 17},
		warned: true,
	},
	{
		name: "a copy that is not complete", records: 20, next: 5, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 8}, doubts: offsetRange{5, 14},
		warned: true,
	},
	// A translated offset is that of its record, 15 here, or an earlier one.
	{
		name: "a copy with higher offsets", records: 25, next: 12, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 25}, doubts: offsetRange{12, 24},
		warned: true, later: 10,
	},
	{
		name: "a copy with higher offsets, translated far back", records: 25, next: 2, text: "sent=0-1 settled=2-9",
		metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 25}, doubts: offsetRange{2, 24},
		warned: true, later: 10,
	},
	{
		name: "a copy with higher offsets, translated to the same number", records: 25, next: 5,
		text: "sent=0-1 settled=2-9", metadata: kafka.CommitMetadata{WrittenFor: 5, Mismatch: movedOffset, End: 25},
		doubts: offsetRange{5, 24}, warned: true, later: 10,
	},
}

// Metadata that was written for another offset or topic, or that reaches beyond the end of the log, does not prove that
// any record was written: all records from the committed offset to the end of the metadata's range are checked. So
// nothing is lost, and nothing is written twice.
func TestMetadataOfAnotherLog(t *testing.T) {
	for _, c := range copiedCases {
		runtest.Bubble(t, c.name, func(t *testing.T) { checkCopied(t, c) })
	}
}

// If the topic is another one, the records before the committed offset may be new: the warning names them.
func TestSkippedRecordsOfAnotherTopic(t *testing.T) {
	for _, c := range []struct {
		name    string
		next    int64
		fetched kafka.CommitMetadata
		want    string // "" means that the warning names none
	}{
		{"whole log", 5, kafka.CommitMetadata{OtherTopic: true, End: 12}, "skipped=0-4"},
		{"expired records", 5, kafka.CommitMetadata{OtherTopic: true, Start: 4, End: 12}, "skipped=4 "},
		{"nothing before", 5, kafka.CommitMetadata{OtherTopic: true, Start: 5, End: 12}, ""},
		{"a shorter log", 500, kafka.CommitMetadata{OtherTopic: true, End: 12}, "skipped=0-11"},
		{"an empty log", 5, kafka.CommitMetadata{OtherTopic: true}, ""},
		{"the same topic", 5, kafka.CommitMetadata{End: 12}, ""},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newCopied(&checker{}, 12, func(int) bool { return false })
			c.fetched.Mismatch = movedOffset
			c.fetched.WrittenFor = c.next
			x.commitAt(c.next, "settled=2", c.fetched)
			x.mustRun(t)
			lines := strings.Split(x.log.String(), "\n")
			isOther := func(line string) bool { return !strings.Contains(line, "is not about this log") }
			lines = slices.DeleteFunc(lines, isOther)
			assert.Equal(t, 1, len(lines), "warnings")
			if c.want == "" {
				assert.Equal(t, false, strings.Contains(lines[0], "skipped="), "names skipped records")
				return
			}
			assert.Contains(t, lines[0], "topic=t partition=0", c.want, "culvert offsets set")
		})
	}
}

// A record in doubt does not hold a record of a topic that was created again with the same name. It holds one of the
// same topic, or if the topic's ID is unknown.
func TestTopicThatIsCreatedAgain(t *testing.T) {
	for id, isSame := range map[string]bool{"new": false, "old": true, "": true} {
		runtest.Bubble(t, "topic "+id, func(t *testing.T) {
			tp := topicPartition{"t", 0}
			x := newWorld(&writer{})
			x.o.InDoubt = &InDoubtRecords{}
			x.o.Revoked = &RevokedPartitions{}
			x.group.put("t", 0, "a=1", "b=2")
			x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{tp: {TopicID: "old"}}
			x.service.answer = byBody(map[string]uint16{"a=1": 0})
			x.mustFail(t, "t-0@0", "may have been written or not")
			// The brokers drop the offset of a deleted topic.
			x.group.logs = map[topicPartition][]*kgo.Record{}
			x.group.committed = map[topicPartition]int64{}
			x.group.metadata = map[topicPartition]string{}
			x.group.put("t", 0, "c=3", "d=4")
			x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{tp: {TopicID: id}}
			x.service.requests = nil
			if isSame {
				x.mustFail(t, "t-0@0", "may have been written or not")
				return
			}
			x.mustRun(t)
			assert.Equal(t, []string{"c=3", "d=4"}, slices.Sorted(slices.Values(x.service.bodies())), "requests")
		})
	}
}

func checkCopied(t *testing.T, c copiedCase) {
	end := 15
	if c.text == "" {
		end = 5
	}
	x := newCopied(&checker{}, c.records, func(n int) bool { return n < end+c.later && n != 5+c.later })
	x.commitAt(c.next, c.text, c.metadata)
	for n := c.records; n < 25; n++ {
		x.put(n) // added later
	}
	x.mustRun(t)
	assert.Equal(t, 25, len(x.written), "rows")
	var want []string
	for n := c.doubts.first; n <= c.doubts.last; n++ {
		want = append(want, keyOf(int(n)))
	}
	checked := make([]string, 0, len(x.checked))
	for n := range 25 {
		if x.checked[keyOf(n)] {
			checked = append(checked, keyOf(n))
		}
	}
	assert.Equal(t, want, checked, "checked records")
	n := strings.Count(x.log.String(), "is not about this log")
	assert.True(t, (!c.warned || n == 1) && (c.warned || n <= 0), "expected a warning: %t, found %d", c.warned, n)
	assert.Equal(t, 25, x.committed("t", 0), "committed")
	assert.Equal(t, "", x.metadata(x.tp), "metadata")
}

// An operator's decision about another log does not apply to this one: if the metadata does not match the log, the task
// fails before it writes, until the decision is removed. Later decisions, about the records in doubt that the task has
// named, apply.
func TestDecisionsAboutAnotherLog(t *testing.T) {
	tp := topicPartition{"t", 0}
	const next = 1 // the committed offset
	copiedMetadata := kafka.CommitMetadata{WrittenFor: 2, Mismatch: "copied", End: 5}
	truncatedMetadata := kafka.CommitMetadata{WrittenFor: next, Verified: true, End: 3}
	for _, c := range []struct {
		name    string
		send    string
		skip    string
		fetched kafka.CommitMetadata
		applies bool // the decision is not about another log
	}{
		{name: "skipped, translated", skip: "t-0@3", fetched: copiedMetadata},
		{name: "sent, translated", send: "t-0@3-4", fetched: copiedMetadata},
		{
			name: "another topic", skip: "t-0@1",
			fetched: kafka.CommitMetadata{WrittenFor: 1, Mismatch: "copied", End: 5},
		},
		{name: "a record to come", skip: "t-0@900", fetched: copiedMetadata},
		{name: "truncated or a copy", skip: "t-0@2", fetched: kafka.CommitMetadata{WrittenFor: 1, End: 3}},
		{name: "truncated", skip: "t-0@3", fetched: truncatedMetadata},
		{name: "truncated after the record", skip: "t-0@2", fetched: truncatedMetadata, applies: true},
		{name: "before the committed offset", skip: "t-0@0", fetched: copiedMetadata, applies: true},
		{name: "another partition", skip: "t-1@3", fetched: copiedMetadata, applies: true},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newCopied(&checker{}, 5, func(n int) bool { return n < 1 })
			x.o.Send = []string{c.send}
			x.o.Skip = []string{c.skip}
			x.commitAt(next, "settled=1-2", c.fetched)
			if c.applies {
				x.mustRun(t)
				return
			}
			setting := sendSetting + "=" + c.send
			if c.skip != "" {
				setting = skipSetting + "=" + c.skip
			}
			x.mustFail(t, "topic t, partition 0", "about another log", setting)
			assert.Equal(t, 0, len(x.service.bodies()), "requests")
			assert.Equal(t, "settled=1-2", x.metadata(tp), "metadata")
			x.o.Send = nil
			x.o.Skip = nil
			x.o.InDoubt = nil
			x.o.Revoked = nil
			x.commitAt(next, "settled=1-2", c.fetched)
			x.mustRun(t)
			assert.Equal(t, 5, len(x.written), "rows")
		})
	}
}

// A decision that was applied stays applied after the log was truncated: it is the same decision.
func TestUsedDecisionAfterTruncation(t *testing.T) {
	runtest.Bubble(t, "cut off", func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=1", "c=1")
		tp := topicPartition{"t", 0}
		x.group.committed[tp] = 0
		x.group.metadata[tp] = "uncertain=0 decided=0 settled=1-6"
		x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{tp: {Verified: true, End: 3}}
		x.o.Send = []string{"t-0@0"}
		x.mustFail(t, "errors.uncertain.send=t-0@0", "was used up for t-0@0")
		assert.Equal(t, 0, len(x.service.bodies()), "requests")
	})
}

// Metadata of this program in an unknown format are an error: the task fails before it writes anything. Metadata
// of other programs do.
func TestMetadataInUnknownFormatStopTheTask(t *testing.T) {
	runtest.Bubble(t, "metadata", func(t *testing.T) {
		for name, c := range map[string]struct {
			text       string
			unreadable error
			want       string
		}{
			"format":     {unreadable: errors.New("expected culvert@OFFSET, found culvert2"), want: "found culvert2"},
			"list":       {text: "reach=3", want: `found "reach" in "reach=3"`},
			"of another": {},
		} {
			x := newWorld(&writer{})
			x.group.put("t", 0, "a=1", "b=1")
			tp := topicPartition{"t", 0}
			x.group.committed[tp] = 0
			x.group.metadata[tp] = c.text
			x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{tp: {Unreadable: c.unreadable, End: 2}}
			if c.want == "" {
				x.mustRun(t)
				assert.Equal(t, 2, len(x.service.bodies()), name)
				continue
			}
			x.mustFail(t, "topic t, partition 0: the metadata of the group's offset 0 cannot be read", c.want)
			assert.Equal(t, 0, len(x.service.bodies()), name)
		}
	})
}

// Records that may be updated or deleted twice are sent again without a check: no check can prove that an update was
// done.
func TestRepeatableRowsOfCopyAreResent(t *testing.T) {
	runtest.Bubble(t, "updates", func(t *testing.T) {
		x := newWorld(&writer{repeatable: true})
		x.group.put("t", 0, "a=1", "b=1", "a=2", "c=1")
		tp := topicPartition{"t", 0}
		x.group.committed[tp] = 1
		x.group.metadata[tp] = "settled=1-2"
		x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{tp: {WrittenFor: 2, Mismatch: "copied", End: 4}}
		x.mustRun(t)
		assert.Equal(t, []string{"a=2", "b=1", "c=1"}, slices.Sorted(slices.Values(x.service.bodies())))
	})
}

// The context of an earlier run is used to decide whether records may be sent again: if the plugin rejects all rows
// because of it, they stay in doubt, and a row that it rejects for its content is an ordinary rejected row.
func TestRejectedRowsOfCopy(t *testing.T) {
	for _, c := range []struct {
		name  string
		known string
		kind  wit.ErrorKind
		fails []string // parts of the error; nil means that the task does not fail
		sent  int
	}{
		{
			name: "all rows", known: " " + knowledge, kind: wit.ErrorConfig,
			fails: []string{`offset 1, key "b"`, "was not about this log", "errors.uncertain.send=t-0@1,t-0@2,t-0@3"},
		},
		{name: "a row", known: " " + knowledge, kind: wit.ErrorData, sent: 3},
		{name: "nothing was known", kind: wit.ErrorConfig, sent: 3},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			w := &writer{repeatable: true}
			x := newWorld(w)
			var hints []string
			w.onEncode = func(d *wit.EncodeResult, batchHints []wit.Hint) error {
				for _, h := range batchHints {
					hints = append(hints, h.Text)
					if !strings.HasPrefix(h.Text, "moved "+knowledge) {
						continue
					}
					d.Ready = slices.DeleteFunc(d.Ready, func(d wit.Delivery) bool { return d.Rows[0] == h.Row })
					d.Rejected = append(d.Rejected, wit.RowError{RowIndex: h.Row, Error: wit.Error{Kind: c.kind,
						Message: "it numbers"}})
				}
				return nil
			}
			x.group.put("t", 0, "a=1", "b=1", "c=1", "d=1")
			tp := topicPartition{"t", 0}
			x.group.committed[tp] = 1
			x.group.metadata[tp] = strings.TrimSpace(c.known + " settled=1-2")
			x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{
				tp: {WrittenFor: 2, Mismatch: "copied", End: 4},
			}
			_, err := x.run(t)
			if c.fails == nil {
				require.NoError(t, err)
			} else {
				runtest.Fails(t, err, c.fails...)
			}
			assert.Equal(t, c.sent, len(x.service.bodies()), "requests")
			assert.Equal(t, slices.Repeat([]string{"moved" + c.known}, 3), hints[:3], "hints")
		})
	}
}

// If rows cannot be checked, nothing is sent before an operator has decided, in this run or the next; the decision
// stays in effect.
func TestUncheckableCopyWaitsForDecision(t *testing.T) {
	for _, setting := range []string{sendSetting, skipSetting} {
		runtest.Bubble(t, setting, func(t *testing.T) {
			x := newWorld(&writer{})
			x.group.put("t", 0, "a=1", "b=1", "c=1", "d=1", "e=1")
			tp := topicPartition{"t", 0}
			x.group.committed[tp] = 1
			x.group.metadata[tp] = "settled=1-2"
			x.group.nextMetadata = map[topicPartition]kafka.CommitMetadata{
				tp: {WrittenFor: 2, Mismatch: "copied", End: 5},
			}
			for range 2 {
				x.mustFail(t, `offset 1, key "b"`, "was not about this log", "it is not looked up",
					"errors.uncertain.send=t-0@1,t-0@2,t-0@3,t-0@4")
				assert.Equal(t, 0, len(x.service.bodies()), "requests")
				x.o.InDoubt = nil
				x.o.Revoked = nil
			}
			want := []string{"b=1", "c=1", "d=1", "e=1"}
			x.o.Send = []string{"t-0@1-4"}
			if setting == skipSetting {
				x.o.Send = nil
				x.o.Skip = []string{"t-0@1-4"}
				want = nil
			}
			x.mustRun(t)
			assert.Equal(t, want, slices.Sorted(slices.Values(x.service.bodies())))
			assert.Equal(t, 5, x.committed("t", 0), "committed")
		})
	}
}

// 10,000 records of a copy are checked. A run is killed in the middle: the next one continues, and knows that the
// records had other offsets.
func TestManyRecordsOfCopy(t *testing.T) {
	runtest.Bubble(t, "many", func(t *testing.T) {
		const records = 10_000
		c := &checker{}
		x := newCopied(c, records, func(n int) bool { return n%3 > 0 && n < records-100 })
		x.commitAt(100, fmt.Sprintf("settled=2-%d", records-1000),
			kafka.CommitMetadata{WrittenFor: 900, Mismatch: "copied", End: records})
		// All stored metadata marks each record that was written before as settled or in doubt, so that the run after a
		// kill at that time writes no record twice.
		x.group.onStore = func(next int64, text string) {
			m, err := parseMetadata(next, text)
			require.NoError(t, err)
			for _, s := range gaps(offsetRange{next, records - 101}, slices.Concat(m.settled, m.inDoubt, m.inFlight)) {
				for n := s.first; n <= s.last; n++ {
					assert.True(t, n%3 <= 0,
						"the metadata with offset %d does not contain record %d: %.300s", next, n, text)
				}
			}
		}
		runUntilKilled(t, x.world, 2000)
		x.o.InDoubt = nil
		x.o.Revoked = nil
		text := x.metadata(x.tp)
		assert.True(t, strings.Contains(text, "moved=") && len(text) <= 1000,
			"expected metadata with the copied records, found %d bytes: %.300q", len(text), text)
		hintsBefore := len(c.hints)
		x.mustRun(t)
		checks := slices.DeleteFunc(c.hints[hintsBefore:], func(h string) bool {
			return !strings.HasSuffix(h, ":uncertain moved")
		})
		assert.AtLeast(t, 6000, len(checks), "no repeated checks in the next run: checks")
		missing := 0
		for n := 100; n < records; n++ {
			if !x.written[keyOf(n)] {
				missing++
			}
		}
		if missing > 0 || x.committed("t", 0) != records {
			t.Errorf("%d records are missing, committed %d", missing, x.committed("t", 0))
		}
	})
}

// The number of records to check is limited: beyond it an operator must specify where to continue.
func TestRecordsOfCopyAreBounded(t *testing.T) {
	for _, c := range []struct {
		last  int64
		fails bool
	}{
		{last: maxInDoubt},
		{last: maxInDoubt + 1, fails: true},
	} {
		runtest.Bubble(t, fmt.Sprint(c.last), func(t *testing.T) {
			x := newCopied(&checker{}, 3, func(int) bool { return false })
			x.commitAt(1, fmt.Sprintf("settled=%d", c.last-1), kafka.CommitMetadata{WrittenFor: 1, Mismatch: "copied",
				End: 3})
			_, err := x.run(t)
			if !c.fails {
				require.NoError(t, err)
				return
			}
			runtest.Fails(t, err, "copied: expected at most 100000 records that may have been written, found those "+
				"from offset 1 up to 100001", "culvert offsets set")
			assert.Equal(t, 0, len(x.service.bodies()), "requests")
		})
	}
}

// Operations on ranges of offsets have the results of set operations.
func TestOffsetRangeSets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	set := map[int64]bool{}
	ranges := []offsetRange(nil)
	for range 5000 {
		offset := r.Int64N(40)
		if r.IntN(2) == 0 {
			ranges = addOffset(ranges, offset)
			set[offset] = true
		} else {
			delete(set, offset)
			ranges = removeOffset(ranges, offset)
		}
		next := r.Int64N(45)
		var want []offsetRange
		for offset := range set {
			if offset >= next {
				want = append(want, offsetRange{offset, offset})
			}
		}
		if got := rangesFrom(ranges, next); !slices.Equal(mergeRanges(want), got) {
			t.Fatalf("from %d on: expected %v, found %v", next, mergeRanges(want), got)
		}
	}
}

// If records in doubt fill the metadata, also with brokers that allow the smallest metadata, nothing is sent whose
// outcome would not fit: the task stops and reports it. With one record in doubt less it continues.
func TestRecordsInDoubtThatFillTheMetadata(t *testing.T) {
	const minLimit = 175 // of 226 bytes, the smallest limit of a broker, without mark, offset and topic ID
	for _, limit := range []int{minLimit, kafka.MaxCommitText} {
		text := "known=fabc,gxy moved=100-900000 uncertain=100"
		full := 0
		for doubts := 1; full == 0 && len(text) < limit; doubts++ {
			if len(text) > limit-300 { // a shorter text is never too long
				runtest.Bubble(t, fmt.Sprint(limit, doubts), func(t *testing.T) {
					if metadataIsFull(t, limit, text) {
						full = doubts
					}
				})
			}
			text += fmt.Sprintf(",%d00", doubts+1)
		}
		assert.True(t, full >= 10,
			"limit %d: expected space for some records in doubt and not for all, found none for %d", limit, full)
	}
}

// metadataIsFull reports whether a task with this metadata has no space for the outcome of one more record.
func metadataIsFull(t *testing.T, limit int, text string) bool {
	x := newWorld(&writer{})
	x.group.put("t", 0, "a=1")
	x.group.metadataLimit = limit
	tp := topicPartition{"t", 0}
	x.group.committed[tp] = 0
	x.group.metadata[tp] = text
	_, err := x.run(t)
	assert.True(t, x.group.longestMetadata <= limit,
		"expected metadata of at most %d bytes, found %d", limit, x.group.longestMetadata)
	if err == nil {
		assert.Equal(t, 1, len(x.service.bodies()), "requests")
		return false
	}
	runtest.Fails(t, err, "the commit metadata has no room")
	assert.Equal(t, 0, len(x.service.bodies()), "requests")
	return true
}
