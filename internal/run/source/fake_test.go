package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// The service of these tests responds with lines. `key=value` is a row, `+key=value` another row with the same index,
// `?text` a row that cannot be decoded, `>path` a linked request, `!kind` an error of the plugin, and the last line is
// `END next more`: the number of the next page, and whether it follows at once.

// service is a model of a service: pages by number, and its faults.
type service struct {
	mu       sync.Mutex
	pages    [][]string // lines without END
	bodies   map[string][]string
	requests []string
	// answer may change the response; nil leaves it unchanged.
	answer func(page int, body string) (status uint16, answer string, cut bool)
	// lose is the number of requests that must not be sent twice and get no response.
	lose int
	// onRequest is called before each response.
	onRequest func(r *wit.Request)
	retry     transport.Retry
	more      bool // END contains more for the last page, too
}

// later makes the trigger "late" return these lines from now on.
func (s *service) later(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = map[string][]string{"/late": lines}
}

func noRetries() transport.Retry {
	times := 3
	return transport.Retry{Max: &times, MinBackoff: time.Second, MaxBackoff: time.Second}
}

func (s *service) Retry() transport.Retry { return s.retry }

func (s *service) Away() bool { return false }

func (s *service) Fetch(ctx context.Context, n wit.RequestBatch) ([]wit.Response, error) {
	out := []wit.Response{}
	for i := range n.Requests {
		a, err := s.Do(ctx, &n.Requests[i])
		if err != nil {
			return nil, err
		}
		a.Response.Body, _ = io.ReadAll(a.Body)
		out = append(out, a.Response)
	}
	return out, nil
}

func (s *service) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for asked := false; !asked || !transport.SendCheckHolds(ctx); asked = true {
		if err := transport.CheckSend(ctx); err != nil {
			return nil, err
		}
	}
	if s.onRequest != nil {
		s.onRequest(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Target)
	if s.lose > 0 && !r.Repeatable && r.Target != "/open" {
		s.lose--
		return nil, &transport.NoResponseError{Method: r.Method, Target: r.Target, Cause: io.ErrUnexpectedEOF}
	}
	status := uint16(200)
	body := ""
	cut := false
	if lines, ok := s.bodies[r.Target]; ok {
		body = strings.Join(lines, "\n") + "\n"
	} else if n, err := strconv.Atoi(strings.TrimPrefix(r.Target, "/page/")); err == nil && n < len(s.pages) {
		b := strings.Builder{}
		for _, line := range s.pages[n] {
			b.WriteString(line + "\n")
		}
		fmt.Fprintf(&b, "END %d %v\n", n+1, s.more || n+1 < len(s.pages))
		body = b.String()
		if s.answer != nil {
			status, body, cut = s.answer(n, body)
		}
	} else if err == nil && n == len(s.pages) {
		body = fmt.Sprintf("END %d false\n", n)
	} else if r.Target != "/open" {
		status = 404
	}
	a := &transport.Answer{Response: wit.Response{Tag: r.Tag, Status: status, Target: r.Target}}
	a.Body = io.NopCloser(&bodyOf{ctx, strings.NewReader(body), cut})
	return a, nil
}

type bodyOf struct {
	ctx  context.Context
	text *strings.Reader
	cut  bool
}

func (b *bodyOf) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.text.Read(p)
	if err == io.EOF && b.cut {
		err = &wit.Error{Kind: wit.ErrorTransient, Message: "the answer broke off"}
	}
	return n, err
}

