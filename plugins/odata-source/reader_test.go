package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	host "github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const (
	northwind    = configtest.Northwind
	sapNorthwind = "/sap/opu/odata/sap/NORTHWIND_SRV"
	odpNorthwind = "/sap/opu/odata/sap/NORTHWIND_ODP_SRV"
)

const readAt = 1_700_000_000_000 // Tue, 14 Nov 2023 22:13:20 GMT

var configuration, set, condition = configtest.Source, configtest.Set, configtest.Condition

var (
	start  = wit.PollReason{Start: wit.Set}
	poll   = wit.PollReason{Poll: wit.Set}
	onward = wit.PollReason{More: wit.Set}
)

// setOf returns the settings of a set of a service.
func setOf(service, name string, more ...string) []string {
	return append([]string{"sap.odata#00.service=" + service, "sap.odata#00.entityset=" + name, "sap.odata#00.topic=t"},
		more...)
}

// deltaSetOf returns the settings of a set whose changes are read.
func deltaSetOf(service, name string, more ...string) []string {
	return setOf(service, name, append([]string{"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=60"},
		more...)...)
}

// deltaSet returns the settings of a set of the demo's SAP service whose changes are read.
func deltaSet(name string, more ...string) []string { return deltaSetOf(sapNorthwind, name, more...) }

// odpSet returns the settings of a set of the demo's ODP service.
func odpSet(name string, more ...string) []string {
	return deltaSetOf(odpNorthwind, "FactsOf"+name, more...)
}

// errorContains reports whether an error contains a text. If the text is empty, it reports whether there is no error.
func errorContains(err error, text string) bool {
	if err == nil || text == "" {
		return err == nil && text == ""
	}
	return strings.Contains(err.Error(), text)
}

// faultOf returns the plugin's error, or one of an unknown kind.
func faultOf(err error) *wit.Error {
	if fault := (*wit.Error)(nil); errors.As(err, &fault) {
		return fault
	}
	return &wit.Error{Kind: math.MaxUint8}
}

// stringOf returns a field of an offset, or "" if it is missing.
func stringOf(fields []wit.OffsetEntry, name string) string {
	if v, _ := wit.Lookup(fields, name); v.String != nil {
		return *v.String
	}
	return ""
}

// metadataOf returns the metadata of a set X whose entities have a key and properties, with further types.
func metadataOf(key, properties string, types ...string) string {
	return `<Schema Namespace="N" xmlns:sap="http://www.sap.com/Protocols/SAPData">` + strings.Join(types, "") +
		`<EntityType Name="T"><Key><PropertyRef Name="` + key + `"/></Key>` + properties + `</EntityType>` +
		`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`
}

// withMetadata returns a service with metadata. rows handles all other requests.
func withMetadata(metadata string, rows http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "$metadata") {
			fmt.Fprint(w, metadata)
			return
		}
		rows(w, r)
	})
}

// sendChange changes an entity of a service by its path, and returns the response.
func sendChange(handler http.Handler, method, path string, body any) *httptest.ResponseRecorder {
	raw, _ := json.Marshal(body)
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, bytes.NewReader(raw))
	for _, name := range []string{"Content-Type", "Accept"} {
		r.Header.Set(name, "application/json")
	}
	r.Header.Set("If-Match", "*")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// tryWrite changes an entity that may be missing.
func tryWrite(s http.Handler, method, address string, body any) {
	sendChange(s, method, sapNorthwind+"/"+address, body)
}

// write changes an entity, and ends the test if the service rejects it.
func write(t *testing.T, s http.Handler, method, address string, body any) {
	t.Helper()
	w := sendChange(s, method, sapNorthwind+"/"+address, body)
	require.True(t, w.Code <= 299, "%s %s: %d %s", method, address, w.Code, w.Body)
}

// product returns a new product.
func product(id int, name string) map[string]any {
	return map[string]any{"ProductID": id, "ProductName": name, "Discontinued": false}
}

