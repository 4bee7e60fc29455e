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

// service is a fake service with pages by number, and with faults.
type service struct {
	mu       sync.Mutex
	pages    [][]string // lines without END
	bodies   map[string][]string
	requests []string
	// respond, if not nil, may change the response. cut means that the connection breaks after the body.
	respond func(page int, body string) (status uint16, changed string, cut bool)
	// lostResponses is the number of unrepeatable requests that get no response.
	lostResponses int
	// onRequest is called before each response.
	onRequest func(r *wit.Request)
	retry     transport.Retry
	// alwaysMore means that END announces more after the last page, too.
	alwaysMore bool
}

// setLate sets the lines that the trigger "late" returns from now on.
func (s *service) setLate(lines ...string) {
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
	responses := []wit.Response{}
	for i := range n.Requests {
		answer, err := s.Do(ctx, &n.Requests[i])
		if err != nil {
			return nil, err
		}
		answer.Response.Body, _ = io.ReadAll(answer.Body)
		responses = append(responses, answer.Response)
	}
	return responses, nil
}

func (s *service) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for isChecked := false; !isChecked || !transport.SendCheckHolds(ctx); isChecked = true {
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
	if s.lostResponses > 0 && !r.Repeatable && r.Target != "/open" {
		s.lostResponses--
		return nil, &transport.NoResponseError{Method: r.Method, Target: r.Target, Cause: io.ErrUnexpectedEOF}
	}
	status := uint16(200)
	body := ""
	cut := false
	if lines, ok := s.bodies[r.Target]; ok {
		body = strings.Join(lines, "\n") + "\n"
	} else if n, err := strconv.Atoi(strings.TrimPrefix(r.Target, "/page/")); err == nil && n < len(s.pages) {
		page := strings.Builder{}
		for _, line := range s.pages[n] {
			page.WriteString(line + "\n")
		}
		fmt.Fprintf(&page, "END %d %v\n", n+1, s.alwaysMore || n+1 < len(s.pages))
		body = page.String()
		if s.respond != nil {
			status, body, cut = s.respond(n, body)
		}
	} else if err == nil && n == len(s.pages) {
		body = fmt.Sprintf("END %d false\n", n)
	} else if r.Target != "/open" {
		status = 404
	}
	answer := &transport.Answer{Response: wit.Response{Tag: r.Tag, Status: status, Target: r.Target}}
	answer.Body = io.NopCloser(&responseBody{ctx, strings.NewReader(body), cut})
	return answer, nil
}

// responseBody is a body that ends with a transient error if it is cut, and with its context.
type responseBody struct {
	ctx  context.Context
	text *strings.Reader
	cut  bool
}

