package write

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// errorClass is the class under which refused rows stand in headers of dead letters.
const errorClass = "org.apache.kafka.connect.errors.DataException"

// Encode makes requests of rows, as the settings and, with dynamic, the rows say; several in a batch.
func (p *Plugin) Encode(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string,
	hints []wit.Hint) (wit.Deliveries, error) {
	p.learn(schemas)
	s, err := p.state(context)
	if err != nil {
		return wit.Deliveries{}, err
	}
	hinted := make(map[uint32]string, len(hints))
	for _, h := range hints {
		hinted[h.Row] = h.Text
	}
	if !reused || cap(p.body.chunk) > maxChunk {
		p.body.chunk = nil
	}
	if !reused || cap(p.ofKey.texts) > maxChunk {
		p.ofKey.texts = nil
	}
	p.body.chunk, p.ofKey.texts = p.body.chunk[:0], p.ofKey.texts[:0] // what was made before was the host's until now
	p.requests = make([]request, 0, 1)
	targets := make([]*entitySet, len(topics))
	for i, topic := range topics {
		targets[i] = s.target(topic)
	}
	var out wit.Deliveries
	if len(hints) == 0 && len(rows) > 1 && int(rows[0].Topic) < len(topics) && targets[rows[0].Topic] != nil {
		at := rows[0].Topic
		e := encoding{p: p, s: s, data: data, to: targets[at]}
		if ready, ok := e.encodeRun(topics[at], rows, origins, originTopics); ok {
			return wit.Deliveries{Ready: ready}, nil
		}
	}
	p.requests = make([]request, 0, len(rows))
	plan := newGrouping(s, len(rows))
	for i := range rows {
		e := encoding{p: p, s: s, row: &rows[i], data: data}
		if len(hints) > 0 {
			e.hint = readHint(hinted[uint32(i)])
		}
		var topic string
		if int(rows[i].Topic) < len(topics) {
			topic, e.to = topics[rows[i].Topic], targets[rows[i].Topic]
		}
		e.came(i, origins, originTopics)
		q, err := e.request(topic)
		switch {
		case err != nil:
			out.Refused = append(out.Refused, wit.RowFault{Origin: uint32(i), ErrorClass: errorClass,
				Fault: *asFault(err)})
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
	return out, nil
}

func asFault(err error) *wit.Fault {
	var f *wit.Fault
	if errors.As(err, &f) {
		return f
	}
	return &wit.Fault{Kind: wit.FaultData, Message: err.Error()}
}

// encoding is one row on its way to a request.
type encoding struct {
	p           *Plugin
	s           *state
	to          *entitySet
	row         *wit.Row
	data        []byte
	hint        hint
	origin      wit.RecordID
	originTopic string

	key, content     tree
	hasKey, hasValue bool
	// direct: the row goes the short way (kernel.go), of which the keys are done, and has no trees yet.
	direct bool
	// keys are the values of all key properties; missing is why there are none.
	keys    []keyValue
	missing error
	// onlyInRecordKey: the value lacks at least one of the key's properties, which the record's key has; a plain insert
	// leaves those to the service, the insert of an upsert writes them.
	onlyInRecordKey bool
}

// came says which record the row came of, where that is known.
func (e *encoding) came(row int, origins []wit.RecordID, topics []string) {
	if row < len(origins) && int(origins[row].Topic) < len(topics) {
		e.origin, e.originTopic = origins[row], topics[origins[row].Topic]
	}
}

// request is what a row comes to: its target, and how it is sent.
type request struct {
	target
	row    uint32
	method string
	// query is what follows the path.
	query   string
	headers []wit.Header
	body    []byte
	// lane tells entities apart.
	lane       string
	repeatable bool
	// updates are those of the entities nested in the row, which are done with the request or not at all.
	updates []nestedUpdate
}

// request decides what a row asks for; nil: it is ignored.
func (e *encoding) request(topic string) (*request, error) {
	if e.to == nil {
		return nil, refuse("no entity set is configured for topic " + topic + ", which the record has after the " +
			"transforms: expected one of " + e.s.topics() + "; have a setting name the topic, or change the transforms")
	}
	if e.mayGoDirect() {
		switch ok, err := e.directKeys(); {
		case err != nil:
			return nil, err
		case ok:
			e.direct = true
			return e.byMode(e.s.mode)
		}
	}
	if err := e.makeTrees(); err != nil {
		return nil, err
	}
	if !e.hasValue {
		if !e.s.deletes {
			return nil, nil
		}
		if !e.hasKey {
			return nil, refuse("a tombstone without a key says nothing about what to delete")
		}
		e.keys, e.missing = e.p.keys(e.s, e.to.entity, e.key, true)
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

// makeTrees makes trees of the row, of its key and its value.
func (e *encoding) makeTrees() (err error) {
	if e.key, e.hasKey, err = e.p.read(e.row.Key, e.data); err != nil {
		return err
	}
	if e.content, e.hasValue, err = e.p.read(e.row.Value, e.data); err != nil {
		return err
	}
	e.content, e.key = e.p.resolve(e.content), e.p.resolve(e.key)
	return nil
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
	if e.s.deleteRecords && e.p.deleted(e.to.entity, e.content) {
		return modeDelete, nil
	}
	if e.s.mode != modeDynamic {
		return e.s.mode, nil
	}
	m, ok := e.p.member(e.content, e.s.property)
	text, isText := m.value.(string)
	if !ok || !isText {
		return "", refuse(e.s.property + ": expected I, U, M or D, which " + modeProperty + " wants, found no text")
	}
	switch strings.ToUpper(strings.TrimSpace(text)) {
	case "I":
		return modeInsert, nil
	case "U":
		return modeUpdate, nil
	case "M":
		return modeMerge, nil
	case "D":
		return modeDelete, nil
	}
	return "", refuse(e.s.property + ": expected I, U, M or D, which " + modeProperty + " wants, found " +
		strconv.Quote(text))
}

// findKeys takes the key from where the settings want it. The error is that value and key contradict each other where
// both are needed.
func (e *encoding) findKeys() error {
	switch {
	case e.s.keyFromRecord && !e.hasKey:
		e.missing = refuse("the record has no key, and " + keyFrom + " is record")
		return nil
	case e.s.keyFromRecord:
		e.keys, e.missing = e.p.keys(e.s, e.to.entity, e.key, true)
		return nil
	}
	if e.keys, e.missing = e.p.keys(e.s, e.to.entity, e.content, false); e.missing == nil || !e.hasKey {
		return nil
	}
	var keys []keyValue
	for _, name := range e.to.entity.Key {
		property := e.to.entity.properties[name]
		if property == nil {
			return nil
		}
		said, inValue, err := e.p.key(e.s, e.to.entity, property, e.content, false)
		if err != nil {
			return nil // as e.missing says
		}
		other, inKey, err := e.p.key(e.s, e.to.entity, property, e.key, true)
		switch {
		case inValue && inKey && err == nil && canonicalLiteral(said.value.Type, said.value.Text) !=
			canonicalLiteral(other.value.Type, other.value.Text):
			return refuse("key property " + name + ": expected the same in the record's value and in its key, which " +
				"has what the value lacks of the entity's key, found " + strconv.Quote(said.value.Text) + " and " +
				strconv.Quote(other.value.Text) + " (" + keyFrom + " = record takes all from the key)")
		case inValue:
			keys = append(keys, said)
		case inKey && err == nil:
			keys = append(keys, other)
		case err != nil:
			e.missing = err
			return nil
		default:
			return nil
		}
	}
	e.keys, e.missing, e.onlyInRecordKey = keys, nil, true
	return nil
}

// keys are the values of all key properties that a struct has. scalarKey: where there is only one, a scalar may stand
// for the struct.
func (p *Plugin) keys(s *state, of *structure, from tree, scalarKey bool) ([]keyValue, error) {
	var keys []keyValue
	for _, name := range of.Key {
		property := of.properties[name]
		if property == nil {
			return nil, refuse("the key property " + name + " of " + of.QualifiedName() +
				" isn't declared in $metadata")
		}
		k, ok, err := p.key(s, of, property, from, scalarKey)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, refuse("the key needs property " + name + " of " + of.QualifiedName() +
				": expected a struct of all key properties")
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, refuse(of.QualifiedName() + " has no key")
	}
	return keys, nil
}

// key is the value of a key property that a struct has; ok is false where it has none. scalarKey is as for
// [Plugin.keys].
func (p *Plugin) key(s *state, of *structure, property *edm.Property, from tree, scalarKey bool) (k keyValue, ok bool,
	err error) {
	member, ok := p.member(from, property.Name)
	if !ok && scalarKey && len(of.Key) == 1 && !p.members(from, func(string, tree) bool { return false }) {
		member, ok = from, true
	}
	if !ok || member.null() {
		return k, false, nil
	}
	k.property = property
	if k.value, err = s.convert(property, member.schema(), member.value); err != nil {
		return k, false, refuse("key property " + property.Name + ": " + err.Error())
	}
	return k, true, nil
}

func (p *Plugin) predicateOf(keys []keyValue) string {
	if len(keys) == 0 {
		return ""
	}
	p.ofKey.uri = p.ofKey.uri[:0]
	for _, k := range keys {
		p.ofKey.uri = append(p.ofKey.uri, uri.Key{Name: k.property.Name, Literal: uri.Literal{Type: k.value.Type,
			Text: k.value.Text}})
	}
	p.ofKey.predicate = uri.AppendPredicate(p.ofKey.predicate[:0], p.ofKey.uri)
	return string(p.ofKey.predicate)
}

// laneOf is what tells the entity from others: the same however its key is written.
func (e *encoding) laneOf(predicate string) string {
	if e.missing != nil || len(e.keys) == 0 {
		// A key of its own making: the record's bytes, or its place where there are none.
		if e.hasKey {
			return string(e.data[e.row.Key.Start : e.row.Key.Start+e.row.Key.Size])
		}
		return strconv.Itoa(int(e.row.Partition)) + "@" + strconv.FormatInt(e.row.Offset, 10)
	}
	return e.p.laneOf(e.keys, predicate)
}

// laneOf is the predicate of a key in its canonical form.
func (p *Plugin) laneOf(keys []keyValue, predicate string) string {
	if !slices.ContainsFunc(keys, hasSpellings) {
		return predicate
	}
	same := make([]keyValue, len(keys))
	for i, k := range keys {
		k.value.Text = canonicalLiteral(k.value.Type, k.value.Text)
		same[i] = k
	}
	return p.predicateOf(same)
}

// canonicalLiteral is the canonical form of a key property's value: equal for all spellings that a service may take for
// the same. These are GUIDs of either case, decimals with and without a sign and zeros that say nothing, times of day
// with and without parts that are 0, and texts as [canonicalText] has them.
func canonicalLiteral(t edm.Primitive, text string) string {
	switch {
	case t == edm.Guid:
		return strings.ToLower(text)
	case t == edm.Decimal:
		return value.SameDecimal(text)
	case t == edm.Time:
		return value.SameTime(text)
	case t == edm.String:
		return canonicalText(text)
	}
	return text
}

// canonicalText is the canonical form of a text in a key: equal for all spellings that a service may take for the same.
func canonicalText(text string) string {
	return strings.ToUpper(strings.TrimLeft(strings.TrimSpace(text), "0"))
}

// hasSpellings tells whether services may take another spelling of a key for the same: of texts, SAP's conversion exits
// pad with zeros and change case, and databases cut blanks.
func hasSpellings(k keyValue) bool {
	switch k.value.Type {
	case edm.Guid, edm.Decimal, edm.Time:
		return true
	case edm.String:
		text := k.value.Text
		if text == "" || text[0] == '0' || text[0] == ' ' || text[len(text)-1] == ' ' {
			return true
		}
		for i := range len(text) {
			if c := text[i]; c >= 'a' && c <= 'z' || c < ' ' || c >= 0x80 {
				return true
			}
		}
	}
	return false
}

// start makes what all requests of the row have.
func (e *encoding) start(op operation, method string) *request {
	e.p.requests = append(e.p.requests, request{})
	q := &e.p.requests[len(e.p.requests)-1]
	*q = request{target: target{operation: op, to: e.to, hint: e.hint}, method: method}
	if e.missing == nil {
		q.predicate = e.p.predicateOf(e.keys)
	}
	q.lane = e.laneOf(q.predicate)
	return q
}

// at is start for a request of the entity itself.
func (e *encoding) at(op operation, method string) (*request, error) {
	if e.missing != nil {
		return nil, e.missing
	}
	if err := e.unaddressed(); err != nil {
		return nil, err
	}
	return e.start(op, method), nil
}

// readEntity is a request that reads the entity.
func (e *encoding) readEntity(op operation) (*request, error) {
	q, err := e.at(op, "GET")
	if err != nil {
		return nil, err
	}
	e.asRead(q)
	return q, nil
}

// asRead has a request sent as one that only reads: it may be sent twice.
func (e *encoding) asRead(q *request) {
	q.repeatable, q.headers = true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
}

// media is the type of bodies.
func (m *manner) media() string {
	if m.atom {
		return "application/atom+xml"
	}
	return "application/json"
}

// Headers of requests with a body.
var (
	ofJSON = []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "Content-Type",
		Value: "application/json"}}
	ofAtom = []wit.Header{{Name: "Accept", Value: "application/atom+xml"}, {Name: "Content-Type",
		Value: "application/atom+xml;type=entry"}}
)

// sends gives a request the headers of one with a body. Most have no others, and share them.
func (m *manner) sends(q *request) {
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

// write puts the row's value into a request.
func (e *encoding) write(q *request, updates bool) (err error) {
	if e.direct {
		var ok bool
		if q.body, ok, err = e.directBody(updates); err != nil {
			return err
		}
		if ok {
			e.s.sends(q)
			return nil
		}
		if err := e.makeTrees(); err != nil {
			return err
		}
	}
	b := body{p: e.p, how: &e.s.manner, updates: updates, without: e.s.without}
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
	if q.body, err = b.entity(e.to.entity, e.content, ""); err != nil {
		return err
	}
	e.s.sends(q)
	if len(nested) == 0 {
		return nil
	}
	return e.nest(q, nested, e.to.sets[0])
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
		q.headers = append(q.headers, e.identity()...)
	}
	q.repeatable = e.s.uncertain == "retry" || e.s.uncertain == "repeatable" && e.s.learned[e.to.at].repeats
	return q, nil
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
	if err := e.unaddressed(); err != nil {
		return nil, err
	}
	if e.numbered() {
		return nil, refuse("the service gives entities without a key of their own a number, so that each upsert of " +
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