// reader reads pages of a service as the host does, without the host: in pieces, and with the requests that they need.
type reader struct {
	t       *testing.T
	service http.Handler
	class   *sourceconfig.Component // nil means [sourceconfig.V2]
	p       *plugin
	opened  *wit.SourceOpened
	schemas map[uint32][]wit.SchemaNode
	// piece is the size of a piece in bytes.
	piece int
	// kill is the number of pieces after which the reader is killed. -1 means never.
	kill    int
	now     int64 // the time of the last response in milliseconds
	delayMs int64 // the time that each response takes
	targets []string
	faults  []wit.RowError
	// onResponse may change each response to a page before the plugin receives it. onRow is called for every row.
	onResponse func(q *wit.Request, r *wit.Response)
	onRow      func(row wit.Row, data []byte)
}

var errKilled = errors.New("killed")

// noAnswer is the status of a lost response: the reader is killed.
const noAnswer = 0

// open opens the plugin as for the first time, as after a crash.
func (r *reader) open(settings ...string) error {
	r.p = &plugin{}
	var state []byte
	var answers []wit.Response
	for {
		class := cmp.Or(r.class, sourceconfig.V2)
		opening, err := r.p.Open(class.Class, configuration(settings...), state, answers)
		if err != nil || opening.Ready != nil {
			r.opened = opening.Ready
			return err
		}
		state = opening.Pending.State
		answers = r.exchangeAll(opening.Pending)
	}
}

// exchangeAll sends the requests of the plugin and returns their responses.
func (r *reader) exchangeAll(batch *wit.RequestBatch) (responses []wit.Response) {
	for i := range batch.Requests {
		responses = append(responses, r.exchange(&batch.Requests[i]))
	}
	return responses
}

// exchange sends a request to the service and records its target.
func (r *reader) exchange(request *wit.Request) wit.Response {
	r.targets = append(r.targets, request.Target)
	body := bytes.NewReader(request.Body)
	httpRequest := httptest.NewRequest(request.Method, "http://127.0.0.1:8080"+request.Target, body)
	for _, h := range request.Headers {
		httpRequest.Header.Set(h.Name, h.Value)
	}
	w := httptest.NewRecorder()
	r.service.ServeHTTP(w, httpRequest)
	r.now += r.delayMs
	response := wit.Response{Tag: request.Tag, Status: uint16(w.Code), Target: request.Target, Body: w.Body.Bytes(),
		ReceivedAt: r.now}
	for name, values := range w.Header() {
		for _, v := range values {
			response.Headers = append(response.Headers, wit.Header{Name: strings.ToLower(name), Value: v})
		}
	}
	return response
}

// exchangeChanged returns the response of the service after the test has changed it.
func (r *reader) exchangeChanged(q *wit.Request) (wit.Response, error) {
	response := r.exchange(q)
	if r.onResponse != nil {
		r.onResponse(q, &response)
	}
	if response.Status == noAnswer {
		return response, errKilled
	}
	return response, nil
}

// begin requests a page and passes its response without the body.
func (r *reader) begin(feed uint32, fetch *wit.Fetch) (page uint32, response wit.Response, err error) {
	response, err = r.exchangeChanged(&fetch.Request)
	if err != nil {
		return 0, response, err
	}
	head := response
	head.Body = nil
	page, err = r.p.Begin(r.opened.Context, feed, fetch.Position, head)
	return page, response, err
}

// page reads a page. end contains where to continue.
func (r *reader) page(feed uint32, fetch *wit.Fetch) (end wit.DecodeResult, err error) {
	page, response, err := r.begin(feed, fetch)
	if err == nil {
		last := uint32(0)
		err = r.decode(page, "", response, &end, &last)
	}
	if err == nil && end.Next != nil {
		err = host.CheckOffset("next", *end.Next)
	}
	return end, err
}

// decode passes a response to the plugin in pieces, and then the responses that the result requests. It collects the
// end of the page in end. last is the index of the last row.
func (r *reader) decode(page uint32, tag string, response wit.Response, end *wit.DecodeResult, last *uint32) error {
	body := response.Body
	for first := true; first || len(body) > 0; first = false {
		if r.kill == 0 {
			return errKilled
		}
		r.kill--
		size := min(r.piece, len(body))
		result, err := r.p.Decode(page, tag, response.Status, slices.Clone(body[:size]), size == len(body))
		if err != nil {
			return err
		}
		body = body[size:]
		for _, row := range result.Rows {
			require.True(r.t, row.RowIndex >= *last, "row %d after row %d", row.RowIndex, *last)
			*last = row.RowIndex
		}
		r.addResult(&result)
		if result.Next != nil {
			end.Next = result.Next
		}
		end.More = end.More || result.More
		end.WaitMs = max(end.WaitMs, result.WaitMs)
		for _, linked := range slices.Clone(result.Linked) {
			response, err := r.exchangeChanged(&linked.Request)
			if err != nil {
				return err
			}
			if response.Status > 299 && !slices.Contains(linked.Tolerate, response.Status) {
				return fmt.Errorf("%s answered %d", linked.Request.Target, response.Status)
			}
			if err := r.decode(page, linked.Request.Tag, response, end, last); err != nil {
				return err
			}
		}
	}
	return nil
}