// reader is the plugin.
type reader struct {
	version     string
	feeds       int
	fingerprint string
	// snapshotsLast makes it read snapshots after everything else.
	snapshotsLast     bool
	exact             bool
	once              bool // its requests must not be sent twice
	acks              bool
	linkedBody        []byte // of linked requests
	pollMs            uint32
	pollsMs           []uint32 // of feeds, before pollMs; zero means none
	polls             bool     // also with a period of 0
	counts            bool     // each page has a different offset
	counted           int64
	refuses           string // offsets that check-offset rejects
	opens             int
	staleOnce         bool
	lostPages         int  // responses to "!given up" that fail with a PageLostError
	wakes             bool // pages without their own position
	changed           wit.MismatchPolicy
	toleratedStatuses []uint16          // of linked requests
	statuses          map[string]uint16 // of responses by their tags
	subscribes        bool
	holds             bool
	stores            bool // at a start it reads a page without a position first
	topic             string
	silent            bool     // has no progress
	asked             []string // the offsets whose progress was asked for
	// second is the page that begins to read the set again; zero means none. Then the keys are compared from page 100
	// on. resumeOffset is where the plugin continues then.
	second       int
	resumeOffset *[]wit.OffsetEntry
	// snapshotHasOffset gives snapshots an offset.
	snapshotHasOffset bool
	keyOffsets        []string // the offsets whose use of keys was asked for
	unknown           []string // the unknown keys of a comparison
	comparisonCount   int      // counts comparisons that have ended
	// The fields from causes to makes are guarded by recordMu.
	causes []string
	// subscribed contains the addresses of the subscriptions, subscription their outcome.
	subscribed   []string
	subscription string
	// makes reports that the subscription is missing and must be created.
	makes bool

	page *readerPage
	// unsolicited contains the responses without a request.
	unsolicited []wit.Response
	// trapCount counts traps, after which there is a new instance.
	trapCount int
	// ignoresSkipRow makes it ignore requests to skip a row.
	ignoresSkipRow bool
}

// recordMu guards the fields that readers record for tests: subscriptions are renewed while the feed is read, and tests
// read the fields concurrently.
var recordMu sync.Mutex

// record records why the next page is requested.
func (r *reader) record(cause string) {
	recordMu.Lock()
	defer recordMu.Unlock()
	r.causes = append(r.causes, cause)
}

// seen returns the causes since the last call of forget, and the addresses of the subscriptions.
func (r *reader) seen() (causes, subscribed []string) {
	recordMu.Lock()
	defer recordMu.Unlock()
	return slices.Clone(r.causes), slices.Clone(r.subscribed)
}

// forget clears the causes, and sets the outcome of later subscriptions.
func (r *reader) forget(subscription string) {
	recordMu.Lock()
	defer recordMu.Unlock()
	r.causes = nil
	r.subscription = subscription
}

type readerPage struct {
	number int
	rest   map[string][]byte
	origin int
	leave  bool
}

func (r *reader) OpenSource(_ context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	if len(answers) == 0 {
		return wit.SourceOpenResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Method: "GET",
			Target: "/open"}},
			State: []byte("asked")}}, nil
	}
	if string(state) != "asked" {
		return wit.SourceOpenResult{}, errors.New("the state did not come back")
	}
	r.opens++
	o := wit.SourceOpened{Context: []byte(r.version)}
	for i := range r.feeds {
		f := wit.Feed{Name: fmt.Sprint("feed", i), Partition: []wit.OffsetEntry{wit.IntegerEntry("feed", int64(i))},
			Topic: fmt.Sprint("topic", i), Fingerprint: r.fingerprint, OnMismatch: r.changed}
		f.Subscribes = r.subscribes
		if r.topic != "" {
			f.Topic = r.topic
		}
		if r.pollMs > 0 || r.polls {
			f.PollEveryMs = &r.pollMs
		}
		if i < len(r.pollsMs) && r.pollsMs[i] > 0 {
			f.PollEveryMs = &r.pollsMs[i]
		}
		o.Feeds = append(o.Feeds, f)
	}
	return wit.SourceOpenResult{Ready: &o}, nil
}

