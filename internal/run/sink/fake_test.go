package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// group is Kafka for one member: partitions with records, and committed offsets.
type group struct {
	mu        sync.Mutex
	logs      map[topicPartition][]*kgo.Record
	at        map[topicPartition]int64
	committed map[topicPartition]int64
	metadata  map[topicPartition]string
	owned     map[topicPartition]bool
	commits   int
	wake      chan struct{}
	events    kafka.Rebalances
	atMost    int
	refuse    error // commits fail with it
	away      error // nobody can say whether the member is one
	longest   int   // of the metadata, in bytes
	takes     int   // the longest text that brokers take; 0: kafka.MaxCommitText
	// found replaces the stored metadata at the next assignment.
	found map[topicPartition]kafka.CommitMetadata
	// stored, if not nil, is called with what is stored.
	stored func(next int64, metadata string)
}

func newGroup() *group {
	return &group{logs: map[topicPartition][]*kgo.Record{}, at: map[topicPartition]int64{},
		committed: map[topicPartition]int64{}, metadata: map[topicPartition]string{}, owned: map[topicPartition]bool{},
		wake: make(chan struct{}, 1), atMost: 100}
}

// put appends records `key=value` to a partition; `key` alone is a tombstone.
func (g *group) put(topic string, partition int32, lines ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := topicPartition{topic, partition}
	for _, line := range lines {
		key, value, more := strings.Cut(line, "=")
		r := &kgo.Record{Topic: topic, Partition: partition, Offset: int64(len(g.logs[p])), Key: []byte(key),
			Timestamp: time.UnixMilli(7)}
		if more {
			r.Value = []byte(value)
		}
		g.logs[p] = append(g.logs[p], r)
	}
	if g.logs[p] == nil {
		g.logs[p] = []*kgo.Record{}
	}
	g.ring()
}

// failCommits makes commits fail from now on; nil makes them succeed.
func (g *group) failCommits(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = err
}

// setUnreachable makes commits and membership checks fail; nil makes the group reachable.
func (g *group) setUnreachable(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = err
	g.away = err
}

func (g *group) ring() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *group) join(_ []string, r kafka.Rebalances) (Consumer, error) {
	g.events = r
	for p := range g.logs {
		g.assign(p)
	}
	return g, nil
}

func (g *group) assign(p topicPartition) {
	g.events.Assigned(map[string][]int32{p.topic: {p.partition}})
	g.mu.Lock()
	next, ok := g.committed[p]
	metadata := g.metadata[p]
	g.mu.Unlock()
	if !ok {
		next = -1
	}
	found, moved := g.found[p]
	if !moved {
		found = kafka.CommitMetadata{WrittenFor: next, Verified: true, End: int64(len(g.logs[p]))}
	}
	delete(g.found, p)
	found.Text = metadata
	g.events.Committed(p.topic, p.partition, next, found)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at[p] = g.committed[p]
	g.owned[p] = true
	if g.committed[p] > int64(len(g.logs[p])) {
		g.at[p] = 0 // auto.offset.reset=earliest
	}
	g.ring()
}

// revoke revokes a partition, as a rebalance does.
func (g *group) revoke(ctx context.Context, p topicPartition) {
	settled := g.events.Revoked(ctx, map[string][]int32{p.topic: {p.partition}})
	g.Commit(ctx, settled)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.owned, p)
}

// lose removes a partition, as an unreachable group does.
func (g *group) lose(p topicPartition) {
	g.mu.Lock()
	delete(g.owned, p)
	g.mu.Unlock()
	g.events.Lost(map[string][]int32{p.topic: {p.partition}})
}

func (g *group) Poll(ctx context.Context) ([]*kgo.Record, error) {
	for {
		if out := g.polled(); len(out) > 0 {
			return out, nil
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *group) polled() []*kgo.Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	var tps []topicPartition
	for p := range g.owned {
		tps = append(tps, p)
	}
	slices.SortFunc(tps, func(a, b topicPartition) int { return int(a.partition - b.partition) })
	var out []*kgo.Record
	for _, p := range tps {
		for g.at[p] < int64(len(g.logs[p])) && len(out) < g.atMost {
			out = append(out, g.logs[p][g.at[p]])
			g.at[p]++
		}
	}
	return out
}

func (g *group) Commit(_ context.Context, offsets kafka.Offsets) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.commit(offsets)
}

