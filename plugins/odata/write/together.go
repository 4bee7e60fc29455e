package write

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// together is a batch that was sent, as settle reads it from the memo.
type together struct {
	at, size int
	// reads: its parts are no changesets.
	reads bool
	// operationCounts is how many operations each part has.
	operationCounts []int
	// rows are the requests of the rows.
	rows []sentRequest
	// operations are all operations: behind a row's own stand those of what is nested in it, of which only their number
	// is known.
	operations []sentRequest
}

// maxOperations is how many operations of a batch memory is made for at once: the most that the settings allow.
const maxOperations = 10_000

func readTogether(r *pack.Reader) (b together, ok bool) {
	b.at, b.size, b.reads = r.Number(), r.Number(), r.Flag()
	parts := r.Count()
	b.operationCounts = make([]int, 0, parts)
	count := 0
	for n := parts; n > 0 && !r.Bad; n-- {
		operations := r.Number()
		if operations <= 0 || operations > 1<<20 {
			return b, false
		}
		b.operationCounts = append(b.operationCounts, operations)
		count += operations
	}
	left := count
	b.rows = make([]sentRequest, 0, min(count, maxOperations))
	for left > 0 {
		a := sentRequest{operation: operation(r.Number()), at: b.at, path: r.Text(), predicate: r.Text(),
			hint: readHint(r.Text()), batched: true, nested: r.Number()}
		if r.Bad || a.nested < 0 || a.nested >= left {
			return b, false
		}
		b.rows = append(b.rows, a)
		left -= 1 + a.nested
	}
	if b.operations = b.rows; len(b.rows) < count {
		b.operations = make([]sentRequest, 0, count)
		for i := range b.rows {
			b.operations = append(append(b.operations, b.rows[i]), make([]sentRequest, b.rows[i].nested)...)
		}
	}
	return b, r.Done() && b.at >= 0
}

// settleTogether is the verdicts on the rows of a batch.
func (s *state) settleTogether(b together, place string, response *wit.Response) ([]wit.Verdict, error) {
	what := "POST " + place
	one := len(b.rows) == 1 // with what is nested in it: there is no smaller batch
	switch status := response.Status; {
	case success(status):
		return s.settleParts(b, what, response)
	case status == 413 && !one:
		// P18: smaller from now on. An answer that is late speaks of a batch from before it was learned.
		l := &s.learned[b.at]
		if half := max(1, b.size/2); l.most == 0 || half < l.most {
			l.most = half
		}
		return b.each(func(a *sentRequest) wit.Verdict { return anew(a.hint) }), nil
	case status == 404 || status == 405 || status == 415 || status == 501:
		// There is none; whether the service is there at all, the requests without a batch show.
		s.learned[b.at].noBatch = true
		return b.each(func(a *sentRequest) wit.Verdict { return anew(a.hint) }), nil
	case status == 401, ofAnyCall(response):
		return nil, fault.Of(what, response, response.Body)
	case status == 429:
		f := fault.Of(what, response, response.Body)
		return b.each(func(a *sentRequest) wit.Verdict {
			return wit.Verdict{Again: &wit.Retry{Hint: a.hint.text(), Fault: f}}
		}), nil
	case !one && (wit.Refuses(status) || status == 500 && s.allRepeatable(b)):
		// Nothing of it was done, and which of its parts is to blame it doesn't say.
		if l := &s.learned[b.at]; l.refused < maxRefused {
			if l.refused++; l.refused == maxRefused {
				// It is all of them that this service, or one in front of it, doesn't take.
				l.noBatch = true
			}
		}
		return b.halves(), nil
	}
	// Nobody knows what was done, but for what the answer itself says (P19).
	return b.judge(func(a *sentRequest) (wit.Verdict, error) {
		whole := *a
		whole.batched = false
		return s.settleOne(&whole, response)
	})
}

// maxRefused is after how many batches that a service has refused as a whole, one after another, it is sent none any
// more. A single row that makes services refuse a whole batch is found in fewer: of two halves one is taken.
const maxRefused = 12

func (s *state) allRepeatable(b together) bool {
	for i := range b.rows {
		if !s.repeatable(&b.rows[i]) {
			return false
		}
	}
	return true
}

func (b *together) each(f func(a *sentRequest) wit.Verdict) []wit.Verdict {
	verdicts := make([]wit.Verdict, len(b.rows))
	for i := range b.rows {
		verdicts[i] = f(&b.rows[i])
	}
	return verdicts
}

