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

// The plugin receives its feed's stored offset with a document of a dead letter, without the
// host's own entries; dead letters of a feed without an offset are replayed as well.
func TestReplayPassesTheOffset(t *testing.T) {
	for name, c := range map[string]struct {
		stored []wit.OffsetEntry
		want   []wit.Header
	}{
		"no offset": {nil, nil},
		"an offset": {[]wit.OffsetEntry{wit.StringEntry("guids", "l"), wit.IntegerEntry("seen", 3),
			wit.StringEntry("url", "/a"),
			wit.StringEntry(fieldFingerprint, "of the feed")},
			[]wit.Header{{Name: "culvert-offset-guids", Value: "l"}, {Name: "culvert-offset-url", Value: "/a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{version: "1"}
			w := newWorld(r)
			var asked []wit.OffsetEntry
			w.o.StoredOffset = func(_ context.Context, partition []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
				asked = partition
				return c.stored, nil
			}
			w.o.DeadLetters = deadLetters(func(FailedRow) {})
			letter := task.DeadLetter{Feed: "feed0", IsDocument: true, Record: &kgo.Record{Topic: "topic0",
				Value: []byte("k=v\n"), Timestamp: time.UnixMilli(7)}}
			require.NoError(t, NewTask(w.o).Replay(t.Context(), lettersLeft([]task.DeadLetter{letter}, nil)))
			assert.Equal(t, 1, len(w.broker.records()), "records")
			if len(r.unsolicited) != 1 || !slices.Equal(r.unsolicited[0].Headers, c.want) ||
				r.unsolicited[0].ReceivedAt != 7 {
				t.Errorf("expected one document with %v, found %+v", c.want, r.unsolicited)
			}
			if want := []wit.OffsetEntry{wit.IntegerEntry("feed", 0)}; !sameFields(asked, want) {
				t.Errorf("expected the offset of %v to be read, found %v", want, asked)
			}
		})
	}
}

// A dead letter that cannot be read is put back and does not prevent the delivery of the others, whatever its fault; a
// fault of the service or of the plugin as a whole ends the replay before anything is sent.
func TestReplayOfUnreadableDeadLetters(t *testing.T) {
	row := func(key string) task.DeadLetter {
		return task.DeadLetter{Replays: 1, Record: &kgo.Record{Topic: "topic0", Key: []byte(key), Value: []byte("v")}}
	}
	document := func(text string) task.DeadLetter {
		return task.DeadLetter{Replays: 1, Feed: "feed0", IsDocument: true, Record: &kgo.Record{Topic: "topic0",
			Value: []byte(text + "\n")}}
	}
	for name, c := range map[string]struct {
		bad task.DeadLetter
		// ends: the replay ends with this fault; back: the dead letter is put back with it.
		ends string
		back string
		// links contains the documents that others nest; missing ones do not exist.
		links  map[string][]string
		plugin reader
	}{
		"trap": {document("!trap"), "", "the plugin breaks on this row: plugin fake 1: decode: unreachable", nil,
			reader{}},
		"fault":             {document("!no such thing"), "", "no such thing", nil, reader{}},
		"stale":             {document("!always stale"), "", "unknown property", nil, reader{}},
		"link that is gone": {document(">/gone"), "", "/gone: answered 404", nil, reader{}},
		"row":               {row("unreadable"), "", "cannot be read", nil, reader{}},
		"trap in a link": {document(">/link"), "", "the plugin breaks on this row: plugin fake 1: decode: unreachable",
			map[string][]string{"/link": {"!trap"}}, reader{}},
		"broken by another page": {document("!given up"), "", "", nil, reader{lostPages: 2}},
		"of no feed": {task.DeadLetter{Feed: "gone", IsDocument: true, Record: &kgo.Record{Topic: "topic0"}},
			`of feed "gone"`, "",
			nil, reader{}},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &c.plugin
			r.version = "1"
			w := newWorld(r)
			w.service.bodies = c.links
			var back []string
			w.o.DeadLetters = deadLetters(func(l FailedRow) {
				back = append(back, fmt.Sprintf("%d times: %v", l.Replays, l.Err))
			})
			w.o.DeadLetters.NewConverters = converting(asIs{refuse: "unreadable"}, asIs{})
			w.o.TolerateAll = true
			left := []task.DeadLetter{row("a"), document("b=v"), c.bad, document("c=v"), row("d")}
			task := NewTask(w.o)
			err := task.Replay(t.Context(), lettersLeft(left,
				func(ctx context.Context, unreadable UnreadableReason) error {
					for i := range left {
						if left[i].IsDocument {
							if reason, err := unreadable(ctx, &left[i]); err != nil || reason != "" {
								return errors.Join(err, errors.New("letters "+reason))
							}
						}
					}
					return nil
				}))
			dead, rows := w.received()
			if c.ends != "" {
				runtest.Fails(t, err, c.ends)
				assert.Equal(t, 0, len(rows)+len(dead), c.ends, "records", rows, dead)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, topic([]string{"a=v", "b=v", "c=v", "d=v"}), rows)
			if c.back == "" {
				if len(dead)+len(back) > 0 {
					t.Errorf("put back: %q %q", dead, back)
				}
				return
			}
			assert.Equal(t, []string{"dead/" + string(c.bad.Record.Key) + "=" + string(c.bad.Record.Value)}, dead)
			if len(back) != 1 || !strings.HasPrefix(back[0], "1 times: ") || !strings.Contains(back[0], c.back) ||
				task.Progress().Skipped != 1 {
				t.Errorf("expected %q to be said once, found %q, %d", c.back, back, task.Progress().Skipped)
			}
			assert.Equal(t, "next=5 fingerprint=", describeOffset(w.broker.offsets["topic=dlq"]), "stored")
		})
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
		w.o.DeadLetters = deadLetters(func(FailedRow) {})
		w.o.NewConverters = converting(asIs{}, asIs{refuse: "bad"})
		w.o.NewChain = func(context.Context) (Chain, error) { return &dropper{}, nil }
		var letters []task.DeadLetter
		for i, value := range []string{"v", "drop", "bad", "drop|w"} {
			letters = append(letters, task.DeadLetter{Replays: 1, Position: fmt.Sprint("0@", i),
				Record: &kgo.Record{Topic: "topic0", Key: []byte("k"), Value: []byte(value)}})
		}
		replay := lettersLeft(letters, nil)
		var delivered []string
		replay.Delivered = func(position string) { delivered = append(delivered, position) }
		require.NoError(t, NewTask(w.o).Replay(t.Context(), replay))
		assert.Equal(t, []string{"0@0", "0@3"}, delivered)
	})
}