// commit is Commit for callers that hold mu.
func (g *group) commit(offsets kafka.Offsets) error {
	g.commits++
	if g.refuse != nil {
		return g.refuse
	}
	limit := kafka.MaxCommitText
	if g.takes > 0 {
		limit = g.takes
		g.events.MetadataLimit(limit)
	}
	for topic, partitions := range offsets {
		for n, at := range partitions {
			p := topicPartition{topic, n}
			if g.owned[p] {
				metadata, ok := g.events.Metadata(topic, n, at.Offset)
				if !ok {
					continue
				}
				if at.Offset < g.committed[p] && g.committed[p] <= int64(len(g.logs[p])) {
					panic("a commit went back")
				}
				if len(metadata) > limit {
					panic("metadata is too long")
				}
				g.committed[p] = at.Offset
				g.metadata[p] = metadata
				if g.longest = max(g.longest, len(metadata)); g.stored != nil {
					g.stored(at.Offset, metadata)
				}
			}
		}
	}
	return nil
}

// CheckMembership fails while the group is unreachable.
func (g *group) CheckMembership(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.away
}

// IsSessionValid returns the result of CheckMembership.
func (g *group) IsSessionValid() bool { return g.CheckMembership(context.Background()) == nil }

func (g *group) Close() {}

func (g *group) caughtUp(context.Context) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, log := range g.logs {
		if g.committed[p] < int64(len(log)) {
			return false, nil
		}
	}
	return true, nil
}

// service handles requests; it responds with the result of `answer`, or 201 by default.
type service struct {
	mu       sync.Mutex
	requests []string
	busy     int
	maxBusy  int
	slow     time.Duration
	slowFor  map[string]time.Duration // by body, beyond slow
	slowBy   func(body string) time.Duration
	answer   func(n int, body string) (uint16, error)
	retry    transport.Retry
	headers  []wit.Header // of all answers
}

func (s *service) Retry() transport.Retry { return s.retry }

func (s *service) Away() bool { return false }
func (s *service) Fetch(context.Context, wit.RequestBatch) ([]wit.Response, error) {
	return nil, errors.New("not asked for")
}

