package write

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

// callRows are the rows of one call of the host, with what it says of them.
type callRows struct {
	topics       []string
	rows         []wit.Row
	data         []byte
	origins      []wit.RecordID
	originTopics []string
	hints        []wit.Hint
}

// errorClass is the exception class of refused rows in the headers of dead letters.
const errorClass = "org.apache.kafka.connect.errors.DataException"

// encodeRows makes requests of rows, several in a batch where the settings and the service allow it.
func encodeRows(s *state, schemas schemas, in *callRows) wit.Deliveries {
	hinted := make(map[uint32]string, len(in.hints))
	for _, h := range in.hints {
		hinted[h.Row] = h.Text
	}
	targets := make([]*entitySet, len(in.topics))
	for i, topic := range in.topics {
		targets[i] = s.setOf(topic)
	}
	var out wit.Deliveries
	var e encoding
	plan := newGrouping(s, len(in.rows))
	for i := range in.rows {
		row := &in.rows[i]
		e = encoding{schemas: schemas, usual: e.usual, requests: e.requests, s: s, row: row, data: in.data}
		if len(in.hints) > 0 {
			e.hint = readHint(hinted[uint32(i)])
		}
		var topic string
		if int(row.Topic) < len(in.topics) {
			topic, e.to = in.topics[row.Topic], targets[row.Topic]
		}
		e.came(i, in.origins, in.originTopics)
		q, err := e.request(topic)
		switch {
		case err != nil:
			out.Refused = append(out.Refused, wit.RowFault{Origin: uint32(i), ErrorClass: errorClass,
				Fault: *fault.As(err)})
		case q == nil:
			out.Ignored = append(out.Ignored, uint32(i))
		case q.nested > 0 && s.learned[q.to.at].noBatch:
			out.Refused = append(out.Refused, wit.RowFault{Origin: uint32(i), ErrorClass: errorClass,
				Fault: wit.Fault{Kind: wit.FaultConfig, Message: q.to.service + " takes no batches, in which " +
					nestedUpdates + " = operations sends the entities nested in an update"}})
		default:
			q.row = uint32(i)
			plan.add(q)
		}
	}
	out.Ready = plan.deliveries()
	return out
}

// request decides what a row asks for; nil: it is ignored.
func (e *encoding) request(topic string) (*request, error) {
	if e.to == nil {
		return nil, fault.Data("no entity set is configured for topic " + topic + ", which the record has after the " +
			"transforms: expected one of " + e.s.topics() + "; have a setting name the topic, or change the transforms")
	}
	if err := e.read(); err != nil {
		return nil, err
	}
	if !e.hasValue {
		if !e.s.deletes {
			return nil, nil
		}
		if !e.hasKey {
			return nil, fault.Data("a tombstone without a key says nothing about what to delete")
		}
		e.keys, e.missing = e.to.entity.keys(&e.s.manner, &e.key, true)
		return e.byMode(modeDelete)
	}
	if err := e.findKeys(); err != nil {
		return nil, err
	}
	mode, err := e.mode()
	if err != nil {
		return nil, err
	}
	return e.byMode(mode)
}

func (e *encoding) byMode(mode string) (*request, error) {
	if e.hint.address {
		q := e.start(readSet, "GET")
		q.query = "$top=1"
		e.asRead(q)
		return q, nil
	}
	switch mode {
	case modeInsert:
		return e.insertion()
	case modeDelete:
		return e.deletion()
	case modeUpsert:
		return e.upsert()
	}
	return e.update(mode, false)
}

// modeDelete deletes; the other modes are those of the setting.
const modeDelete = "delete"

// mode is what is to be done with a row that has a value.
func (e *encoding) mode() (string, error) {
	if e.s.deleteRecords && deleted(e.to.entity, e.content) {
		return modeDelete, nil
	}
	if e.s.mode != modeDynamic {
		return e.s.mode, nil
	}
	m, ok := e.content.member(e.s.property)
	text, isText := m.text()
	if !ok || !isText {
		return "", fault.Data(e.s.property + ": expected I, U, M or D, which " + modeProperty + " wants, found no text")
	}
	switch strings.ToUpper(strings.TrimSpace(string(text))) {
	case "I":
		return modeInsert, nil
	case "U":
		return modeUpdate, nil
	case "M":
		return modeMerge, nil
	case "D":
		return modeDelete, nil
	}
	return "", fault.Data(e.s.property + ": expected I, U, M or D, which " + modeProperty + " wants, found " +
		strconv.Quote(string(text)))
}

// write puts the row's value into a request.
func (e *encoding) write(q *request, updates bool) (err error) {
	b := bodyWriter{how: &e.s.manner, updates: updates}
	if e.s.keyFromRecord && e.missing != nil {
		return e.missing
	}
	if e.s.keyFromRecord || e.onlyInRecordKey && e.s.mode == modeUpsert { // it inserts what the update before named
		b.keys = e.keys
	}
	var nested []carried
	if e.s.nested {
		b.nested = &nested
	}
	size := max(min(e.usual, maxUsual), int(e.row.Value.Size))
	if q.body, err = b.entity(make([]byte, 0, size+size/8+64), e.to.entity, &e.content, ""); err != nil {
		return err
	}
	e.usual = len(q.body)
	sends(&e.s.manner, q)
	if len(nested) == 0 {
		return nil
	}
	return e.nest(q, nested, e.to.linkedSet())
}