// splitter creates a row for each word of a value, with the original row's number.
type splitter struct{ input []wit.Row }

func (s *splitter) Input(at uint32) wit.Row { return s.input[at] }

func (s *splitter) Apply(_ context.Context, b *record.Batch) ([]wit.RowError, error) {
	s.input = slices.Clone(b.Rows)
	b.Rows = b.Rows[:0]
	for _, r := range s.input {
		for word := range strings.SplitSeq(string(b.Bytes(r.Value)), "|") {
			part := r
			part.Value = appendDatum(b, word)
			b.Rows = append(b.Rows, part)
		}
	}
	return nil, nil
}

// If the converter rejects some of a row's records, the others are delivered; the row has one dead letter, which names
// the remaining records, and a replay delivers only these.
func TestRejectedPartsBecomeDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const number = 5 // of the row in its page; two rows before it have the same
		page := append(rows("a", number), "+b=v", "k=x|bad y|z|bad w", "l=v")
		w := newWorld(&reader{exact: true}, page)
		w.o.TolerateAll = true
		w.o.NewConverters = converting(asIs{}, asIs{"bad"})
		w.o.NewChain = func(context.Context) (Chain, error) { return &splitter{}, nil }
		var said []FailedRow
		w.o.DeadLetters = deadLetters(func(l FailedRow) { said = append(said, l) })
		run := w.ok(t)
		all := w.broker.records()
		assert.Equal(t, number+1+2+1+1, len(all), "records")
		of := func(key string) (found []string) {
			for _, r := range all {
				if _, record, _ := strings.Cut(r, "/"); strings.HasPrefix(record, key+"=") {
					found = append(found, r)
				}
			}
			return found
		}
		want := []string{"dead/k=x|bad y|z|bad w", "topic0/k=x", "topic0/k=z"}
		assert.Equal(t, want, slices.Sorted(slices.Values(of("k"))))
		if len(said) != 1 || said[0].Row != number || said[0].Rows.String() != "2,4 of 4" ||
			said[0].Stage != task.StageValueConverter || run.Progress().Skipped != 2 {
			t.Fatalf("found %+v", said)
		}

		// In replays, one of them is rejected once more, then none.
		letter := task.DeadLetter{Rows: said[0].Rows, Replays: 1, Record: &kgo.Record{Topic: "topic0", Partition: 3,
			Offset: number, Key: []byte("k"), Value: []byte("x|bad y|z|bad w"), Timestamp: time.UnixMilli(7)}}
		replayed := func(refuses string, l task.DeadLetter) []string {
			w.broker = newBroker()
			w.o.StoredOffset = w.broker.Get
			w.o.NewOutput = w.broker.output
			w.o.NewConverters = converting(asIs{}, asIs{refuses})
			said = nil
			require.NoError(t, NewTask(w.o).Replay(t.Context(), lettersLeft([]task.DeadLetter{l}, nil)))
			return slices.Sorted(slices.Values(w.broker.records()))
		}
		for name, c := range map[string]struct {
			refuses string
			value   string
			want    []string
			said    string
		}{
			"none is refused": {"", "x|bad y|z|bad w", []string{"topic0/k=bad w", "topic0/k=bad y"}, "[]"},
			"one is refused": {"bad w", "x|bad y|z|bad w", []string{"dead/k=x|bad y|z|bad w", "topic0/k=bad y"},
				"[4 of 4]"},
			"other rows are made": {"", "x|y", []string{"dead/k=x|y"}, "[2,4 of 4]"},
		} {
			l := letter
			l.Record.Value = []byte(c.value)
			assert.Equal(t, c.want, replayed(c.refuses, l), name)
			var parts []string
			for _, l := range said {
				parts = append(parts, l.Rows.String())
				assert.Equal(t, 3, l.Partition, name)
				assert.Equal(t, 7, l.Timestamp, name)
			}
			assert.Equal(t, c.said, fmt.Sprint(parts), name)
		}
	})
}