func (b *responseBody) Read(p []byte) (int, error) {
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
	// snapshotsLast means that it reads snapshots after everything else.
	snapshotsLast     bool
	repeatsExactly    bool
	unrepeatable      bool // its requests must not be sent twice
	acknowledges      bool
	linkedBody        []byte // of linked requests
	pollMs            uint32
	pollsMs           []uint32 // of feeds, instead of pollMs; zero means pollMs
	alwaysPolls       bool     // also with a period of 0
	uniqueOffsets     bool     // the offset contains offsetCount, so that each page has a different one
	offsetCount       int64
	rejectedOffset    string // a part of the offsets that CheckOffset rejects; empty means no offset
	opens             int    // calls of OpenSource that succeeded
	staleOnce         bool   // the next "!stale" fails
	lostPages         int    // responses to "!given up" that fail with a PageLostError
	noPosition        bool   // pages have no position of their own
	onMismatch        wit.MismatchPolicy
	toleratedStatuses []uint16          // of linked requests
	statuses          map[string]uint16 // of responses by their tags
	subscribes        bool
	answerWhenStored  bool
	hasStartPage      bool // at a start it reads a page without a position first
	topic             string
	noProgress        bool
	progressOffsets   []string // arguments of Progress
	// secondLoadPage is the page from which the set is read again; zero means no page. Then the keys are compared from
	// page 100 on, and the plugin continues at resumeOffset.
	secondLoadPage int
	resumeOffset   *[]wit.OffsetEntry
	// snapshotHasOffset means that snapshots have an offset.
	snapshotHasOffset bool
	keyOffsets        []string // arguments of Keys
	unknownKeys       []string // arguments of Compared
	comparisonCount   int      // calls of Compared
	// The fields from causes to subscriptionMissing are guarded by recordMu.
	causes []string
	// subscribed contains the addresses of the subscriptions, subscription their outcome.
	subscribed          []string
	subscription        string
	subscriptionMissing bool // it must be created

	page *readerPage
	// unsolicited contains the responses without a request.
	unsolicited []wit.Response
	// trapCount counts traps, after which a new instance is used.
	trapCount int
	// ignoresSkipRow means that it ignores requests to skip a row.
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

// recorded returns the causes since the last call of reset, and the addresses of the subscriptions.
func (r *reader) recorded() (causes, subscribed []string) {
	recordMu.Lock()
	defer recordMu.Unlock()
	return slices.Clone(r.causes), slices.Clone(r.subscribed)
}

// reset clears the causes, and sets the outcome of later subscriptions.
func (r *reader) reset(subscription string) {
	recordMu.Lock()
	defer recordMu.Unlock()
	r.causes = nil
	r.subscription = subscription
}

// readerPage is the state of an open page.
type readerPage struct {
	number    int               // -1 if the response is not of a page
	remaining map[string][]byte // bytes after the last complete line, by tag
	rowIndex  int               // of the last row
	skipRow   bool              // the next row is reported as an error
}

func (r *reader) OpenSource(_ context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	if len(answers) == 0 {
		return wit.SourceOpenResult{Pending: &wit.RequestBatch{
			Requests: []wit.Request{{Method: "GET", Target: "/open"}},
			State:    []byte("asked"),
		}}, nil
	}
	if string(state) != "asked" {
		return wit.SourceOpenResult{}, errors.New("expected the state of the first call")
	}
	r.opens++
	opened := wit.SourceOpened{Context: []byte(r.version)}
	for i := range r.feeds {
		f := wit.Feed{Name: fmt.Sprint("feed", i), Partition: []wit.OffsetEntry{wit.IntegerEntry("feed", int64(i))},
			Topic: fmt.Sprint("topic", i), Fingerprint: r.fingerprint, OnMismatch: r.onMismatch}
		f.Subscribes = r.subscribes
		if r.topic != "" {
			f.Topic = r.topic
		}
		if r.pollMs > 0 || r.alwaysPolls {
			f.PollEveryMs = &r.pollMs
		}
		if i < len(r.pollsMs) && r.pollsMs[i] > 0 {
			f.PollEveryMs = &r.pollsMs[i]
		}
		opened.Feeds = append(opened.Feeds, f)
	}
	return wit.SourceOpenResult{Ready: &opened}, nil
}

// fetchOf returns the action of a repeatable request without a position.
func fetchOf(target string) wit.NextAction {
	return wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: target, Repeatable: true}}}
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
		return fetchOf("/" + *cause.Trigger), nil
	}
	isEnd := total.Integer != nil && n >= int(*total.Integer)
	if r.hasStartPage && cause.Start != nil {
		r.record("store")
		return fetchOf("/store"), nil
	}
	if r.snapshotsLast && cause.Snapshot != nil && isEnd {
		r.record("snapshot " + *cause.Snapshot)
		return fetchOf("/snapshot"), nil
	}
	if (isEnd && cause.Poll == nil) || (r.snapshotsLast && cause.Snapshot != nil) {
		return wit.NextAction{Idle: wit.Set}, nil
	}
	switch {
	case cause.Snapshot != nil:
		r.record("snapshot " + *cause.Snapshot)
		action := fetchOf("/snapshot")
		if r.snapshotHasOffset {
			action.Fetch.Position = &offset
		}
		return action, nil
	case cause.More != nil:
		r.record("more")
	case cause.Poll != nil:
		r.record("poll")
	default:
		r.record("start")
	}
	position := []wit.OffsetEntry{wit.IntegerEntry("page", int64(n))}
	fetch := wit.Fetch{Request: wit.Request{Method: "GET", Target: fmt.Sprint("/page/", n),
		Repeatable: !r.unrepeatable},
		Position: &position, RepeatsExactly: r.repeatsExactly, Acknowledges: r.acknowledges}
	if r.noPosition {
		fetch.Position = nil
	}
	return wit.NextAction{Fetch: &fetch}, nil
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
	r.page = &readerPage{number: n, remaining: map[string][]byte{}, rowIndex: -1}
	return 7, nil
}