// addResult records the result of a piece.
func (r *reader) addResult(p *wit.DecodeResult) {
	for _, s := range p.Schemas {
		r.schemas[s.ID] = s.Nodes
	}
	for _, row := range p.Rows {
		r.onRow(row, p.Data)
	}
	r.faults = append(r.faults, p.Errors...)
}

// read decodes a value.
func (r *reader) read(d wit.ValueSlice, data []byte) any {
	nodes := r.schemas[d.Schema]
	require.True(r.t, nodes != nil, "schema %d was not declared", d.Schema)
	v, size, err := connectdata.Read(nodes, 0, data[d.Start:d.Start+d.Size])
	require.True(r.t, err == nil && size == int(d.Size), "a value of %d bytes: read %d (%v)", d.Size, size, err)
	return v
}

// runCommand returns the output of a command of the plugin.
func (r *reader) runCommand(command string, options []wit.Setting, settings ...string) (string, error) {
	var state []byte
	var answers []wit.Response
	for {
		reply, err := r.p.Run(command, options, configuration(settings...), state, answers)
		if err != nil {
			return "", err
		}
		if reply.Pending == nil {
			return *reply.Document, nil
		}
		state = reply.Pending.State
		answers = r.exchangeAll(reply.Pending)
	}
}

// subscribe has the plugin subscribe to its first set.
func (r *reader) subscribe(address string) (*string, error) {
	var state []byte
	var answers []wit.Response
	for range 9 {
		a, err := r.p.Subscribe(r.opened.Context, 0, address, state, answers)
		if err != nil || a.Done != nil {
			return a.Done, err
		}
		state = a.Pending.State
		answers = r.exchangeAll(a.Pending)
	}
	return nil, errors.New("the subscription does not end")
}

// fullLoad reads feeds of a service in full mode.
type fullLoad struct {
	reader
	// rows contains the keys that arrived, values the values of the rows.
	rows   []string
	values []string
	// unfinished means that the number of requests was not enough.
	unfinished bool
}

// newUnopened returns a load of a service for which the plugin has not been opened yet.
func newUnopened(t *testing.T, s http.Handler) *fullLoad {
	load := &fullLoad{reader: reader{t: t, service: s, p: &plugin{}, piece: 1000, kill: -1, now: readAt,
		schemas: map[uint32][]wit.SchemaNode{}}}
	load.onRow = func(row wit.Row, data []byte) {
		load.rows = append(load.rows, fmt.Sprint(load.read(row.Key, data)))
		load.values = append(load.values, fmt.Sprint(load.read(row.Value, data)))
	}
	return load
}

// newLoad returns a load of a service for which the plugin was opened.
func newLoad(t *testing.T, s http.Handler, settings ...string) *fullLoad {
	t.Helper()
	l := newUnopened(t, s)
	require.NoError(t, l.open(settings...))
	return l
}

// loadSet returns a load that has read its first feed to the end.
func loadSet(t *testing.T, s http.Handler, settings ...string) *fullLoad {
	t.Helper()
	l := newLoad(t, s, settings...)
	l.readAll(nil)
	return l
}

// readAll reads the first feed from an offset to its end.
func (l *fullLoad) readAll(offset []wit.OffsetEntry) []wit.OffsetEntry {
	l.t.Helper()
	offset, err := l.run(0, offset)
	require.NoError(l.t, err)
	return offset
}

// run reads one feed from an offset until it is idle or finished, or fails.
func (l *fullLoad) run(feed uint32, offset []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
	offset, err := l.readPages(feed, offset, 2000)
	require.True(l.t, !l.unfinished, "the load does not end")
	return offset, err
}

