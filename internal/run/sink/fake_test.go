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
	mu              sync.Mutex
	logs            map[topicPartition][]*kgo.Record
	positions       map[topicPartition]int64
	committed       map[topicPartition]int64
	metadata        map[topicPartition]string
	owned           map[topicPartition]bool
	commits         int
	wake            chan struct{}
	events          kafka.Rebalances
	maxPoll         int
	commitErr       error // the result of commits
	membershipErr   error // the result of membership checks
	longestMetadata int   // in bytes
	metadataLimit   int   // that brokers accept, in bytes; zero means kafka.MaxCommitText
	// nextMetadata replaces what is known of the stored metadata, except its text, at the next assignment.
	nextMetadata map[topicPartition]kafka.CommitMetadata
	// onStore, if not nil, is called with each stored offset and its metadata.
	onStore func(next int64, metadata string)
}

func newGroup() *group {
	return &group{logs: map[topicPartition][]*kgo.Record{}, positions: map[topicPartition]int64{},
		committed: map[topicPartition]int64{}, metadata: map[topicPartition]string{}, owned: map[topicPartition]bool{},
		wake: make(chan struct{}, 1), maxPoll: 100}
}

// put appends records `key=value` to a partition; `key` alone is a tombstone.
func (g *group) put(topic string, partition int32, lines ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := topicPartition{topic, partition}
	for _, line := range lines {
		key, value, hasValue := strings.Cut(line, "=")
		r := &kgo.Record{Topic: topic, Partition: partition, Offset: int64(len(g.logs[p])), Key: []byte(key),
			Timestamp: time.UnixMilli(7)}
		if hasValue {
			r.Value = []byte(value)
		}
		g.logs[p] = append(g.logs[p], r)
	}
	if g.logs[p] == nil {
		g.logs[p] = []*kgo.Record{}
	}
	g.wakePoll()
}

// failCommits makes commits fail from now on; nil makes them succeed.
func (g *group) failCommits(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commitErr = err
}

// setUnreachable makes commits and membership checks fail; nil makes the group reachable.
func (g *group) setUnreachable(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commitErr = err
	g.membershipErr = err
}