func (s *service) Exchange(ctx context.Context, r *wit.Request) (wit.Response, error) {
	for retryAfter := false; !retryAfter || !transport.SendCheckHolds(ctx); retryAfter = true {
		if err := transport.CheckSend(ctx); err != nil {
			return wit.Response{}, err
		}
	}
	s.mu.Lock()
	body := string(r.Body)
	s.requests = append(s.requests, body)
	n := len(s.requests)
	s.busy++
	s.maxBusy = max(s.maxBusy, s.busy)
	s.mu.Unlock()
	slow := s.slow + s.slowFor[body]
	if s.slowBy != nil {
		slow += s.slowBy(body)
	}
	timer := time.NewTimer(slow)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = &transport.NoResponseError{Method: r.Method, Target: r.Target, Cause: context.Cause(ctx)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	status := uint16(201)
	if err == nil && s.answer != nil {
		status, err = s.answer(n, body)
	}
	return wit.Response{Tag: r.Tag, Status: status, Target: r.Target, Headers: s.headers}, err
}

// byBody responds to these bodies with these statuses, 0 for no response, and to all others with 201.
func byBody(statuses map[string]uint16) func(int, string) (uint16, error) {
	return func(_ int, body string) (uint16, error) {
		status, ok := statuses[body]
		switch {
		case !ok:
			return 201, nil
		case status == 0:
			return 0, lostResponse()
		}
		return status, nil
	}
}

// lostResponse returns the outcome of a request that may have arrived.
func lostResponse() error {
	return &transport.NoResponseError{Method: "POST", Target: "/Set", Cause: errors.New("connection reset")}
}

func (s *service) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// writer is the plugin: a request for each row, or for `each` rows of a lane; lanes are chosen by the first byte of the
// key. A row whose value begins with ! is rejected by encode, ~ is ignored, # traps... The body contains hints after a
// ?.
type writer struct {
	mu        sync.Mutex
	version   string
	topics    []string
	each      int
	waitMs    uint32 // of verdicts `again`
	staleOnce bool
	opens     int
	trap      error
	// settleErrs are the results of the next calls of settle.
	settleErrs []error
	// hangs makes settle wait for the end of its context.
	hangs bool
	// openErrs are the results of the next calls of open, after the first one.
	openErrs []error
	// code is the code in the faults of responses with status 500 and above.
	code *string
	// repeatable reports whether its requests may be sent twice.
	repeatable bool
	// statuses replaces the response's status for rows by their index in the batch, as the response to a batch does.
	statuses map[uint32]uint16
	// blind, if not nil, replaces the result of rows whose request got no response.
	blind *wit.RowResult
	// warnings is the number of warnings of each response.
	warnings int
	// encoded counts the rows that were encoded.
	encoded int
	// given contains the record IDs of these rows.
	given []wit.RecordID
	// made, if not nil, changes the result of encode.
	made func(d *wit.EncodeResult, hints []wit.Hint) error
}

func (w *writer) OpenSink(context.Context, string, []wit.Setting, []byte, []wit.Response) (wit.SinkOpenResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opens++
	if w.opens > 1 && len(w.openErrs) > 0 {
		err := w.openErrs[0]
		w.openErrs = w.openErrs[1:]
		return wit.SinkOpenResult{}, err
	}
	return wit.SinkOpenResult{Ready: &wit.SinkOpened{Context: []byte(w.version), Topics: w.topics}}, nil
}

func (w *writer) Encode(_ context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (d wit.EncodeResult, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if string(context) != w.version {
		return d, errors.New("context of another version")
	}
	if w.staleOnce {
		w.staleOnce = false
		return d, &wit.Error{Kind: wit.ErrorStale, Message: "unknown property"}
	}
	w.encoded += len(b.Rows)
	w.given = append(w.given, recordIDs.IDs...)
	hinted := map[uint32]string{}
	for _, h := range hints {
		hinted[h.Row] = h.Text
	}
	open := map[byte]int{}
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.RowIndex != uint32(i) {
			return d, fmt.Errorf("row %d has origin %d", i, r.RowIndex)
		}
		key := string(b.Bytes(r.Key))
		value := string(b.Bytes(r.Value))
		switch {
		case strings.HasPrefix(value, "#") && w.trap != nil:
			return wit.EncodeResult{}, w.trap
		case strings.HasPrefix(value, "!!"):
			d.Rejected = append(d.Rejected, wit.RowError{RowIndex: uint32(i), Error: wit.Error{Kind: wit.ErrorConfig,
				Message: value[2:]}})
			continue
		case strings.HasPrefix(value, "!"):
			d.Rejected = append(d.Rejected, wit.RowError{RowIndex: uint32(i), Error: wit.Error{Kind: wit.ErrorData,
				Message: value[1:]}})
			continue
		case strings.HasPrefix(value, "~"):
			d.Ignored = append(d.Ignored, uint32(i))
			continue
		}
		line := key
		if r.Value.Encoding != wit.Absent {
			line += "=" + value
		}
		switch h := hinted[uint32(i)]; {
		case h == "", strings.HasPrefix(h, wit.HintMoved): // written
		case requestsCheck(h):
			d.Rejected = append(d.Rejected, wit.RowError{RowIndex: uint32(i),
				Error: wit.Error{Kind: wit.ErrorUnsupported, Message: "it is not looked up"}})
			continue
		default:
			line += "?" + h
		}
		n, ok := open[key[0]]
		if ok && len(d.Ready[n].Rows) < w.each && hinted[uint32(i)] == "" {
			d.Ready[n].Rows = append(d.Ready[n].Rows, uint32(i))
			d.Ready[n].Request.Body = append(d.Ready[n].Request.Body, ("," + line)...)
			continue
		}
		open[key[0]] = len(d.Ready)
		d.Ready = append(d.Ready, wit.Delivery{Request: wit.Request{Method: "POST", Target: "/Set", Body: []byte(line),
			Repeatable: w.repeatable}, Rows: []uint32{uint32(i)}, State: []byte(line), OrderingKey: uint32(key[0])})
	}
	if w.made != nil {
		err = w.made(&d, hints)
	}
	return d, err
}

func (w *writer) Warnings() int { return w.warnings }

func (w *writer) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (settled wit.ResponseResult, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if string(context) != w.version || len(memo) == 0 {
		return settled, errors.New("context of another version, or no memo")
	}
	if w.hangs {
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		return settled, ctx.Err()
	}
	if len(w.settleErrs) > 0 {
		err := w.settleErrs[0]
		w.settleErrs = w.settleErrs[1:]
		if err != nil {
			return settled, err
		}
	}
	out := make([]wit.RowResult, len(rows))
	for i := range out {
		s := response.Status
		if own, ok := w.statuses[rows[i]]; ok && s != 0 {
			s = own
		}
		fault := func(kind wit.ErrorKind) wit.RowResult {
			f := &wit.Error{Kind: kind, Message: fmt.Sprint("answered ", s)}
			if s >= 500 {
				f.Code = w.code
			}
			return wit.RowResult{Rejected: f}
		}
		switch {
		case s == 0 && w.blind != nil:
			out[i] = *w.blind
		case s == 0:
			out[i] = fault(wit.ErrorTransient)
		case s == 409:
			out[i] = wit.RowResult{Retry: &wit.Retry{Hint: "alone", WaitMs: w.waitMs}}
		case s == 412:
			out[i] = wit.RowResult{Retry: &wit.Retry{Hint: "etag", Error: &wit.Error{Kind: wit.ErrorConflict,
				Message: "changed"}}}
		case s == 410:
			out[i] = fault(wit.ErrorConflict)
		case s == 401:
			out[i] = fault(wit.ErrorUnauthorized)
		case s == 503:
			out[i] = wit.RowResult{Retry: &wit.Retry{Error: &wit.Error{Kind: wit.ErrorTransient,
				Message: "answered 503"}}}
		case s >= 500:
			out[i] = fault(wit.ErrorTransient)
		case s >= 400:
			out[i] = fault(wit.ErrorData)
		case s < 200 || s >= 300:
			out[i] = fault(wit.ErrorUnauthorized)
		default:
			out[i] = wit.RowResult{Written: wit.Set}
		}
	}
	settled.Results = out
	return settled, nil
}

// code returns a version of a plugin with one instance.
func code(name string, w Writer) *runtest.Code[Writer] {
	return &runtest.Code[Writer]{Name: name, Instance: w}
}

// asIs is a converter that copies bytes; values that begin with "bad" are rejected.
type asIs struct{}

func (asIs) Encode(context.Context, []byte, int, string, *record.Batch, wit.ValueSlice) ([]byte, bool, error) {
	panic("not used")
}
func (asIs) Decode(_ context.Context, _ string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	if strings.HasPrefix(string(data), "bad") {
		return wit.ValueSlice{}, errors.New("no document")
	}
	d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: uint32(len(b.Data)), Size: uint32(len(data))}
	b.Data = append(b.Data, data...)
	return d, nil
}