// readPages is [fullLoad.run] for a number of requests.
func (l *fullLoad) readPages(feed uint32, offset []wit.OffsetEntry, requests int) ([]wit.OffsetEntry, error) {
	reason := start
	l.unfinished = false
	for range requests {
		step, err := l.next(feed, offset, reason)
		if err != nil || step.Fetch == nil {
			return offset, err
		}
		next, err := l.page(feed, step.Fetch)
		if err != nil {
			return offset, err
		}
		offset = next
		reason = onward
	}
	l.unfinished = true
	return offset, nil
}

// next returns the plugin's next action for a feed.
func (l *fullLoad) next(feed uint32, offset []wit.OffsetEntry, reason wit.PollReason) (wit.NextAction, error) {
	return l.p.Next(l.opened.Context, feed, offset, reason, readAt)
}

// page reads a page and returns the offset after it.
func (l *fullLoad) page(feed uint32, fetch *wit.Fetch) ([]wit.OffsetEntry, error) {
	end, err := l.reader.page(feed, fetch)
	if err != nil {
		return nil, err
	}
	require.True(l.t, end.Next != nil, "a page ended without the next position")
	return *end.Next, nil
}

// poll reads the first feed once more, as when its period is over.
func (l *fullLoad) poll(offset []wit.OffsetEntry) []wit.OffsetEntry {
	l.t.Helper()
	l.rows = nil
	l.values = nil
	l.targets = nil
	reason := poll
	for range 100 {
		step, err := l.next(0, offset, reason)
		require.NoError(l.t, err)
		if step.Fetch == nil {
			return offset
		}
		offset, err = l.page(0, step.Fetch)
		require.NoError(l.t, err)
		reason = onward
		if done, _ := wit.Lookup(offset, "done"); done.Boolean != nil {
			return offset
		}
	}
	l.t.Fatal("the load does not end")
	return nil
}

// checkComplete checks that as many rows arrived as the set has, each once.
func (l *fullLoad) checkComplete(s *odatatest.Service, set string) {
	l.t.Helper()
	require.Equal(l.t, s.Count(set), len(l.rows), "rows")
	rows := map[string]bool{}
	for _, r := range l.rows {
		require.True(l.t, !rows[r], "row %s was read twice", r)
		rows[r] = true
	}
}

// follower reads a feed in delta mode, and folds its topic by key.
type follower struct {
	reader
	settings []string
	// stored is the offset that remains after a crash.
	stored []wit.OffsetEntry
	// state is the topic folded by key. log contains its records.
	state map[string]map[string]any
	log   []event
	// partitions counts the records of each partition.
	partitions map[int32]int
	waits      int
	// retryMs is the delay after which the trigger is to be delivered again. Zero means that it was handled.
	retryMs uint32
	// onRecord is called for every row, as the host's converters are.
	onRecord func(row wit.Row, data []byte)
	// restartsEachPage means that the reader is restarted after each page of a load.
	restartsEachPage bool
}

// event is a record of a follower's topic.
type event struct {
	key       string
	value     map[string]any
	tombstone bool
	headers   map[string]string
}

// newFollower returns a follower that has read nothing yet.
func newFollower(t *testing.T, s http.Handler, settings ...string) *follower {
	return newFollowerOf(sourceconfig.V2, t, s, settings...)
}

// newFollowerOf is [newFollower] of a class.
func newFollowerOf(class *sourceconfig.Component, t *testing.T, s http.Handler, settings ...string) *follower {
	f := &follower{settings: settings, state: map[string]map[string]any{}, partitions: map[int32]int{}}
	f.reader = reader{t: t, class: class, service: s, piece: 700, kill: -1, now: readAt, delayMs: 1000,
		schemas: map[uint32][]wit.SchemaNode{}, onRow: f.addRecord}
	f.start()
	return f
}

// followSet returns a follower that has read the set once.
func followSet(t *testing.T, s http.Handler, settings ...string) *follower {
	t.Helper()
	f := newFollower(t, s, settings...)
	require.NoError(t, f.catchUp(start))
	return f
}

// start opens the plugin as for the first time, as after a crash.
func (f *follower) start() {
	f.t.Helper()
	require.NoError(f.t, f.open(f.settings...))
	if f.stored != nil {
		require.NoError(f.t, f.p.CheckOffset(f.opened.Feeds[0].Partition, f.stored))
	}
}

