package events

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

func newRecorder(worker string) *Recorder {
	return New(worker, func(text string) string { return strings.ReplaceAll(text, "secret", "****") })
}

// lines formats events as KIND TEXT/REASON BY WORKER COUNT.
func lines(list []Event) (text string) {
	for _, e := range list {
		text += fmt.Sprintf("%s %s/%s by %q on %s, %d\n", e.Kind, e.Text, e.Reason, e.By, e.Worker, e.Count)
	}
	return text
}

func TestNewestEventsOfEachConnectorAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("w")
		for i := range maxEvents + 1 {
			time.Sleep(time.Second)
			r.Record(t.Context(), Event{Connector: "a", Kind: "changed", Text: fmt.Sprint(i)})
			r.Record(t.Context(), Event{Connector: "b", Kind: "failed", Reason: "secret"})
		}
		list := r.List("a")
		assert.Equal(t, maxEvents, len(list))
		assert.Equal(t, "100 1", list[0].Text+" "+list[len(list)-1].Text, "the newest and the oldest")
		assert.Equal(t, `failed /**** by "" on w, 101`+"\n", lines(r.List("b")), "equal ones in a row")
		assert.Equal(t, time.Now().UTC(), r.List("b")[0].Time)
		assert.Equal(t, "", lines(r.List("c")))
	})
}

// The events of all connectors have a bound, beyond which the oldest one is dropped, and so have their texts.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("w")
		record := func(connector int) {
			time.Sleep(time.Millisecond)
			r.Record(t.Context(), Event{Connector: fmt.Sprintf("%06d", connector), Text: strings.Repeat("x", 1000)})
		}
		record(0)
		assert.Equal(t, strings.Repeat("x", maxEventText), r.List("000000")[0].Text[:maxEventText])
		assert.Contains(t, r.List("000000")[0].Text[maxEventText:], "700")
		fitting := maxEventBytes / r.bytes
		for i := 1; i < fitting; i++ {
			record(i)
		}
		assert.Equal(t, 1, len(r.List("000000")), "events of the oldest connector while all fit")
		record(fitting)
		assert.Equal(t, 0, len(r.List("000000")), "events of the oldest connector")
		assert.Equal(t, 1, len(r.List("000001")))
		assert.Equal(t, fitting, len(r.byConnector))
		time.Sleep(time.Millisecond)
		r.Record(t.Context(), Event{Connector: strings.Repeat("n", maxEventBytes)})
		assert.Equal(t, 0, len(r.byConnector), "connectors after one with a name beyond the bound")
		assert.Equal(t, 0, r.bytes)
	})
}

// An event that was forwarded by two workers has the sender of the first one, also if the worker where it happened is
// lost. Events of other requests remain.
func TestForwardedEventHasItsSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := newRecorder("w1")
		second := newRecorder("w2")
		third := newRecorder("w3")
		direct := WithSender(t.Context(), "ben at 10.1.1.2")
		third.Record(direct, Event{Connector: "a", Kind: "changed", Text: "batch.rows"})
		time.Sleep(time.Second)
		anna := WithSender(t.Context(), "anna at 10.1.1.1")
		atSecond := WithSender(t.Context(), "w1")
		atThird := WithSender(t.Context(), "w2")
		assert.Equal(t, "", SenderIn(atThird).Encode(), "before an event")
		third.Record(atThird, Event{Connector: "a", Kind: "changed", Text: "käse = 1"})
		second.RecordCopy(atSecond, SenderIn(atThird).Encode())
		first.RecordCopy(anna, SenderIn(atSecond).Encode())
		first.RecordCopy(anna, "no event")
		const copied = `changed käse = 1/ by "anna at 10.1.1.1" on w3, 1` + "\n"
		merged := Merge(append(append(first.List("a"), second.List("a")...), third.List("a")...))
		assert.Equal(t, copied+`changed batch.rows/ by "ben at 10.1.1.2" on w3, 1`+"\n", lines(merged))
		assert.Equal(t, copied, lines(Merge(append(first.List("a"), second.List("a")...))), "without the third worker")
	})
}

func TestEventWithLongNameIsNotReturned(t *testing.T) {
	t.Parallel()
	for extra, isReturned := range []bool{true, false} {
		ctx := WithSender(t.Context(), "")
		newRecorder("w").Record(ctx, Event{Connector: strings.Repeat("n", maxEventText+extra)})
		assert.Equal(t, isReturned, SenderIn(ctx).Encode() != "", extra)
	}
}