func (r *reader) Next(_ context.Context, context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	if string(context) != r.version {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorInternal, Message: "context of another version"}
	}
	n := 0
	if v, ok := wit.Lookup(offset, "page"); ok {
		n = int(*v.Integer)
	}
	total, _ := wit.Lookup(offset, "total")
	if cause.Trigger != nil {
		r.record("wake " + *cause.Trigger)
		return wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "/" + *cause.Trigger,
				Repeatable: true}}},
			nil
	}
	ended := total.Integer != nil && n >= int(*total.Integer)
	if r.stores && cause.Start != nil {
		r.record("store")
		return wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "/store",
			Repeatable: true}}}, nil
	}
	if r.snapshotsLast && cause.Snapshot != nil && ended {
		r.record("snapshot " + *cause.Snapshot)
		return wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "/snapshot",
				Repeatable: true}}},
			nil
	}
	if (ended && cause.Poll == nil) || (r.snapshotsLast && cause.Snapshot != nil) {
		return wit.NextAction{Idle: wit.Set}, nil
	}
	switch {
	case cause.Snapshot != nil:
		r.record("snapshot " + *cause.Snapshot)
		fetch := wit.Fetch{Request: wit.Request{Method: "GET", Target: "/snapshot", Repeatable: true}}
		if r.snapshotHasOffset {
			fetch.Position = &offset
		}
		return wit.NextAction{Fetch: &fetch}, nil
	case cause.More != nil:
		r.record("more")
	case cause.Poll != nil:
		r.record("poll")
	default:
		r.record("start")
	}
	position := []wit.OffsetEntry{wit.IntegerEntry("page", int64(n))}
	f := wit.Fetch{Request: wit.Request{Method: "GET", Target: fmt.Sprint("/page/", n), Repeatable: !r.once},
		Position: &position, RepeatsExactly: r.exact, Acknowledges: r.acks}
	if r.wakes {
		f.Position = nil
	}
	return wit.NextAction{Fetch: &f}, nil
}

func (r *reader) Begin(_ context.Context, _ []byte, _ uint32, position *[]wit.OffsetEntry,
	response wit.Response) (uint32, error) {
	switch {
	case response.Status == 410:
		return 0, &wit.Error{Kind: wit.ErrorGone, Message: "the link is gone"}
	case response.Status >= 500 || response.Status == 429:
		return 0, &wit.Error{Kind: wit.ErrorTransient, Message: "answered " + strconv.Itoa(int(response.Status))}
	}
	if position == nil && response.Target == "" {
		r.unsolicited = append(r.unsolicited, response)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(response.Target, "/page/"))
	if err != nil {
		n = -1
	}
	r.page = &readerPage{number: n, rest: map[string][]byte{}, origin: -1}
	return 7, nil
}

func (r *reader) Abandon(context.Context, uint32) error { r.page = nil; return nil }

func (r *reader) CheckOffset(_ context.Context, _, offset []wit.OffsetEntry) error {
	if r.refuses != "" && strings.Contains(describeOffset(offset), r.refuses) {
		return &wit.Error{Kind: wit.ErrorIncompatible, Message: "unknown offset"}
	}
	return nil
}

// Progress reads the fields of the offsets that Decode returns: a load has ended at its total.
func (r *reader) Progress(_ context.Context, _ []byte, _ uint32, offset []wit.OffsetEntry) (*wit.LoadProgress, error) {
	r.asked = append(r.asked, describeOffset(offset))
	page, ok := wit.Lookup(offset, "page")
	if !ok || r.silent {
		return nil, nil
	}
	progress := &wit.LoadProgress{Read: uint64(*page.Integer)}
	if total, ended := wit.Lookup(offset, "total"); ended {
		progress.Total = wit.Ptr(uint64(*total.Integer))
		progress.Complete = wit.Ptr("key")
	}
	return progress, nil
}

func (r *reader) Keys(_ context.Context, _ []byte, _ uint32, offset []wit.OffsetEntry) (wit.KeysUse, error) {
	r.keyOffsets = append(r.keyOffsets, describeOffset(offset))
	page := 0
	if v, ok := wit.Lookup(offset, "page"); ok {
		page = int(*v.Integer)
	}
	switch {
	case page < r.second:
		return wit.KeysUse{Remembered: wit.Set}, nil
	case r.second > 0 && page == r.second:
		return wit.KeysUse{Compared: &[]wit.OffsetEntry{wit.IntegerEntry("page", 100)}}, nil
	}
	return wit.KeysUse{Ignored: wit.Set}, nil
}