type world struct {
	group    *group
	service  *service
	versions *runtest.Versions[Writer]
	o        Options
}

func newWorld(w *writer) *world { return newWorldOf(w, w) }

// newWorldOf returns the world of a plugin that contains a writer.
func newWorldOf(w *writer, plugin Writer) *world {
	if w.each == 0 {
		w.each = 1
	}
	times := 3
	x := &world{group: newGroup(), versions: runtest.NewVersions[Writer](code(w.version, plugin)),
		service: &service{retry: transport.Retry{Max: &times, MinBackoff: time.Second, MaxBackoff: time.Second}}}
	x.o = Options{Connector: "c", Component: "C", Versions: x.versions, Client: x.service,
		Registry: record.NewRegistry(), Once: true, CaughtUp: x.group.caughtUp,
		Stages: Stages{NewConsumer: x.group.join,
			NewConverters: func() (convert.Converter, convert.Converter, error) { return asIs{}, asIs{}, nil }},
		Limits: Limits{Linger: time.Second}, Telemetry: Telemetry{Logger: slog.New(slog.DiscardHandler)}}
	return x
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

func (w *world) committed(topic string, partition int32) int64 {
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	return w.group.committed[topicPartition{topic, partition}]
}

func (w *world) metadata(at topicPartition) string {
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	return w.group.metadata[at]
}