// judge is each for verdicts that may be faults of the call: these are the task's, but what is known of the other rows
// stays known.
func (b *together) judge(f func(a *sentRequest) (wit.Verdict, error)) ([]wit.Verdict, error) {
	return b.each(func(a *sentRequest) wit.Verdict {
		v, err := f(a)
		if err == nil {
			return v
		}
		of := *asFault(err)
		if of.Kind != wit.FaultUnauthorized {
			of.Kind = wit.FaultConfig
		}
		return refused(&of)
	}), nil
}

// halves sends the rows again in batches of half the size, and the last two each by itself.
func (b *together) halves() []wit.Verdict {
	half := len(b.rows) / 2
	return b.each(func(a *sentRequest) wit.Verdict {
		h := a.hint
		if h.most = half; half < 2 {
			h.most, h.single = 0, true
		}
		return anew(h)
	})
}

// outcome is what the answer to a batch says of one operation.
type outcome struct {
	// message is the operation's own answer, or with failed the one in place of a changeset of several; nil: nothing is
	// said of it.
	message *batch.Message
	failed  bool
	// undone is the status of the operation, or of another one in its changeset, that is a success and not [done]; then
	// nothing is said of it. 0: there is none.
	undone uint16
}

// settleParts reads the parts of the answer.
func (s *state) settleParts(b together, what string, response *wit.Response) ([]wit.Verdict, error) {
	if fault.IsHTML(response.Body) {
		return nil, fault.NotData(what, "an answer to a batch", response.Body)
	}
	kind := headerOf(response, "Content-Type")
	_, multipart := batch.Boundary(kind)
	var d batch.Document
	if multipart || kind == "" {
		d, multipart = batch.Parse(kind, response.Body)
	}
	if !multipart {
		f := fault.NotData(what, "an answer to a batch", response.Body)
		f.Kind = wit.FaultTransient
		if fault.IsError(response.Body) {
			f = fault.Of(what, response, response.Body)
			f.Kind, f.Code = wit.FaultTransient, nil
		}
		return b.each(func(a *sentRequest) wit.Verdict { return s.unknown(a, f) }), nil
	}
	s.learned[b.at].refused = 0
	say(what, response)
	outcomes := b.ofRows(b.match(d))
	said := &wit.Fault{Kind: wit.FaultTransient, Message: what + ": the answer of HTTP " +
		strconv.Itoa(int(response.Status)) + " doesn't say what became of it"}
	if !d.Complete {
		said.Message += ", because it is cut off"
	}
	// A service that stops at the first part that fails says nothing of those behind it: they go together once more.
	// They go by themselves where that has happened a few times, since the host encodes a row anew 16 times at most,
	// and where they are upserts, which fail for all that is to be inserted.
	stopped := d.Complete && len(d.Parts) < len(b.operationCounts) && endsFailed(d)
	if stopped && s.uncertain == "fail" {
		said.Message += ": the service stopped at a part that failed (" + insertUncertain +
			" = check looks whether those behind it were written)"
	}
	// A service that takes no notice of changesets answers their operations each in a part of its own: they go anew,
	// each in a changeset of its own, where such an answer fits.
	tells := func(o outcome) bool { return o.message != nil || o.undone != 0 }
	flat := d.Complete && !stopped && len(b.operationCounts) < len(b.operations) &&
		!slices.ContainsFunc(outcomes, tells)
	at, allAlone, allWritten := 0, len(b.rows) > 1, true
	verdicts, err := b.judge(func(a *sentRequest) (wit.Verdict, error) {
		o := outcomes[at]
		at++
		if stopped && o.message == nil && s.repeatable(a) {
			h := a.hint
			h.stops++
			h.single = h.stops == maxStops || a.upserts()
			allWritten = false
			return anew(h), nil
		}
		if flat && !a.hint.alone && s.repeatable(a) {
			h := a.hint
			h.alone = true
			allWritten = false
			return anew(h), nil
		}
		v, err := s.settlePart(a, o, said, response.At)
		allAlone, allWritten = allAlone && a.hint.alone && !a.hint.bare, allWritten && err == nil && v.Written != nil
		return v, err
	})
	if allAlone && allWritten {
		// One by one the service takes what it refused together.
		s.learned[b.at].one = true
	}
	return verdicts, err
}

// maxStops is how many batches that end before a row's operation it is part of.
const maxStops = 5

// unknown is the verdict on an operation of which nobody knows whether it was done: it is sent again only where that
// does no harm.
func (s *state) unknown(a *sentRequest, f *wit.Fault) wit.Verdict {
	if s.repeatable(a) {
		return wit.Verdict{Again: &wit.Retry{Hint: a.hint.text(), Fault: f}}
	}
	return refused(f)
}