func (r *reader) Compared(_ context.Context, _ []byte, _ uint32, offset []wit.OffsetEntry,
	unknown [][]byte) (*[]wit.OffsetEntry, error) {
	r.comparisonCount++
	for _, key := range unknown {
		r.unknown = append(r.unknown, string(key))
	}
	return r.resumeOffset, nil
}

func (r *reader) HandleNotification(_ context.Context, _ []byte, n wit.Notification) ([]wit.Trigger, error) {
	if n.Target == "" {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: "garbage"}
	}
	return []wit.Trigger{{Token: n.Target, Ident: string(n.Body), AnswerWhenStored: r.holds}}, nil
}

func (r *reader) Subscribe(_ context.Context, _ []byte, _ uint32, address string, state []byte,
	_ []wit.Response) (wit.CallResult, error) {
	recordMu.Lock()
	defer recordMu.Unlock()
	if state == nil {
		method := "GET"
		if r.makes {
			method = "POST"
		}
		open := wit.Request{Method: method, Target: "/open"}
		return wit.CallResult{Pending: &wit.RequestBatch{Requests: []wit.Request{open}, State: []byte("looked")}}, nil
	}
	r.subscribed = append(r.subscribed, address)
	return wit.CallResult{Done: wit.Ptr(r.subscription)}, nil
}

func (r *reader) Decode(_ context.Context, page uint32, tag string, status uint16, piece []byte, last bool,
	into *record.Batch) (p wit.DecodeResult, err error) {
	if page != 7 || r.page == nil {
		return p, errors.New("no such page")
	}
	switch tag {
	case wit.TagSkipRow:
		r.page.leave = !r.ignoresSkipRow
		return p, nil
	case wit.TagComplete:
		return p, nil
	}
	b := append(r.page.rest[tag], piece...)
	if r.statuses == nil {
		r.statuses = map[string]uint16{}
	}
	r.statuses[tag] = status
	ended := tag != "" || r.page.number < 0
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			break
		}
		b = rest
		switch text := string(line); {
		case text == "":
		case strings.HasPrefix(text, "LATER "): // the trigger is repeated after that many milliseconds
			fmt.Sscanf(text, "LATER %d", &p.WaitMs)
			ended = true
			p.More = true
		case strings.HasPrefix(text, "END "):
			next := 0
			more := false
			fmt.Sscanf(text, "END %d %t", &next, &more)
			ended = true
			at := []wit.OffsetEntry{wit.IntegerEntry("page", int64(next))}
			if r.counts {
				r.counted++
				at = append(at, wit.IntegerEntry("counted", r.counted))
			}
			if !more {
				at = append(at, wit.IntegerEntry("total", int64(next)))
			}
			p.Next = &at
			p.More = more
			if r.wakes {
				p.Next = nil
				p.More = false
			}
		case text[0] == '>' && !r.page.leave:
			p.Linked = append(p.Linked, wit.LinkedRequest{Request: wit.Request{Tag: text[1:], Method: "GET",
				Target:     text[1:],
				Repeatable: true, Body: r.linkedBody}, Tolerate: r.toleratedStatuses})
		case text[0] == '?':
			r.page.origin++
			p.Errors = append(p.Errors, wit.RowError{RowIndex: uint32(r.page.origin), ErrorClass: "x",
				Error: wit.Error{Kind: wit.ErrorData, Message: text[1:]}})
		case text == "!given up" && r.lostPages > 0:
			r.lostPages--
			return p, &plugin.PageLostError{Plugin: "fake", Version: r.version, Cause: errors.New("another page's")}
		case text == "!given up": // given up often enough
		case r.page.leave:
			r.page.leave = false
			r.page.origin++
			start := len(into.Data)
			into.Data = append(into.Data, text...)
			p.Errors = append(p.Errors, wit.RowError{RowIndex: uint32(r.page.origin),
				Error: wit.Error{Kind: wit.ErrorData}, RawStart: uint32(start), RawSize: uint32(len(text))})
		case text == "!trap":
			r.page = nil
			r.trapCount++
			return p, &plugin.Trap{Plugin: "fake", Version: r.version, Function: "decode",
				Reason: errors.New("unreachable")}
		case text == "!stale" && r.staleOnce:
			r.staleOnce = false
			return p, &wit.Error{Kind: wit.ErrorStale, Message: "unknown property"}
		case text == "!stale": // no longer stale
		case text == "!transient":
			return p, &wit.Error{Kind: wit.ErrorTransient, Message: "busy"}
		case text == "!always stale":
			return p, &wit.Error{Kind: wit.ErrorStale, Message: "unknown property"}
		case text[0] == '!':
			return p, &wit.Error{Kind: wit.ErrorData, Message: text[1:]}
		default:
			if text[0] == '+' {
				text = text[1:]
			} else {
				r.page.origin++
			}
			key, value, _ := strings.Cut(text, "=")
			row := wit.Row{RowIndex: uint32(r.page.origin), Partition: -1, Offset: -1, Timestamp: -1}
			row.Key = appendDatum(into, key)
			row.Value = appendDatum(into, value)
			into.Rows = append(into.Rows, row)
		}
	}
	r.page.rest[tag] = slices.Clone(b)
	if last && (!ended || len(b) > 0) {
		return p, &wit.Error{Kind: wit.ErrorData, Message: "the page has no end"}
	}
	return p, nil
}