func (g *group) wakePoll() {
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

// assign assigns a partition, which continues at the committed offset.
func (g *group) assign(p topicPartition) {
	g.events.Assigned(map[string][]int32{p.topic: {p.partition}})
	g.mu.Lock()
	next, ok := g.committed[p]
	metadata := g.metadata[p]
	g.mu.Unlock()
	if !ok {
		next = -1
	}
	stored, ok := g.nextMetadata[p]
	if !ok {
		stored = kafka.CommitMetadata{WrittenFor: next, Verified: true, End: int64(len(g.logs[p]))}
	}
	delete(g.nextMetadata, p)
	stored.Text = metadata
	g.events.Committed(p.topic, p.partition, next, stored)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.positions[p] = g.committed[p]
	g.owned[p] = true
	if g.committed[p] > int64(len(g.logs[p])) {
		g.positions[p] = 0 // auto.offset.reset=earliest
	}
	g.wakePoll()
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
		if out := g.nextRecords(); len(out) > 0 {
			return out, nil
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *group) nextRecords() []*kgo.Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	var tps []topicPartition
	for p := range g.owned {
		tps = append(tps, p)
	}
	slices.SortFunc(tps, func(a, b topicPartition) int { return int(a.partition - b.partition) })
	var out []*kgo.Record
	for _, p := range tps {
		for g.positions[p] < int64(len(g.logs[p])) && len(out) < g.maxPoll {
			out = append(out, g.logs[p][g.positions[p]])
			g.positions[p]++
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
	if g.commitErr != nil {
		return g.commitErr
	}
	limit := kafka.MaxCommitText
	if g.metadataLimit > 0 {
		limit = g.metadataLimit
		g.events.MetadataLimit(limit)
	}
	for topic, partitions := range offsets {
		for n, next := range partitions {
			p := topicPartition{topic, n}
			if !g.owned[p] {
				continue
			}
			metadata, ok := g.events.Metadata(topic, n, next.Offset)
			if !ok {
				continue
			}
			if next.Offset < g.committed[p] && g.committed[p] <= int64(len(g.logs[p])) {
				panic("a commit went back")
			}
			if len(metadata) > limit {
				panic("metadata is too long")
			}
			g.committed[p] = next.Offset
			g.metadata[p] = metadata
			g.longestMetadata = max(g.longestMetadata, len(metadata))
			if g.onStore != nil {
				g.onStore(next.Offset, metadata)
			}
		}
	}
	return nil
}

// CheckMembership fails while the group is unreachable.
func (g *group) CheckMembership(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.membershipErr
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
	mu          sync.Mutex
	requests    []string
	inFlight    int
	maxInFlight int
	delay       time.Duration
	delayByBody map[string]time.Duration        // in addition to delay
	delayOf     func(body string) time.Duration // likewise; may be nil
	answer      func(n int, body string) (uint16, error)
	retry       transport.Retry
	headers     []wit.Header // of all answers
}

func (s *service) Retry() transport.Retry { return s.retry }

func (s *service) Away() bool { return false }
func (s *service) Fetch(context.Context, wit.RequestBatch) ([]wit.Response, error) {
	return nil, errors.New("not expected")
}

func (s *service) Exchange(ctx context.Context, r *wit.Request) (wit.Response, error) {
	for checked := false; !checked || !transport.SendCheckHolds(ctx); checked = true {
		if err := transport.CheckSend(ctx); err != nil {
			return wit.Response{}, err
		}
	}
	s.mu.Lock()
	body := string(r.Body)
	s.requests = append(s.requests, body)
	n := len(s.requests)
	s.inFlight++
	s.maxInFlight = max(s.maxInFlight, s.inFlight)
	s.mu.Unlock()
	delay := s.delay + s.delayByBody[body]
	if s.delayOf != nil {
		delay += s.delayOf(body)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = &transport.NoResponseError{Method: r.Method, Target: r.Target, Cause: context.Cause(ctx)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
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

// bodies returns the bodies of the requests so far.
func (s *service) bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// writer is the plugin. It makes a request of each row, or of up to rowsPerRequest rows of a lane; the first byte of
// the key is the lane. A row whose value begins with !! or ! is rejected by encode, with ~ it is ignored, and with # it
// traps if trap is set. The body contains a hint after a question mark.
type writer struct {
	mu             sync.Mutex
	version        string
	topics         []string
	rowsPerRequest int
	waitMs         uint32 // that a row waits after status 409
	staleOnce      bool
	staleDetail    *string // of the error after staleOnce
	opens          int
	openStates     []string // of the calls of OpenSink
	contexts       []string // of the calls of Encode
	trap           error
	// settleErrs are the results of the next calls of HandleResponse.
	settleErrs []error
	// firstIsStale makes HandleResponse reject the context of the first OpenSink. Other contexts differ from that one.
	firstIsStale bool
	// hang makes HandleResponse wait for the end of its context.
	hang bool
	// openErrs are the results of the next calls of OpenSink, after the first one.
	openErrs []error
	// errorCode is the code in the errors of responses with status 500 and above.
	errorCode *string
	// repeatable reports whether its requests may be sent twice.
	repeatable bool
	// statuses replaces the response's status for rows by their index in the batch, as the response to a batch does.
	statuses map[uint32]uint16
	// lostResult, if not nil, is the result of rows whose request got no response.
	lostResult *wit.RowResult
	// warnings is the number of warnings of each response.
	warnings int
	// encoded counts the rows that were encoded.
	encoded int
	// recordIDs are the record IDs of these rows.
	recordIDs []wit.RecordID
	// onEncode, if not nil, may change the result of Encode.
	onEncode func(d *wit.EncodeResult, hints []wit.Hint) error
}

func (w *writer) OpenSink(_ context.Context, _ string, _ []wit.Setting, state []byte,
	_ []wit.Response) (wit.SinkOpenResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opens++
	w.openStates = append(w.openStates, string(state))
	if w.opens > 1 && len(w.openErrs) > 0 {
		err := w.openErrs[0]
		w.openErrs = w.openErrs[1:]
		return wit.SinkOpenResult{}, err
	}
	context := w.version
	if w.firstIsStale && w.opens > 1 {
		context = w.version[1:]
	}
	return wit.SinkOpenResult{Ready: &wit.SinkOpened{Context: []byte(context), Topics: w.topics}}, nil
}

func (w *writer) Encode(_ context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (d wit.EncodeResult, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.contexts = append(w.contexts, string(context))
	if !strings.HasSuffix(w.version, string(context)) {
		return d, errors.New("context of another version")
	}
	if w.staleOnce {
		w.staleOnce = false
		return d, &wit.Error{Kind: wit.ErrorStale, Message: "unknown property", Detail: w.staleDetail}
	}
	w.encoded += len(b.Rows)
	w.recordIDs = append(w.recordIDs, recordIDs.IDs...)
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
		if ok && len(d.Ready[n].Rows) < w.rowsPerRequest && hinted[uint32(i)] == "" {
			d.Ready[n].Rows = append(d.Ready[n].Rows, uint32(i))
			d.Ready[n].Request.Body = append(d.Ready[n].Request.Body, ("," + line)...)
			continue
		}
		open[key[0]] = len(d.Ready)
		d.Ready = append(d.Ready, wit.Delivery{Request: wit.Request{Method: "POST", Target: "/Set", Body: []byte(line),
			Repeatable: w.repeatable}, Rows: []uint32{uint32(i)}, State: []byte(line), OrderingKey: uint32(key[0])})
	}
	if w.onEncode != nil {
		err = w.onEncode(&d, hints)
	}
	return d, err
}

func (w *writer) Warnings() int { return w.warnings }

func (w *writer) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (settled wit.ResponseResult, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.HasSuffix(w.version, string(context)) || len(memo) == 0 {
		return settled, errors.New("context of another version, or no memo")
	}
	if w.hang {
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		return settled, ctx.Err()
	}
	if w.firstIsStale && string(context) == w.version {
		return settled, &wit.Error{Kind: wit.ErrorStale, Message: "old"}
	}
	if len(w.settleErrs) > 0 {
		err := w.settleErrs[0]
		w.settleErrs = w.settleErrs[1:]
		if err != nil {
			return settled, err
		}
	}
	results := make([]wit.RowResult, len(rows))
	for i := range results {
		status := response.Status
		if rowStatus, ok := w.statuses[rows[i]]; ok && status != 0 {
			status = rowStatus
		}
		rejected := func(kind wit.ErrorKind) wit.RowResult {
			f := &wit.Error{Kind: kind, Message: fmt.Sprint("answered ", status)}
			if status >= 500 {
				f.Code = w.errorCode
			}
			return wit.RowResult{Rejected: f}
		}
		switch {
		case status == 0 && w.lostResult != nil:
			results[i] = *w.lostResult
		case status == 0:
			results[i] = rejected(wit.ErrorTransient)
		case status == 409:
			results[i] = wit.RowResult{Retry: &wit.Retry{Hint: "alone", WaitMs: w.waitMs}}
		case status == 412:
			results[i] = wit.RowResult{Retry: &wit.Retry{Hint: "etag", Error: &wit.Error{Kind: wit.ErrorConflict,
				Message: "changed"}}}
		case status == 410:
			results[i] = rejected(wit.ErrorConflict)
		case status == 401:
			results[i] = rejected(wit.ErrorUnauthorized)
		case status == 503:
			results[i] = wit.RowResult{Retry: &wit.Retry{Error: &wit.Error{Kind: wit.ErrorTransient,
				Message: "answered 503"}}}
		case status >= 500:
			results[i] = rejected(wit.ErrorTransient)
		case status >= 400:
			results[i] = rejected(wit.ErrorData)
		case status < 200 || status >= 300:
			results[i] = rejected(wit.ErrorUnauthorized)
		default:
			results[i] = wit.RowResult{Written: wit.Set}
		}
	}
	settled.Results = results
	return settled, nil
}

// code returns a version of a plugin with one instance.
func code(name string, w Writer) *runtest.Code[Writer] {
	return &runtest.Code[Writer]{Name: name, Instance: w}
}

// bytesConverter is a converter that copies bytes; values that begin with "bad" are rejected.
type bytesConverter struct{}

func (bytesConverter) Encode(context.Context, []byte, int, string, *record.Batch,
	wit.ValueSlice) ([]byte, bool, error) {
	panic("not used")
}
func (bytesConverter) Decode(_ context.Context, _ string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
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

// world is a task with a fake group, a fake service, and the versions of a plugin. run starts it with the options o.
type world struct {
	group    *group
	service  *service
	versions *runtest.Versions[Writer]
	o        Options
}

func newWorld(w *writer) *world { return newWorldOf(w, w) }

// newWorldOf returns the world of a plugin that contains a writer.
func newWorldOf(w *writer, plugin Writer) *world {
	if w.rowsPerRequest == 0 {
		w.rowsPerRequest = 1
	}
	times := 3
	x := &world{
		group:    newGroup(),
		versions: runtest.NewVersions[Writer](code(w.version, plugin)),
		service:  &service{retry: transport.Retry{Max: &times, MinBackoff: time.Second, MaxBackoff: time.Second}},
	}
	newConverters := func() (convert.Converter, convert.Converter, error) {
		return bytesConverter{}, bytesConverter{}, nil
	}
	x.o = Options{
		Connector: "c",
		Component: "C",
		Versions:  x.versions,
		Client:    x.service,
		Registry:  record.NewRegistry(),
		Once:      true,
		CaughtUp:  x.group.caughtUp,
		Stages:    Stages{NewConsumer: x.group.join, NewConverters: newConverters},
		Limits:    Limits{Linger: time.Second},
		Telemetry: Telemetry{Logger: slog.New(slog.DiscardHandler)},
	}
	return x
}

func (w *world) run(t *testing.T) (*Task, error) {
	t.Helper()
	task := NewTask(w.o)
	return task, task.Run(t.Context())
}

// mustRun runs a task that must end without an error.
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

func (w *world) committed(topic string, partition int32) int64 {
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	return w.group.committed[topicPartition{topic, partition}]
}

func (w *world) metadata(tp topicPartition) string {
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	return w.group.metadata[tp]
}
