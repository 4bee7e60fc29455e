package source

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
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
			w.o.DeadLetters = &DeadLetters{Topic: "dlq",
				NewConverters: func() (convert.Converter, convert.Converter, error) { return asIs{}, asIs{}, nil },
				Headers:       func(Letter) []kgo.RecordHeader { return nil }}
			left := []DeadLetter{{Feed: "feed0", Topic: "topic0", Document: true, Value: []byte("k=v\n"),
				Timestamp: time.UnixMilli(7)}}
			err := NewTask(w.o).Replay(t.Context(), Replay{Partition: []wit.Field{wit.TextField("topic", "dlq")},
				Next: func(context.Context) (letters []DeadLetter, behind []wit.Field, err error) {
					letters, left = left, nil
					return letters, []wit.Field{wit.IntegerField("next", 1)}, nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			if got := w.broker.records(); len(got) != 1 {
				t.Errorf("expected one record, found %v", got)
			}
			if len(r.lone) != 1 || !slices.Equal(r.lone[0].Headers, c.want) || r.lone[0].At != 7 {
				t.Errorf("expected one document with %v, found %+v", c.want, r.lone)
			}
			if want := []wit.Field{wit.IntegerField("feed", 0)}; !sameFields(asked, want) {
				t.Errorf("expected the offset of %v to be read, found %v", want, asked)
			}
		})
	}
}