func (r *reader) Abandon(context.Context, uint32) error { r.page = nil; return nil }

func (r *reader) CheckOffset(_ context.Context, _, offset []wit.OffsetEntry) error {
	if r.rejectedOffset != "" && strings.Contains(describeOffset(offset), r.rejectedOffset) {
		return &wit.Error{Kind: wit.ErrorIncompatible, Message: "unknown offset"}
	}
	return nil
}

// Progress reads the fields of the offsets that Decode returns: a load has ended at its total.
func (r *reader) Progress(_ context.Context, _ []byte, _ uint32, offset []wit.OffsetEntry) (*wit.LoadProgress, error) {
	r.progressOffsets = append(r.progressOffsets, describeOffset(offset))
	page, ok := wit.Lookup(offset, "page")
	if !ok || r.noProgress {
		return nil, nil
	}
	progress := &wit.LoadProgress{Read: uint64(*page.Integer)}
	if total, ok := wit.Lookup(offset, "total"); ok {
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
	case page < r.secondLoadPage:
		return wit.KeysUse{Remembered: wit.Set}, nil
	case r.secondLoadPage > 0 && page == r.secondLoadPage:
		return wit.KeysUse{Compared: &[]wit.OffsetEntry{wit.IntegerEntry("page", 100)}}, nil
	}
	return wit.KeysUse{Ignored: wit.Set}, nil
}

func (r *reader) Compared(_ context.Context, _ []byte, _ uint32, offset []wit.OffsetEntry,
	unknown [][]byte) (*[]wit.OffsetEntry, error) {
	r.comparisonCount++
	for _, key := range unknown {
		r.unknownKeys = append(r.unknownKeys, string(key))
	}
	return r.resumeOffset, nil
}

func (r *reader) HandleNotification(_ context.Context, _ []byte, n wit.Notification) ([]wit.Trigger, error) {
	if n.Target == "" {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: "garbage"}
	}
	return []wit.Trigger{{Token: n.Target, Ident: string(n.Body), AnswerWhenStored: r.answerWhenStored}}, nil
}

