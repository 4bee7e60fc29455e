package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// The plugin receives its feed's stored offset with a document of a dead letter, without the host's own entries; dead
// letters of a feed without an offset are replayed as well.
func TestReplayPassesTheOffset(t *testing.T) {
	for name, c := range map[string]struct {
		stored []wit.OffsetEntry
		want   []wit.Header
	}{
		"no offset": {},
		"an offset": {
			stored: []wit.OffsetEntry{wit.StringEntry("guids", "l"), wit.IntegerEntry("seen", 3),
				wit.StringEntry("url", "/a"), wit.StringEntry(fieldFingerprint, "of the feed")},
			want: []wit.Header{{Name: "culvert-offset-guids", Value: "l"}, {Name: "culvert-offset-url", Value: "/a"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{version: "1"}
			w := newWorld(r)
			var readPartition []wit.OffsetEntry
			w.o.StoredOffset = func(_ context.Context, partition []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
				readPartition = partition
				return c.stored, nil
			}
			w.o.DeadLetters = newDeadLetters(func(FailedRow) {})
			letter := task.DeadLetter{Feed: "feed0", IsDocument: true, Record: &kgo.Record{Topic: "topic0",
				Value: []byte("k=v\n"), Timestamp: time.UnixMilli(7)}}
			require.NoError(t, NewTask(w.o).Replay(t.Context(), replayOf([]task.DeadLetter{letter}, nil)))
			assert.Equal(t, 1, len(w.broker.records()), "records")
			assert.True(t, len(r.unsolicited) == 1 && slices.Equal(r.unsolicited[0].Headers, c.want) &&
				r.unsolicited[0].ReceivedAt == 7, "expected one document with %v, found %+v", c.want, r.unsolicited)
			if want := []wit.OffsetEntry{wit.IntegerEntry("feed", 0)}; !sameFields(readPartition, want) {
				t.Errorf("expected the offset of %v to be read, found %v", want, readPartition)
			}
		})
	}
}

// A dead letter that cannot be read becomes a dead letter again, and does not prevent the delivery of the others. A
// fault of the service or of the plugin as a whole ends the replay before anything is sent.
func TestReplayOfUnreadableDeadLetters(t *testing.T) {
	for name, c := range unreadableLetterCases() {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &c.plugin
			r.version = "1"
			w := newWorld(r)
			w.service.bodies = c.links
			var failures []string
			w.o.DeadLetters = newDeadLetters(func(l FailedRow) {
				failures = append(failures, fmt.Sprintf("%d times: %v", l.Replays, l.Err))
			})
			w.o.DeadLetters.NewConverters = converterFactory(copyingConverter{reject: "unreadable"}, copyingConverter{})
			w.o.TolerateAll = true
			letters := []task.DeadLetter{rowLetter("a"), documentLetter("b=v"), c.letter, documentLetter("c=v"),
				rowLetter("d")}
			task := NewTask(w.o)
			err := task.Replay(t.Context(), replayOf(letters,
				func(ctx context.Context, unreadable UnreadableReason) error {
					for i := range letters {
						if letters[i].IsDocument {
							if reason, err := unreadable(ctx, &letters[i]); err != nil || reason != "" {
								return errors.Join(err, errors.New("letters "+reason))
							}
						}
					}
					return nil
				}))
			dead, delivered := w.splitRecords()
			if c.replayErr != "" {
				runtest.Fails(t, err, c.replayErr)
				assert.Equal(t, 0, len(delivered)+len(dead), "records", delivered, dead)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, recordsOf([]string{"a=v", "b=v", "c=v", "d=v"}), delivered)
			if c.letterErr == "" {
				assert.True(t, len(dead)+len(failures) <= 0,
					"expected no dead letters, found %q with %q", dead, failures)
				return
			}
			assert.Equal(t, []string{"dead/" + string(c.letter.Record.Key) + "=" + string(c.letter.Record.Value)}, dead)
			if len(failures) != 1 || !strings.HasPrefix(failures[0], "1 times: ") ||
				!strings.Contains(failures[0], c.letterErr) || task.Progress().Skipped != 1 {
				t.Errorf("expected one dead letter with %q, found %q, %d skipped", c.letterErr, failures,
					task.Progress().Skipped)
			}
			assert.Equal(t, "next=5 fingerprint=", describeOffset(w.broker.offsets["topic=dlq"]), "stored")
		})
	}
}