// settlePart is the verdict on an operation; at is when the answer came.
func (s *state) settlePart(a *sentRequest, o outcome, said *wit.Fault, at int64) (wit.Verdict, error) {
	if o.message == nil {
		own := *said
		if own.Message = a.what() + ": " + said.Message; o.undone != 0 {
			own.Message = a.what() + ": an operation of its changeset was answered so: " + undone(o.undone)
		}
		return s.unknown(a, &own), nil
	}
	if !o.failed && s.plainlyWritten(a, o.message) {
		if a.operation == insert || a.operation == upsertInsert {
			s.made(a, o.message.Header("Location"), o.message.Body)
		} else {
			s.took(a)
		}
		return written(), nil
	}
	answer := &wit.Response{Status: o.message.Status(), Headers: o.message.Headers(), Body: o.message.Body, At: at}
	if !o.failed {
		return s.settleOne(a, answer)
	}
	// Nothing of a changeset that failed should be stored, and which of its operations is to blame it doesn't say.
	f := fault.Of(a.what(), answer, answer.Body)
	_, _, document := fault.Document(answer.Body)
	switch status := answer.Status; {
	case status == 401, ofAnyCall(answer):
		return wit.Verdict{}, f
	case s.unnoticed(a):
		return wit.Verdict{Again: &wit.Retry{Hint: wit.HintUncertain}}, nil
	case status == 429 || unserved(status) && document:
		return wit.Verdict{Again: &wit.Retry{Hint: a.hint.text(), Fault: f, WaitMs: retryAfter(answer)}}, nil
	case !wit.Refuses(status) && !document && !s.repeatable(a):
		f.Kind = wit.FaultTransient
		return refused(f), nil
	}
	h := a.hint
	h.alone = true
	return anew(h), nil
}

// unnoticed tells whether an insert that a service has stored with a changeset that failed would be made twice, and
// nothing would say so, while the settings have a filter by which it is found: that one is looked for first. One whose
// key the record says is refused as there already.
func (s *state) unnoticed(a *sentRequest) bool {
	looks := s.uncertain == "check" || s.uncertain == "repeatable" && !s.learned[a.at].repeats
	return a.operation == insert && a.predicate == "" && looks && s.filter != ""
}

// plainlyWritten tells whether an answer says that a row was written and nothing else, as most do: what
// [state.settleOne] makes of it is known then.
func (s *state) plainlyWritten(a *sentRequest, m *batch.Message) bool {
	switch a.operation {
	case insert, upsertInsert:
		if s.uncertain == "repeatable" {
			return false // there is something to learn
		}
	case put, merge, patch, upsertPut, upsertMerge, upsertPatch, remove:
	default:
		return false
	}
	return done(m.Status()) && !fault.IsHTML(m.Body) && !fault.IsError(m.Body) && m.Header("sap-message") == ""
}

// match says which message of an answer is for which operation: of parts by position, since many services don't say
// Content-IDs, and by Content-ID where the positions can't be right; inside a changeset by Content-ID where all say
// one.
func (b *together) match(d batch.Document) []outcome {
	outcomes := make([]outcome, len(b.operations))
	ids := distinct(d)
	byPosition := len(d.Parts) == len(b.operationCounts) ||
		len(d.Parts) < len(b.operationCounts) && (!d.Complete || endsFailed(d))
	first := 0 // operation of the part
	for i, n := range b.operationCounts {
		if i >= len(d.Parts) || !byPosition {
			break
		}
		b.part(outcomes, first, n, &d.Parts[i], ids)
		first += n
	}
	if byPosition && !b.contradicted(outcomes, ids) {
		return outcomes
	}
	clear(outcomes)
	if ids {
		b.byID(outcomes, d)
	}
	if b.contradicted(outcomes, ids) {
		clear(outcomes)
	}
	return outcomes
}

// ofRows is the outcomes of the rows' own operations. A row with others nested in it has a changeset for itself, whose
// failure is the row's.
func (b *together) ofRows(outcomes []outcome) []outcome {
	if len(b.rows) == len(outcomes) {
		return outcomes
	}
	rows := make([]outcome, len(b.rows))
	at := 0
	for i := range b.rows {
		rows[i] = outcomes[at]
		if b.rows[i].nested > 0 {
			rows[i].failed = false
		}
		at += 1 + b.rows[i].nested
	}
	return rows
}

// endsFailed: services leave out what stands behind a part that failed.
func endsFailed(d batch.Document) bool {
	if len(d.Parts) == 0 {
		return false
	}
	last := &d.Parts[len(d.Parts)-1]
	return len(last.Messages) == 1 && last.Messages[0].Complete && last.Messages[0].Status() >= 400
}