func (r *reader) Subscribe(_ context.Context, _ []byte, _ uint32, address string, state []byte,
	_ []wit.Response) (wit.CallResult, error) {
	recordMu.Lock()
	defer recordMu.Unlock()
	if state == nil {
		method := "GET"
		if r.subscriptionMissing {
			method = "POST"
		}
		request := wit.Request{Method: method, Target: "/open"}
		return wit.CallResult{Pending: &wit.RequestBatch{Requests: []wit.Request{request}, State: []byte("asked")}}, nil
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
		r.page.skipRow = !r.ignoresSkipRow
		return p, nil
	case wit.TagComplete:
		return p, nil
	}
	buffered := append(r.page.remaining[tag], piece...)
	if r.statuses == nil {
		r.statuses = map[string]uint16{}
	}
	r.statuses[tag] = status
	isEnd := tag != "" || r.page.number < 0
	for {
		line, remaining, ok := bytes.Cut(buffered, []byte("\n"))
		if !ok {
			break
		}
		buffered = remaining
		switch text := string(line); {
		case text == "": // an empty line has no meaning
		case strings.HasPrefix(text, "LATER "): // the trigger is repeated after that many milliseconds
			fmt.Sscanf(text, "LATER %d", &p.WaitMs)
			isEnd = true
			p.More = true
		case strings.HasPrefix(text, "END "):
			next := 0
			more := false
			fmt.Sscanf(text, "END %d %t", &next, &more)
			isEnd = true
			nextOffset := []wit.OffsetEntry{wit.IntegerEntry("page", int64(next))}
			if r.uniqueOffsets {
				r.offsetCount++
				nextOffset = append(nextOffset, wit.IntegerEntry("counted", r.offsetCount))
			}
			if !more {
				nextOffset = append(nextOffset, wit.IntegerEntry("total", int64(next)))
			}
			p.Next = &nextOffset
			p.More = more
			if r.noPosition {
				p.Next = nil
				p.More = false
			}
		case text[0] == '>' && !r.page.skipRow:
			p.Linked = append(p.Linked, wit.LinkedRequest{Request: wit.Request{Tag: text[1:], Method: "GET",
				Target: text[1:], Repeatable: true, Body: r.linkedBody}, Tolerate: r.toleratedStatuses})
		case text[0] == '?':
			r.page.rowIndex++
			p.Errors = append(p.Errors, wit.RowError{RowIndex: uint32(r.page.rowIndex), ErrorClass: "x",
				Error: wit.Error{Kind: wit.ErrorData, Message: text[1:]}})
		case text == "!given up" && r.lostPages > 0:
			r.lostPages--
			return p, &plugin.PageLostError{Plugin: "fake", Version: r.version, Cause: errors.New("another page's")}
		case text == "!given up": // lostPages responses have failed
		case r.page.skipRow:
			r.page.skipRow = false
			r.page.rowIndex++
			start := len(into.Data)
			into.Data = append(into.Data, text...)
			p.Errors = append(p.Errors, wit.RowError{RowIndex: uint32(r.page.rowIndex),
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
				r.page.rowIndex++
			}
			key, value, _ := strings.Cut(text, "=")
			row := wit.Row{RowIndex: uint32(r.page.rowIndex), Partition: -1, Offset: -1, Timestamp: -1}
			row.Key = appendDatum(into, key)
			row.Value = appendDatum(into, value)
			into.Rows = append(into.Rows, row)
		}
	}
	r.page.remaining[tag] = slices.Clone(buffered)
	if last && (!isEnd || len(buffered) > 0) {
		return p, &wit.Error{Kind: wit.ErrorData, Message: "the page has no end"}
	}
	return p, nil
}

// appendDatum appends s to the data of a batch.
func appendDatum(b *record.Batch, s string) wit.ValueSlice {
	d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: uint32(len(b.Data)), Size: uint32(len(s))}
	b.Data = append(b.Data, s...)
	return d
}

// fakeCode is a version of the plugin with one instance, which one page at a time may use.
type fakeCode struct {
	reader *reader
	inUse  sync.Mutex // held from Acquire to Release
	closed atomic.Bool
}

func (c *fakeCode) Acquire(ctx context.Context) (Reader, error) {
	c.inUse.Lock()
	if c.closed.Load() {
		c.inUse.Unlock()
		return nil, plugin.ErrClosed
	}
	return c.reader, nil
}
func (c *fakeCode) AcquireFresh(ctx context.Context) (Reader, error) { return c.Acquire(ctx) }

func (c *fakeCode) Release(Reader)  { c.inUse.Unlock() }
func (c *fakeCode) Version() string { return c.reader.version }

// errKilled is the error of every call after the worker was killed.
var errKilled = errors.New("killed")

// broker is Kafka: a log of records and the stored offsets. Writes after the kill have no effect.
type broker struct {
	mu      sync.Mutex
	log     []string // topic/key=value
	offsets map[string][]wit.OffsetEntry
	pending map[string][]wit.OffsetEntry
	// eventCount counts events. The worker is killed at the event number killAt; zero means never.
	eventCount int
	killAt     int
	// killAfter, if not zero, kills the worker after that many more stored offsets.
	killAfter     int
	storesAtOnce  bool          // every acknowledged offset is stored at once, otherwise at random
	random        *rand.Rand    // nil means that Acknowledged stores no offset unless storesAtOnce
	rejectedText  string        // a record with this text fails; empty means no record
	ackGate       chan struct{} // if not nil, each batch waits for a value
	storedOffsets []string
	promptOffsets []string      // offsets that had to be stored when they were acknowledged
	flushDelay    time.Duration // how long Flush takes
}

func newBroker() *broker {
	return &broker{offsets: map[string][]wit.OffsetEntry{}, pending: map[string][]wit.OffsetEntry{}, storesAtOnce: true}
}