// catchUpReopening is catchUp, repeated in another instance if the plugin must be opened again, as the host does it.
func (f *follower) catchUpReopening(reason wit.PollReason) error {
	err := f.catchUp(reason)
	if faultOf(err).Kind == wit.ErrorStale {
		f.start()
		err = f.catchUp(reason)
	}
	return err
}

// catchUp reads until nothing is due: the first load, or the changes since then.
func (f *follower) catchUp(reason wit.PollReason) error {
	isRetried := false
	for range 5000 {
		step, err := f.p.Next(f.opened.Context, 0, f.stored, reason, f.now)
		if err != nil || step.Fetch == nil {
			return err
		}
		if more, err := f.page(step.Fetch); err != nil || !more {
			return err
		}
		switch {
		case f.restartsEachPage && stringOf(f.stored, "phase") != "changes":
			f.start()
			reason = start
		case reason.Trigger == nil || step.Fetch.Position != nil || f.retryMs == 0:
			reason = onward
		case isRetried:
			return nil // the host delivers a trigger once more, and no more often
		default:
			isRetried = true
		}
		f.now += int64(f.retryMs)
	}
	f.t.Fatal("the feed does not end")
	return nil
}

// page reads a page and stores the offset after it. more reports whether another page follows.
func (f *follower) page(fetch *wit.Fetch) (more bool, err error) {
	end, err := f.reader.page(0, fetch)
	if err != nil {
		return false, err
	}
	f.retryMs = 0
	if end.Next == nil && fetch.Position == nil {
		f.retryMs = end.WaitMs
		return end.More, nil // the offset does not change
	}
	require.True(f.t, end.Next != nil, "a page ended without the next position")
	if end.WaitMs > 0 {
		f.waits++
	}
	f.stored = *end.Next
	return end.More, nil
}

// addRecord appends a row to the log, and folds it into the state.
func (f *follower) addRecord(row wit.Row, data []byte) {
	if f.onRecord != nil {
		f.onRecord(row, data)
	}
	f.partitions[row.Partition]++
	e := event{key: fmt.Sprint(f.read(row.Key, data)), tombstone: row.Value.Encoding == wit.Absent,
		headers: f.headers(row.Headers, data)}
	if !e.tombstone {
		e.value = f.fieldTexts(row.Value, data)
	}
	f.log = append(f.log, e)
	if e.tombstone || e.value["RECORDMODE"] == "D" || e.value["ODQ_CHANGEMODE"] == "D" {
		delete(f.state, e.key)
		return
	}
	f.state[e.key] = e.value
}

// headers returns the headers of a record as texts.
func (f *follower) headers(d wit.ValueSlice, data []byte) map[string]string {
	headers := map[string]string{}
	if d.Encoding != wit.Raw {
		return headers
	}
	list, err := connectdata.Headers(nil, data[d.Start:d.Start+d.Size])
	require.NoError(f.t, err)
	for _, h := range list {
		headers[h.Name] = string(h.Value)
		if h.Encoding == wit.WithSchema {
			value := wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema, Size: uint32(len(h.Value))}
			headers[h.Name] = fmt.Sprint(f.read(value, h.Value))
		}
	}
	return headers
}

// fieldTexts returns the fields of a value by name as texts, null as nil.
func (f *follower) fieldTexts(d wit.ValueSlice, data []byte) map[string]any {
	fields := map[string]any{}
	for i, v := range f.read(d, data).(connectdata.Struct) {
		if v != nil {
			v = fmt.Sprint(v)
		}
		fields[f.schemas[d.Schema][0].Fields[i].Name] = v
	}
	return fields
}

// checkTopic compares the folded topic with the service.
func (f *follower) checkTopic(s *odatatest.Service, set, key, field string) {
	f.t.Helper()
	want := map[string]string{}
	s.Each(set, func(_ string, fields map[string]string) { want[fields[key]] = fields[field] })
	assert.True(f.t, len(want) == len(f.state),
		"expected the %d entities of the service in the topic, found %d", len(want), len(f.state))
	for _, v := range f.state {
		k := fmt.Sprint(v[key])
		got := ""
		if v[field] != nil {
			got = fmt.Sprint(v[field])
		}
		w, ok := want[k]
		assert.True(f.t, ok && w == got, "%s: expected %q, exists %v, found %q", k, w, ok, got)
	}
}