// maxUsual is the most memory, in bytes, that a body gets because of the body before it.
const maxUsual = 64 << 10

// Headers of requests with a body.
var (
	ofJSON = []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "Content-Type",
		Value: "application/json"}}
	ofAtom = []wit.Header{{Name: "Accept", Value: "application/atom+xml"}, {Name: "Content-Type",
		Value: "application/atom+xml;type=entry"}}
)

// sends gives a request the headers of one with a body. Most have no others, and share them.
func sends(m *manner, q *request) {
	headers := ofJSON
	if m.atom {
		headers = ofAtom
	}
	if len(q.headers) == 0 {
		q.headers = slices.Clip(headers)
		return
	}
	q.headers = append(q.headers, headers...)
}

func (e *encoding) insertion() (*request, error) {
	q := e.start(insert, "POST")
	if err := e.write(q, false); err != nil {
		return nil, err
	}
	if e.hint.uncertain() {
		return e.check(q)
	}
	if e.onlyInRecordKey && e.s.mode != modeUpsert || e.numbered() {
		q.predicate = "" // what the service numbers may get the key of another row
	}
	if e.s.uncertain == "repeatable" {
		q.headers = append(q.headers, e.identity().headers()...)
	}
	q.repeatable = e.s.uncertain == "retry" || identified(e.s, e.to, e.hint)
	return q, nil
}

// identity is that of the row's POST.
func (e *encoding) identity() identity {
	return identity{e.to.path, e.originTopic, e.origin, e.row.Timestamp}
}

// update changes an entity by a method of the settings.
func (e *encoding) update(mode string, upserts bool) (*request, error) {
	op, method := put, "PUT"
	switch mode {
	case modeMerge:
		op, method = merge, "MERGE"
	case modePatch:
		op, method = patch, "PATCH"
	}
	if upserts {
		op += upsertPut - put // those of upserts stand in the order of the others, see [operation]
	}
	if e.hint.uncertain() {
		return nil, &wit.Fault{Kind: wit.FaultUnsupported, Message: "whether an entity was changed can't be seen"}
	}
	if e.s.tags && !e.hint.tagged {
		reading := readTag
		if upserts {
			reading = readTagOfUpsert
		}
		return e.readEntity(reading)
	}
	q, err := e.at(op, method)
	if err != nil {
		return nil, err
	}
	e.setMatch(q)
	return q, e.write(q, true)
}

// setMatch adds If-Match where the service takes it, and decides whether the request may be sent twice. One with an
// ETag may not where a conflict refuses the row: the second one would find what the first one changed.
func (e *encoding) setMatch(q *request) {
	tag := "*"
	q.repeatable = true
	switch {
	case e.s.bare, e.s.tags && e.hint.tag == "":
		return
	case !e.s.tags && (e.hint.bare || e.s.evidence[e.to.same].match == takesNone):
		q.hint.bare = true
		return
	case e.s.tags:
		tag, q.repeatable = e.hint.tag, e.s.retryTags
	}
	q.headers = append(q.headers, wit.Header{Name: "If-Match", Value: tag})
}

// upsert updates or inserts, in the order of the settings, or as the answer before has said.
func (e *encoding) upsert() (*request, error) {
	if e.missing != nil {
		return nil, e.missing
	}
	if err := e.s.unaddressed(e.to, e.hint.known); err != nil {
		return nil, err
	}
	if e.hint.moved && e.hint.step == "" && e.s.uncertain != "retry" && anyInitial(e.keys) {
		return e.start(lookOfUpsert, "GET"), nil // not repeatable: an insert may follow, for which a key is made
	}
	if e.numbered() {
		return nil, fault.Data("the service gives entities without a key of their own a number, so that each upsert of " +
			"them would be an insert")
	}
	if e.hint.uncertain() {
		return e.readEntity(lookOfUpsert)
	}
	step := e.hint.step
	if step == "" {
		step = e.s.first
	}
	if step == stepUpdate {
		return e.update(e.s.manner.update, true)
	}
	q, err := e.insertion()
	if q != nil {
		q.operation = upsertInsert
	}
	return q, err
}

// deletion deletes an entity, or reads it to see whether it is gone.
func (e *encoding) deletion() (*request, error) {
	if e.hint.uncertain() {
		return nil, &wit.Fault{Kind: wit.FaultUnsupported,
			Message: "whether an entity was deleted by this record can't be seen"}
	}
	if e.hint.step == stepConfirm {
		return e.readEntity(confirm)
	}
	if e.s.tags && !e.hint.tagged {
		return e.readEntity(readTagOfRemoval)
	}
	q, err := e.at(remove, "DELETE")
	if err != nil {
		return nil, err
	}
	q.headers = append(q.headers, wit.Header{Name: "Accept", Value: e.s.media()})
	e.setMatch(q)
	return q, nil
}