// rowLetter returns a dead letter of a row.
func rowLetter(key string) task.DeadLetter {
	return task.DeadLetter{Replays: 1, Record: &kgo.Record{Topic: "topic0", Key: []byte(key), Value: []byte("v")}}
}

// documentLetter returns a dead letter of a document, which the plugin reads.
func documentLetter(text string) task.DeadLetter {
	return task.DeadLetter{Replays: 1, Feed: "feed0", IsDocument: true, Record: &kgo.Record{Topic: "topic0",
		Value: []byte(text + "\n")}}
}

// unreadableLetterCase is a dead letter with the results of its replay, together with letters that can be read.
type unreadableLetterCase struct {
	letter    task.DeadLetter
	replayErr string // the replay ends with this error; empty means no error
	letterErr string // the new dead letter has this error; empty means that there is no letter
	// links contains the documents that others link; the service does not have others.
	links  map[string][]string
	plugin reader
}

func unreadableLetterCases() map[string]unreadableLetterCase {
	return map[string]unreadableLetterCase{
		"trap": {
			letter:    documentLetter("!trap"),
			letterErr: "the plugin breaks on this row: plugin fake 1: decode: unreachable",
		},
		"fault":             {letter: documentLetter("!no such thing"), letterErr: "no such thing"},
		"stale":             {letter: documentLetter("!always stale"), letterErr: "unknown property"},
		"link that is gone": {letter: documentLetter(">/gone"), letterErr: "/gone: answered 404"},
		"row":               {letter: rowLetter("unreadable"), letterErr: "cannot be read"},
		"trap in a link": {
			letter:    documentLetter(">/link"),
			letterErr: "the plugin breaks on this row: plugin fake 1: decode: unreachable",
			links:     map[string][]string{"/link": {"!trap"}},
		},
		"broken by another page": {letter: documentLetter("!given up"), plugin: reader{lostPages: 2}},
		"of no feed": {
			letter:    task.DeadLetter{Feed: "gone", IsDocument: true, Record: &kgo.Record{Topic: "topic0"}},
			replayErr: `of feed "gone"`,
		},
	}
}

// dropper drops the rows with the value drop.
type dropper struct{ splitter }

func (d *dropper) Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error) {
	failures, err := d.splitter.Apply(ctx, b)
	b.Rows = slices.DeleteFunc(b.Rows, func(r wit.Row) bool { return string(b.Bytes(r.Value)) == "drop" })
	return failures, err
}

// A letter counts as delivered only if a row of it was sent to its topic.
func TestReplayReportsDeliveredLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{version: "1"})
		w.o.TolerateAll = true
		w.o.DeadLetters = newDeadLetters(func(FailedRow) {})
		w.o.NewConverters = converterFactory(copyingConverter{}, copyingConverter{reject: "bad"})
		w.o.NewChain = func(context.Context) (Chain, error) { return &dropper{}, nil }
		var letters []task.DeadLetter
		for i, value := range []string{"v", "drop", "bad", "drop|w"} {
			letters = append(letters, task.DeadLetter{Replays: 1, Position: fmt.Sprint("0@", i),
				Record: &kgo.Record{Topic: "topic0", Key: []byte("k"), Value: []byte(value)}})
		}
		replay := replayOf(letters, nil)
		var delivered []string
		replay.Delivered = func(position string) { delivered = append(delivered, position) }
		require.NoError(t, NewTask(w.o).Replay(t.Context(), replay))
		assert.Equal(t, []string{"0@0", "0@3"}, delivered)
	})
}

// splitter creates a row for each word of a value, with the original row's number.
type splitter struct{ input []wit.Row }

func (s *splitter) Input(index uint32) wit.Row { return s.input[index] }