// countEvent counts an event, and reports whether the worker still runs.
func (b *broker) countEvent() (isAlive bool) {
	b.eventCount++
	return b.killAt == 0 || b.eventCount < b.killAt
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
	if b.storesAtOnce || (b.random != nil && b.random.IntN(3) == 0) {
		b.flush()
	}
}

// flush stores the pending offsets. b.mu must be held.
func (b *broker) flush() error {
	if !b.countEvent() {
		return errKilled
	}
	if len(b.pending) == 0 {
		return nil
	}
	for partition, offset := range b.pending {
		b.offsets[partition] = offset
		b.storedOffsets = append(b.storedOffsets, describeOffset(offset))
	}
	clear(b.pending)
	b.killAfter--
	if b.killAfter == 0 {
		b.killAt = b.eventCount
	}
	return nil
}

func (b *broker) Flush(ctx context.Context) error {
	if b.flushDelay > 0 && pause.For(ctx, b.flushDelay) != nil {
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
	broker *broker
	queue  chan func()
	done   sync.WaitGroup
}

// output implements [Stages.NewOutput].
func (b *broker) output(string) (Output, error) {
	p := &fakeProducer{broker: b, queue: make(chan func(), 1000)}
	p.done.Go(func() {
		for acknowledge := range p.queue {
			acknowledge()
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
		if p.broker.ackGate != nil {
			<-p.broker.ackGate
		}
		p.broker.mu.Lock()
		var err error
		n := 0
		for _, r := range batch.(*fakeBatch).records {
			if !p.broker.countEvent() {
				err = errKilled
				break
			}
			line := fmt.Sprintf("%s/%s=%s", r.Topic, r.Key, r.Value)
			if p.broker.rejectedText != "" && strings.Contains(line, p.broker.rejectedText) {
				err = errors.New("refused by the broker")
				break
			}
			p.broker.log = append(p.broker.log, line)
			n++
		}
		if err == nil && !p.broker.countEvent() {
			err = errKilled // written, but the response is lost
		}
		p.broker.mu.Unlock()
		if err == nil && upTo.Partition != nil {
			p.broker.Acknowledged(upTo.Partition, upTo.Position)
			if upTo.Prompt {
				p.broker.mu.Lock()
				p.broker.promptOffsets = append(p.broker.promptOffsets, describeOffset(upTo.Position))
				p.broker.flush()
				p.broker.mu.Unlock()
			}
		}
		done(n, err)
	}
}

func (p *fakeProducer) AtLeastOnce() bool               { return true }
func (p *fakeProducer) OnFailure(func(error))           {}
func (p *fakeProducer) Begin(context.Context) error     { return nil }
func (p *fakeProducer) Commit(context.Context) error    { return nil }
func (p *fakeProducer) Abort(context.Context) error     { return nil }
func (p *fakeProducer) Flush(ctx context.Context) error { return p.broker.Flush(ctx) }
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

// copyingConverter copies bytes. Values that begin with reject cannot be converted; an empty reject rejects no value.
type copyingConverter struct{ reject string }

func (c copyingConverter) Encode(_ context.Context, dst []byte, _ int, _ string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	if c.reject != "" && bytes.HasPrefix(b.Bytes(d), []byte(c.reject)) {
		return dst, false, errors.New("cannot be converted")
	}
	return append(dst, b.Bytes(d)...), d.Encoding == wit.Absent, nil
}
func (c copyingConverter) Decode(_ context.Context, _ string, b []byte, into *record.Batch) (wit.ValueSlice, error) {
	if c.reject != "" && bytes.HasPrefix(b, []byte(c.reject)) {
		return wit.ValueSlice{}, errors.New("cannot be read")
	}
	return appendDatum(into, string(b)), nil
}

// world contains a task and the fakes around it.
type world struct {
	service  *service
	versions *runtest.Versions[Reader]
	broker   *broker
	o        Options
	task     *Task // set by tests that need it while it runs
}

// newWorld returns a world whose task reads everything once. The service has the pages.
func newWorld(r *reader, pages ...[]string) *world {
	if r.feeds == 0 {
		r.feeds = 1
	}
	w := &world{service: &service{pages: pages, retry: noRetries()}, broker: newBroker(),
		versions: runtest.NewVersions[Reader](&fakeCode{reader: r})}
	w.o = Options{Connector: "c", Component: "C", Versions: w.versions, Client: w.service,
		Registry: record.NewRegistry(), Once: true, Offsets: Offsets{StoredOffset: w.broker.Get},
		Stages: Stages{NewOutput: w.broker.output, NewConverters: converterFactory(copyingConverter{},
			copyingConverter{})},
		Telemetry: Telemetry{Logger: slog.New(slog.DiscardHandler)}}
	return w
}

// offer makes a version the candidate of the task, which uses it if it is compatible.
func (w *world) offer(r *reader) { w.versions.SetCandidate(&fakeCode{reader: r}) }

// converterFactory returns a [Stages.NewConverters] for two converters.
func converterFactory(key, value convert.Converter) func() (convert.Converter, convert.Converter, error) {
	return func() (convert.Converter, convert.Converter, error) { return key, value, nil }
}

// newDeadLetters returns a topic `dead` whose dead letters are passed to onLetter.
func newDeadLetters(onLetter func(FailedRow)) *DeadLetters {
	return &DeadLetters{Topic: "dead", NewConverters: converterFactory(copyingConverter{}, copyingConverter{}),
		Headers: func(l FailedRow) []kgo.RecordHeader {
			onLetter(l)
			return nil
		}}
}

// splitRecords returns the records in Kafka: the dead letters, and all others.
func (w *world) splitRecords() (dead, others []string) {
	for _, record := range w.broker.records() {
		if strings.HasPrefix(record, "dead/") {
			dead = append(dead, record)
		} else {
			others = append(others, record)
		}
	}
	return dead, others
}

// storedOffset describes the stored offset of the first feed.
func (w *world) storedOffset() string {
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	return describeOffset(w.broker.offsets["feed=0"])
}

// requestSnapshotAt requests a snapshot during the first request with the target.
func (w *world) requestSnapshotAt(t *testing.T, task *Task, target string) {
	isRequested := false
	w.service.onRequest = func(q *wit.Request) {
		if q.Target == target && !isRequested {
			isRequested = true
			assert.NoError(t, task.Snapshot("feed0", "now"))
		}
	}
}

// checkSnapshotEnded checks that no snapshot of the first feed waits, and whether one was started.
func checkSnapshotEnded(t *testing.T, task *Task, wantStarted bool) {
	t.Helper()
	s := task.Progress().Feeds[0]
	assert.True(t, s.Snapshots == 0 && s.LastSnapshot.Snapshot == "now" && s.LastSnapshot.Started == wantStarted,
		"expected an ended snapshot, started %t, found %+v", wantStarted, s)
}

// replayOf returns a replay of the dead letters of one topic. check, if not nil, may prevent their delivery.
func replayOf(remaining []task.DeadLetter, check func(context.Context, UnreadableReason) error) Replay {
	return Replay{Partition: []wit.OffsetEntry{wit.StringEntry("topic", "dlq")}, Next: func(ctx context.Context,
		unreadable UnreadableReason) (letters []task.DeadLetter, after []wit.OffsetEntry, err error) {
		if check != nil {
			if err := check(ctx, unreadable); err != nil {
				return nil, nil, err
			}
		}
		letters = remaining
		remaining = nil
		return letters, []wit.OffsetEntry{wit.IntegerEntry("next", 5)}, nil
	}}
}

// run runs a new task to its end.
func (w *world) run(t *testing.T) (*Task, error) {
	t.Helper()
	task := NewTask(w.o)
	return task, task.Run(t.Context())
}

// mustRun runs a task, which must not fail.
func (w *world) mustRun(t *testing.T) *Task {
	t.Helper()
	task, err := w.run(t)
	require.NoError(t, err)
	return task
}

// mustFail runs a task and checks that its error contains these parts.
func (w *world) mustFail(t *testing.T, parts ...string) *Task {
	t.Helper()
	task, err := w.run(t)
	runtest.Fails(t, err, parts...)
	return task
}

// rows returns lines of n rows, whose keys are the prefix and a number.
func rows(prefix string, n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%s%d=v%d", prefix, i, i)
	}
	return lines
}