func appendDatum(b *record.Batch, s string) wit.ValueSlice {
	d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: uint32(len(b.Data)), Size: uint32(len(s))}
	b.Data = append(b.Data, s...)
	return d
}

// fakeCode is a version of the plugin with one instance, which one page at a time may use.
type fakeCode struct {
	reader *reader
	out    sync.Mutex
	closed atomic.Bool
}

func (c *fakeCode) Acquire(ctx context.Context) (Reader, error) {
	c.out.Lock()
	if c.closed.Load() {
		c.out.Unlock()
		return nil, plugin.ErrClosed
	}
	return c.reader, nil
}
func (c *fakeCode) AcquireFresh(ctx context.Context) (Reader, error) { return c.Acquire(ctx) }

func (c *fakeCode) Release(Reader)  { c.out.Unlock() }
func (c *fakeCode) Version() string { return c.reader.version }

// errKilled is the error of every call after the worker was killed.
var errKilled = errors.New("killed")

// broker is Kafka: a log of records and the stored offsets. Writes after the kill have no effect.
type broker struct {
	mu      sync.Mutex
	log     []string // topic/key=value
	offsets map[string][]wit.OffsetEntry
	pending map[string][]wit.OffsetEntry
	// events counts events; at the event number `kill` everything ends.
	events int
	kill   int
	// killAfter, if not zero, kills the worker after that many more stored offsets.
	killAfter int
	flushes   bool // every acknowledged offset is stored at once, otherwise at random
	coin      *rand.Rand
	refuse    string // a record with this text fails
	slow      chan struct{}
	stores    []string
	prompt    []string      // offsets that were to be stored as soon as acknowledged
	storing   time.Duration // how long Flush takes
}

func newBroker() *broker {
	return &broker{offsets: map[string][]wit.OffsetEntry{}, pending: map[string][]wit.OffsetEntry{}, flushes: true}
}

// alive counts an event, and reports false from the kill on.
func (b *broker) alive() bool {
	b.events++
	return b.kill == 0 || b.events < b.kill
}

func (b *broker) Get(_ context.Context, partition []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offsets[describeOffset(partition)], nil
}

func (b *broker) Acknowledged(partition, offset []wit.OffsetEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[describeOffset(partition)] = offset
	if b.flushes || (b.coin != nil && b.coin.IntN(3) == 0) {
		b.flush()
	}
}

func (b *broker) flush() error {
	if !b.alive() {
		return errKilled
	}
	if len(b.pending) == 0 {
		return nil
	}
	for k, v := range b.pending {
		b.offsets[k] = v
		b.stores = append(b.stores, describeOffset(v))
	}
	clear(b.pending)
	b.killAfter--
	if b.killAfter == 0 {
		b.kill = b.events
	}
	return nil
}