func (s *splitter) Apply(_ context.Context, b *record.Batch) ([]wit.RowError, error) {
	s.input = slices.Clone(b.Rows)
	b.Rows = b.Rows[:0]
	for _, r := range s.input {
		for word := range strings.SplitSeq(string(b.Bytes(r.Value)), "|") {
			row := r
			row.Value = appendDatum(b, word)
			b.Rows = append(b.Rows, row)
		}
	}
	return nil, nil
}

// If the converter rejects some of a row's records, the others are delivered; the row has one dead letter, which names
// the remaining records, and a replay delivers only these.
func TestRejectedPartsBecomeDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const number = 5 // of the row in its page; the row before it is the second one of its number
		page := append(rows("a", number), "+b=v", "k=x|bad y|z|bad w", "l=v")
		w := newWorld(&reader{repeatsExactly: true}, page)
		w.o.TolerateAll = true
		w.o.NewConverters = converterFactory(copyingConverter{}, copyingConverter{reject: "bad"})
		w.o.NewChain = func(context.Context) (Chain, error) { return &splitter{}, nil }
		var failed []FailedRow
		w.o.DeadLetters = newDeadLetters(func(l FailedRow) { failed = append(failed, l) })
		finished := w.mustRun(t)
		records := w.broker.records()
		assert.Equal(t, number+1+2+1+1, len(records), "records")
		var rowRecords []string
		for _, r := range records {
			if _, record, _ := strings.Cut(r, "/"); strings.HasPrefix(record, "k=") {
				rowRecords = append(rowRecords, r)
			}
		}
		want := []string{"dead/k=x|bad y|z|bad w", "topic0/k=x", "topic0/k=z"}
		assert.Equal(t, want, slices.Sorted(slices.Values(rowRecords)))
		require.True(t, len(failed) == 1 && failed[0].Row == number && failed[0].Rows.String() == "2,4 of 4" &&
			failed[0].Stage == task.StageValueConverter && finished.Progress().Skipped == 2,
			"expected one dead letter of the records 2 and 4 of row %d, found %+v", number, failed)

		// Replays deliver only the remaining records.
		letter := task.DeadLetter{Rows: failed[0].Rows, Replays: 1, Record: &kgo.Record{Topic: "topic0", Partition: 3,
			Offset: number, Key: []byte("k"), Value: []byte("x|bad y|z|bad w"), Timestamp: time.UnixMilli(7)}}
		replay := func(rejected string, l task.DeadLetter) []string {
			w.broker = newBroker()
			w.o.StoredOffset = w.broker.Get
			w.o.NewOutput = w.broker.output
			w.o.NewConverters = converterFactory(copyingConverter{}, copyingConverter{reject: rejected})
			failed = nil
			require.NoError(t, NewTask(w.o).Replay(t.Context(), replayOf([]task.DeadLetter{l}, nil)))
			return slices.Sorted(slices.Values(w.broker.records()))
		}
		for name, c := range map[string]struct {
			rejected string
			value    string
			want     []string // records
			wantRows string   // of dead letters
		}{
			"no record is rejected": {
				value:    "x|bad y|z|bad w",
				want:     []string{"topic0/k=bad w", "topic0/k=bad y"},
				wantRows: "[]",
			},
			"one record is rejected": {
				rejected: "bad w",
				value:    "x|bad y|z|bad w",
				want:     []string{"dead/k=x|bad y|z|bad w", "topic0/k=bad y"},
				wantRows: "[4 of 4]",
			},
			"another number of records": {value: "x|y", want: []string{"dead/k=x|y"}, wantRows: "[2,4 of 4]"},
		} {
			l := letter
			l.Record.Value = []byte(c.value)
			assert.Equal(t, c.want, replay(c.rejected, l), name)
			var rows []string
			for _, l := range failed {
				rows = append(rows, l.Rows.String())
				assert.Equal(t, 3, l.Partition, name)
				assert.Equal(t, 7, l.Timestamp, name)
			}
			assert.Equal(t, c.wantRows, fmt.Sprint(rows), name)
		}
	})
}
