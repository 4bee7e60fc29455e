package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/runtest"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// TestReplayGivesTheOffset: the plugin gets the texts of its feed's stored offset with a document out of a dead letter,
// without the host's own, and a feed that has no offset has its letters replayed as well.
func TestReplayGivesTheOffset(t *testing.T) {
	for name, c := range map[string]struct {
		stored []wit.Field
		want   []wit.Header
	}{
		"no offset": {nil, nil},
		"an offset": {[]wit.Field{wit.TextField("guids", "l"), wit.IntegerField("seen", 3), wit.TextField("url", "/a"),
			wit.TextField(fieldFingerprint, "of the feed")},
			[]wit.Header{{Name: "culvert-offset-guids", Value: "l"}, {Name: "culvert-offset-url", Value: "/a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{version: "1"}
			w := newWorld(r)
			var asked []wit.Field
			w.o.Stored = func(_ context.Context, partition []wit.Field) ([]wit.Field, error) {
				asked = partition
				return c.stored, nil
			}
			w.o.DeadLetters = deadLetters(func(Letter) {})
			letter := task.DeadLetter{Feed: "feed0", Document: true, Record: &kgo.Record{Topic: "topic0",
				Value: []byte("k=v\n"), Timestamp: time.UnixMilli(7)}}
			require.NoError(t, NewTask(w.o).Replay(t.Context(), lettersLeft([]task.DeadLetter{letter}, nil)))
			assert.Equal(t, 1, len(w.broker.records()), "records")
			if len(r.lone) != 1 || !slices.Equal(r.lone[0].Headers, c.want) || r.lone[0].At != 7 {
				t.Errorf("expected one document with %v, found %+v", c.want, r.lone)
			}
			if want := []wit.Field{wit.IntegerField("feed", 0)}; !sameFields(asked, want) {
				t.Errorf("expected the offset of %v to be read, found %v", want, asked)
			}
		})
	}
}

// A letter that cannot be read goes back and keeps none of the others from being delivered, whatever is wrong with it;
// what is wrong with the service or the plugin as a whole ends the replay before anything of the letters is sent.
func TestReplayOfLettersThatCannotBeRead(t *testing.T) {
	row := func(key string) task.DeadLetter {
		return task.DeadLetter{Times: 1, Record: &kgo.Record{Topic: "topic0", Key: []byte(key), Value: []byte("v")}}
	}
	document := func(text string) task.DeadLetter {
		return task.DeadLetter{Times: 1, Feed: "feed0", Document: true, Record: &kgo.Record{Topic: "topic0",
			Value: []byte(text + "\n")}}
	}
	for name, c := range map[string]struct {
		bad task.DeadLetter
		// ends: with this fault; back: the letter goes back, with it.
		ends, back string
		// links are what the documents nest, missing ones are not there.
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
		"broken by another page": {document("!given up"), "", "", nil, reader{givenUp: 2}},
		"of no feed": {task.DeadLetter{Feed: "gone", Document: true, Record: &kgo.Record{Topic: "topic0"}}, `of feed "gone"`, "",
			nil, reader{}},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &c.plugin
			r.version = "1"
			w := newWorld(r)
			w.service.follows = c.links
			var back []string
			w.o.DeadLetters = deadLetters(func(l Letter) {
				back = append(back, fmt.Sprintf("%d times: %v", l.Times, l.Err))
			})
			w.o.DeadLetters.NewConverters = converting(asIs{refuse: "unreadable"}, asIs{})
			w.o.TolerateAll = true
			left := []task.DeadLetter{row("a"), document("b=v"), c.bad, document("c=v"), row("d")}
			task := NewTask(w.o)
			err := task.Replay(t.Context(), lettersLeft(left, func(ctx context.Context, unreadable Unreadable) error {
				for i := range left {
					if left[i].Document {
						if why, err := unreadable(ctx, &left[i]); err != nil || why != "" {
							return errors.Join(err, errors.New("letters "+why))
						}
					}
				}
				return nil
			}))
			dead, rows := w.came()
			if c.ends != "" {
				runtest.Fails(t, err, c.ends)
				if len(rows)+len(dead) != 0 {
					t.Errorf("expected to end with %q and no record, found %q, %q", c.ends, rows, dead)
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, topic([]string{"a=v", "b=v", "c=v", "d=v"}), rows)
			if c.back == "" {
				if len(dead)+len(back) > 0 {
					t.Errorf("went back: %q %q", dead, back)
				}
				return
			}
			assert.Equal(t, []string{"dead/" + string(c.bad.Record.Key) + "=" + string(c.bad.Record.Value)}, dead)
			if len(back) != 1 || !strings.HasPrefix(back[0], "1 times: ") || !strings.Contains(back[0], c.back) ||
				task.Progress().Skipped != 1 {
				t.Errorf("expected %q to be said once, found %q, %d", c.back, back, task.Progress().Skipped)
			}
			assert.Equal(t, "next=5 fingerprint=", describe(w.broker.offsets["topic=dlq"]), "stored")
		})
	}
}