func (b *broker) Flush(ctx context.Context) error {
	if b.storing > 0 && pause.For(ctx, b.storing) != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

type fakeBatch struct{ records []kgo.Record }

func (f *fakeBatch) Add() *kgo.Record {
	f.records = append(f.records, kgo.Record{Partition: -1})
	return &f.records[len(f.records)-1]
}
func (f *fakeBatch) Headers(n int) []kgo.RecordHeader { return make([]kgo.RecordHeader, n) }
func (f *fakeBatch) Len() int                         { return len(f.records) }

// fakeProducer acknowledges in order, from its own goroutine.
type fakeProducer struct {
	b     *broker
	queue chan func()
	done  sync.WaitGroup
}

func (b *broker) output(string) (Output, error) {
	p := &fakeProducer{b: b, queue: make(chan func(), 1000)}
	p.done.Go(func() {
		for f := range p.queue {
			f()
		}
	})
	return p, nil
}

func (p *fakeProducer) NewBatch() Batch {
	return &fakeBatch{records: make([]kgo.Record, 0, 2*targetRows+5000)}
}

func (p *fakeProducer) Produce(_ context.Context, batch Batch, upTo kafka.Offset, done func(int, error)) {
	p.queue <- func() {
		if batch.Len() > 0 {
			time.Sleep(time.Millisecond) // acknowledgements are processed before more is written
		}
		if p.b.slow != nil {
			<-p.b.slow
		}
		p.b.mu.Lock()
		var failed error
		n := 0
		for _, r := range batch.(*fakeBatch).records {
			if !p.b.alive() {
				failed = errKilled
				break
			}
			line := fmt.Sprintf("%s/%s=%s", r.Topic, r.Key, r.Value)
			if p.b.refuse != "" && strings.Contains(line, p.b.refuse) {
				failed = errors.New("refused by the broker")
				break
			}
			p.b.log = append(p.b.log, line)
			n++
		}
		if failed == nil && !p.b.alive() {
			failed = errKilled // written, but the response is lost
		}
		p.b.mu.Unlock()
		if failed == nil && upTo.Partition != nil {
			p.b.Acknowledged(upTo.Partition, upTo.Position)
			if upTo.Prompt {
				p.b.mu.Lock()
				p.b.prompt = append(p.b.prompt, describeOffset(upTo.Position))
				p.b.flush()
				p.b.mu.Unlock()
			}
		}
		done(n, failed)
	}
}

func (p *fakeProducer) AtLeastOnce() bool               { return true }
func (p *fakeProducer) OnFailure(func(error))           {}
func (p *fakeProducer) Begin(context.Context) error     { return nil }
func (p *fakeProducer) Commit(context.Context) error    { return nil }
func (p *fakeProducer) Abort(context.Context) error     { return nil }
func (p *fakeProducer) Flush(ctx context.Context) error { return p.b.Flush(ctx) }
func (p *fakeProducer) Close(context.Context) error {
	close(p.queue)
	p.done.Wait()
	return nil
}

func (b *broker) records() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

// asIs is a converter that copies bytes. Values that begin with refuse cannot be converted.
type asIs struct{ refuse string }

func (a asIs) Encode(_ context.Context, dst []byte, _ int, _ string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	if a.refuse != "" && bytes.HasPrefix(b.Bytes(d), []byte(a.refuse)) {
		return dst, false, errors.New("cannot be converted")
	}
	return append(dst, b.Bytes(d)...), d.Encoding == wit.Absent, nil
}
func (a asIs) Decode(_ context.Context, _ string, b []byte, into *record.Batch) (wit.ValueSlice, error) {
	if a.refuse != "" && bytes.HasPrefix(b, []byte(a.refuse)) {
		return wit.ValueSlice{}, errors.New("cannot be read")
	}
	return appendDatum(into, string(b)), nil
}

// world contains the parts of a task.
type world struct {
	service  *service
	versions *runtest.Versions[Reader]
	broker   *broker
	o        Options
	task     *Task
}

func newWorld(r *reader, pages ...[]string) *world {
	if r.feeds == 0 {
		r.feeds = 1
	}
	w := &world{service: &service{pages: pages, retry: noRetries()}, broker: newBroker(),
		versions: runtest.NewVersions[Reader](&fakeCode{reader: r})}
	w.o = Options{Connector: "c", Component: "C", Versions: w.versions, Client: w.service,
		Registry: record.NewRegistry(), Once: true, Offsets: Offsets{StoredOffset: w.broker.Get},
		Stages:    Stages{NewOutput: w.broker.output, NewConverters: converting(asIs{}, asIs{})},
		Telemetry: Telemetry{Logger: slog.New(slog.DiscardHandler)}}
	return w
}

// offer makes a version the candidate of the task, which uses it if it is compatible.
func (w *world) offer(r *reader) { w.versions.SetCandidate(&fakeCode{reader: r}) }

func converting(key, value convert.Converter) func() (convert.Converter, convert.Converter, error) {
	return func() (convert.Converter, convert.Converter, error) { return key, value, nil }
}

// deadLetters returns a topic `dead` whose dead letters are passed to note.
func deadLetters(note func(FailedRow)) *DeadLetters {
	return &DeadLetters{Topic: "dead", NewConverters: converting(asIs{}, asIs{}),
		Headers: func(l FailedRow) []kgo.RecordHeader {
			note(l)
			return nil
		}}
}

// received returns the records in Kafka: the dead letters, and all others.
func (w *world) received() (dead, others []string) {
	for _, record := range w.broker.records() {
		if strings.HasPrefix(record, "dead/") {
			dead = append(dead, record)
		} else {
			others = append(others, record)
		}
	}
	return dead, others
}

// stored returns the offset of the first feed.
func (w *world) stored() string {
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	return describeOffset(w.broker.offsets["feed=0"])
}

// snapshotAt requests a snapshot once, while such a request is sent.
func (w *world) snapshotAt(t *testing.T, task *Task, target string) {
	asked := false
	w.service.onRequest = func(q *wit.Request) {
		if q.Target == target && !asked {
			asked = true
			assert.NoError(t, task.Snapshot("feed0", "now"))
		}
	}
}

// snapshotEnded fails the test if a snapshot of the first feed still waits, or was started against expectation.
func snapshotEnded(t *testing.T, task *Task, started bool) {
	t.Helper()
	s := task.Progress().Feeds[0]
	if s.Snapshots != 0 || s.LastSnapshot.Snapshot != "now" || s.LastSnapshot.Started != started {
		t.Errorf("expected a snapshot, started: %v, found %+v", started, s)
	}
}

// lettersLeft returns dead letters of one topic; look may reject their delivery.
func lettersLeft(left []task.DeadLetter, look func(context.Context, UnreadableReason) error) Replay {
	return Replay{Partition: []wit.OffsetEntry{wit.StringEntry("topic", "dlq")}, Next: func(ctx context.Context,
		unreadable UnreadableReason) (letters []task.DeadLetter, after []wit.OffsetEntry, err error) {
		if look != nil {
			if err := look(ctx, unreadable); err != nil {
				return nil, nil, err
			}
		}
		letters, left = left, nil
		return letters, []wit.OffsetEntry{wit.IntegerEntry("next", 5)}, nil
	}}
}

func (w *world) run(t *testing.T) (*Task, error) {
	t.Helper()
	task := NewTask(w.o)
	return task, task.Run(t.Context())
}

func (w *world) ok(t *testing.T) *Task {
	t.Helper()
	task, err := w.run(t)
	require.NoError(t, err)
	return task
}

// fails runs a task and checks that its error contains these parts.
func (w *world) fails(t *testing.T, parts ...string) *Task {
	t.Helper()
	task, err := w.run(t)
	runtest.Fails(t, err, parts...)
	return task
}

// rows returns lines of n rows whose keys have a prefix.
func rows(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d=v%d", prefix, i, i)
	}
	return out
}