// part takes the answers to the n operations of a part from first on. One to a changeset is believed only where all of
// it is there and is of one mind. ids: Content-IDs are what was sent.
func (b *together) part(all []outcome, first, n int, p *batch.Parsed, ids bool) {
	outcomes := all[first : first+n]
	if len(p.Messages) == 1 && p.Messages[0].Complete && p.Messages[0].Status() != 0 {
		m := &p.Messages[0]
		switch failed := m.Status() >= 400; {
		case n == 1:
			outcomes[0].message = m
		case failed:
			for i := range outcomes {
				outcomes[i] = outcome{message: m, failed: true}
			}
		}
		return
	}
	if !p.Complete || len(p.Messages) != n {
		return
	}
	for i := range p.Messages {
		m := &p.Messages[i]
		if m.Complete && done(m.Status()) {
			continue
		}
		for j := range outcomes {
			if m.Complete && success(m.Status()) {
				outcomes[j].undone = m.Status()
			}
		}
		return
	}
	at := func(i int) int { // of the operation, by its Content-ID
		id, err := strconv.Atoi(p.Messages[i].ID)
		if err != nil || id <= first || id > first+n {
			return -1
		}
		return id - first - 1
	}
	for i := range p.Messages {
		ids = ids && at(i) >= 0
	}
	for i := range p.Messages {
		to := i
		if ids {
			to = at(i)
		}
		outcomes[to].message = &p.Messages[i]
	}
}

// byID takes the answers of parts with one message by their Content-ID, which are distinct.
func (b *together) byID(outcomes []outcome, d batch.Document) {
	for i := range d.Parts {
		p := &d.Parts[i]
		if len(p.Messages) != 1 || !p.Messages[0].Complete || p.Messages[0].Status() == 0 {
			continue
		}
		id, err := strconv.Atoi(p.Messages[0].ID)
		if err != nil || id < 1 || id > len(outcomes) {
			continue
		}
		first := 0
		for _, n := range b.operationCounts {
			if id > first && id <= first+n {
				b.part(outcomes, first, n, p, true)
			}
			first += n
		}
	}
}

// distinct tells whether the Content-IDs of an answer are what was sent: services that count in each changeset anew say
// the same one twice.
func distinct(d batch.Document) bool {
	last := 0
	var seen map[string]bool // made where they are not simply counted
	for i := range d.Parts {
		for j := range d.Parts[i].Messages {
			id := d.Parts[i].Messages[j].ID
			if n, err := strconv.Atoi(id); err == nil && n > last {
				last = n
			} else if id != "" {
				seen = map[string]bool{}
			}
		}
	}
	if seen == nil {
		return true
	}
	for i := range d.Parts {
		for j := range d.Parts[i].Messages {
			id := d.Parts[i].Messages[j].ID
			if id != "" && seen[id] {
				return false
			}
			seen[id] = true
		}
	}
	return true
}

// keys are those that operations say, as [sameAddress] writes them.
func (b *together) keys() map[string]int {
	keys := map[string]int{}
	for i := range b.operations {
		if k := b.operations[i].predicate; k != "" {
			if _, made, err := uri.ParsePredicate(k); err == nil {
				keys[b.operations[i].path+sameAddress(made)] = i
			}
		}
	}
	return keys
}

// sameAddress is a key as all are written that services take for the same, as [encoding.laneOf] has it.
func sameAddress(keys []uri.Key) string {
	for i := range keys {
		l := &keys[i].Literal
		l.Text = sameLiteral(l.Type, l.Text)
	}
	return string(uri.AppendPredicate(nil, keys))
}

// contradicted tells whether an answer says by its Content-ID, or by the place of the entity that was made, that it is
// for another operation.
func (b *together) contradicted(outcomes []outcome, ids bool) bool {
	var keys map[string]int // of all that say theirs, made when an answer is for no key of its own
	// others: an answer has the key of another operation; numbers: one has a key that nobody has sent.
	var others, numbers bool
	part, end := 0, 0
	for i, o := range outcomes {
		for i >= end {
			end += b.operationCounts[part]
			part++
		}
		if o.message == nil {
			continue
		}
		if id, err := strconv.Atoi(o.message.ID); err == nil && ids && !b.reads {
			if o.failed && (id <= end-b.operationCounts[part-1] || id > end) || !o.failed && id != i+1 {
				return true
			}
			if !o.failed {
				continue // a service that numbers by itself may give an entity the key of another one that was sent
			}
		}
		if at := o.message.Header("Location"); at != "" && b.operations[i].predicate != "" &&
			success(o.message.Status()) {
			if strings.HasSuffix(at, b.operations[i].predicate) {
				continue
			}
			_, made, err := uri.ParsePredicate(at)
			if err != nil {
				continue
			}
			if keys == nil {
				keys = b.keys()
			}
			switch other, ours := keys[b.operations[i].path+sameAddress(made)]; {
			case !ours:
				numbers = true
			case other != i:
				others = true
			}
		}
	}
	return others && !numbers
}
