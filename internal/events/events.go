// Package events keeps what happened to connectors since the worker's start: who changed them, why they failed, what
// they run. A [Recorder] has the events of one worker, [Merge] joins those of a group.
//
// An event is recorded where it happens. Its sender is known where the request arrived: the worker that handles a
// forwarded request returns the event with its answer ([Sender.Encode]), and the worker that has forwarded it records a
// copy with its own sender ([Recorder.RecordCopy]).
package events

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/shown"
)

// Event is something that happened to a connector.
type Event struct {
	Connector string    `json:"connector"`
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`                    // a word for what happened, such as changed
	Text      string    `json:"text"`                    // such as the names of the settings that differ; may be ""
	Reason    string    `json:"reason" quotes:"records"` // why something failed, else ""
	// By is the user and address of the sender, or the file; "" if the worker did it by itself.
	By     string `json:"by"`
	Worker string `json:"worker"` // the worker where it happened
	Count  int    `json:"count"`  // number of equal events that followed each other; Time is the time of the last one
	// Request identifies the sender's request, "" without one. Hops is the number of workers that forwarded it before
	// the copy was recorded, 0 for the original.
	Request string `json:"request,omitempty"`
	Hops    int    `json:"hops,omitempty"`
}

// Bounds of a recorder. The oldest events are dropped first.
const (
	maxEvents     = 100     // of a connector
	maxEventBytes = 4 << 20 // of all connectors
	maxEventText  = 300     // characters of each text
	eventBytes    = 256     // of an event without its texts
)

func (e *Event) bytes() int {
	return eventBytes + len(e.Connector) + len(e.Text) + len(e.Reason) + len(e.By) + len(e.Worker)
}

// equals reports whether the events differ only in their times and counts.
func (e Event) equals(other Event) bool {
	e.Time = other.Time
	e.Count = other.Count
	return e == other
}

// Recorder keeps the newest events of each connector, also of deleted ones. It is safe for concurrent use.
type Recorder struct {
	worker string
	redact func(string) string

	mu          sync.Mutex
	byConnector map[string][]Event // the oldest first, never empty
	bytes       int                // the sum over all events
}

// New returns a recorder for a worker. redact removes secrets from texts.
func New(worker string, redact func(string) string) *Recorder {
	return &Recorder{worker: worker, redact: redact, byConnector: map[string][]Event{}}
}

// Record adds an event of this worker with the current time and the sender in ctx, if any. A nil recorder ignores it.
func (r *Recorder) Record(ctx context.Context, e Event) {
	if r == nil {
		return
	}
	e.Time = time.Now().UTC().Truncate(time.Microsecond)
	e.Worker = r.worker
	e.Count = 1
	sender := SenderIn(ctx)
	if sender != nil {
		e.By = sender.by
		e.Request = sender.request
	}
	r.add(e, sender)
}

// RecordCopy adds a copy of an event that another worker has returned for a forwarded request, with the sender in ctx.
// It ignores other texts, and contexts without a sender.
func (r *Recorder) RecordCopy(ctx context.Context, encoded string) {
	var e Event
	document, err := url.QueryUnescape(encoded)
	if sender := SenderIn(ctx); sender != nil && err == nil && json.Unmarshal([]byte(document), &e) == nil {
		e.By = sender.by
		e.Hops++
		r.add(e, sender)
	}
}

func (r *Recorder) add(e Event, sender *Sender) {
	for _, field := range []*string{&e.Text, &e.Reason, &e.By, &e.Worker} {
		*field = shown.LineUpTo(r.redact(*field), maxEventText)
	}
	if sender != nil && sender.event == nil {
		sender.event = &e
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.byConnector[e.Connector]
	if n := len(list); n > 0 && e.equals(list[n-1]) {
		list[n-1].Time = e.Time
		list[n-1].Count++
		return
	}
	r.byConnector[e.Connector] = append(list, e)
	r.bytes += e.bytes()
	if len(list) == maxEvents { // without e
		r.drop(e.Connector)
	}
	for r.bytes > maxEventBytes {
		oldest := e.Connector
		for name, events := range r.byConnector {
			if events[0].Time.Before(r.byConnector[oldest][0].Time) {
				oldest = name
			}
		}
		r.drop(oldest)
	}
}

// drop removes the oldest event of a connector.
func (r *Recorder) drop(connector string) {
	list := r.byConnector[connector]
	r.bytes -= list[0].bytes()
	r.byConnector[connector] = slices.Delete(list, 0, 1)
	if len(list) == 1 {
		delete(r.byConnector, connector)
	}
}

// List returns the events of a connector, the newest first.
func (r *Recorder) List(connector string) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Merge(slices.Clone(r.byConnector[connector]))
}

// Merge sorts the events of a connector on all workers, the newest first, and returns the newest of them. Of an event
// and its copies only the copy with the sender remains. It changes its argument.
func Merge(list []Event) []Event {
	hops := map[string]int{} // by request and kind, which copies have in common
	for _, e := range list {
		hops[e.Request+e.Kind] = max(hops[e.Request+e.Kind], e.Hops)
	}
	list = slices.DeleteFunc(list, func(e Event) bool { return e.Hops < hops[e.Request+e.Kind] })
	slices.SortStableFunc(list, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return append([]Event{}, list[:min(len(list), maxEvents)]...)
}

// Sender is the sender of a request in progress. It belongs to the request's goroutine.
type Sender struct {
	by      string // user and address
	request string // identifies the request
	event   *Event // the first one that was recorded; nil before
}

type senderKey struct{}

// WithSender returns a context with which events get a sender, given as user and address.
func WithSender(ctx context.Context, by string) context.Context {
	return context.WithValue(ctx, senderKey{}, &Sender{by: by, request: rand.Text()})
}

// SenderIn returns the sender in a context, nil without one.
func SenderIn(ctx context.Context) *Sender {
	sender, _ := ctx.Value(senderKey{}).(*Sender)
	return sender
}

// Encode returns the event of the request for the worker that has forwarded it, "" without one. An event with a long
// name is not returned, because headers have a bound.
func (s *Sender) Encode() string {
	if s.event == nil || len(s.event.Connector) > maxEventText {
		return ""
	}
	data, _ := json.Marshal(s.event) // texts and numbers can be encoded
	return url.QueryEscape(string(data))
}
