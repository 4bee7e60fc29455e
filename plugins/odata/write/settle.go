package write

import (
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Settle says what became of a delivery's rows.
func (p *Plugin) Settle(context []byte, memo []byte, rows []uint32, response wit.Response) (wit.Settled, error) {
	s, err := p.state(context)
	if err != nil {
		return wit.Settled{}, err
	}
	m, ok := readMemo(s, memo)
	if !ok || m.count != len(rows) {
		return wit.Settled{}, staleMemo()
	}
	s.learnVersion(m.at, &response)
	verdicts, err := p.verdicts(m, &response)
	settled := wit.Settled{Verdicts: verdicts}
	if err == nil && !s.same(p.last.state) {
		settled.Context = wit.Ptr(s.pack())
	}
	return settled, err
}

func staleMemo() error {
	return &wit.Fault{Kind: wit.FaultStale, Message: "the memo is of another version of this plugin"}
}

// verdicts are those on the rows of a delivery: what its answer says of each row's request is judged by
// [state.settle].
func (p *Plugin) verdicts(m memo, response *wit.Response) ([]wit.Verdict, error) {
	if m.size > 0 && m.s.allWritten(m, response) {
		for len(p.writtenRows) < m.count {
			p.writtenRows = append(p.writtenRows, written())
		}
		return p.writtenRows[:m.count:m.count], nil
	}
	rows, parts, ok := m.all()
	if !ok {
		return nil, staleMemo()
	}
	if m.size > 0 {
		b := sentBatch{at: m.at, size: m.size, rows: rows, parts: parts}
		return b.settle(m.s, response)
	}
	v, err := m.s.settle(&rows[0], response)
	if err != nil {
		return nil, err
	}
	return []wit.Verdict{v}, nil
}

// repeatable tells whether the request may be sent twice, as far as one of a batch can.
func (s *state) repeatable(a *target) bool {
	if a.inserts() {
		return s.uncertain == "retry" || s.uncertain == "repeatable" && s.learned[a.to.at].repeats
	}
	return a.operation == remove || !s.tags || !a.hint.tagged || a.hint.tag == "" || s.retryTags
}

// settle is the verdict on the row of one request, whose answer came by itself or in that to a batch.
func (s *state) settle(a *target, response *wit.Response) (v wit.Verdict, err error) {
	if a.inserts() {
		if v, err = s.settleInsert(a, response); err == nil {
			s.repeats(a, response)
		}
	} else {
		v, err = s.settleOther(a, response)
	}
	if err != nil {
		return wit.Verdict{}, err
	}
	if v.Again != nil && v.Again.Fault != nil {
		if v.Again.Hint == "" {
			v.Again.Hint = a.hint.text() // the same request once more
		}
		if a.batched {
			v.Again.WaitMs = retryAfter(response)
		}
	}
	return v, nil
}

// repeats learns whether the service knows RequestIDs, from what it says of them.
func (s *state) repeats(a *target, response *wit.Response) {
	if s.uncertain == "repeatable" && success(response.Status) {
		s.learned[a.to.at].repeats = strings.EqualFold(strings.TrimSpace(headerOf(response, "RepeatabilityResult")),
			"accepted")
	}
}

// rejected tells whether a service says of a request with a RequestID that it has not done it. The second name is that
// of OASIS's Repeatable Requests.
func rejected(response *wit.Response) bool {
	for _, name := range []string{"RepeatabilityResult", "Repeatability-Result"} {
		if strings.EqualFold(strings.TrimSpace(headerOf(response, name)), "rejected") {
			return true
		}
	}
	return false
}

// learnVersion learns that the service says its version.
func (s *state) learnVersion(at int, response *wit.Response) {
	s.learned[at].versioned = s.learned[at].versioned || versioned(response)
}

func headerOf(response *wit.Response, name string) string {
	for _, h := range response.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// retryAfter is how many milliseconds an answer inside a batch asks to wait; those of others the host reads.
func retryAfter(response *wit.Response) uint32 {
	wait, _ := fault.RetryAfter(headerOf(response, "Retry-After"), response.At)
	return uint32(min(wait.Milliseconds(), math.MaxUint32))
}

// noAnswer is the fault of a request without an answer.
func noAnswer(a *target) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultTransient, Message: a.what() + ": no answer came"}
}

func (s *state) settleOther(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case response.Status == 0 && s.repeatable(a):
		return again(noAnswer(a)), nil
	case response.Status == 0:
		return refused(noAnswer(a)), nil
	case success(response.Status) && fault.IsHTML(response.Body):
		// A logon page says nothing of the row.
		return wit.Verdict{}, fault.NotData(a.what(), "an answer of OData", response.Body)
	}
	if success(response.Status) && fault.IsError(response.Body) {
		// Services behind gateways that hide the status: what the document says counts.
		f := fault.Of(a.what(), response, response.Body)
		f.Kind = wit.FaultData
		return refused(f), nil
	}
	if ofTheAddress(a, response) {
		return settleAddress(a, fault.Of(a.what(), response, response.Body)), nil
	}
	if s.ofTheCall(a, response) {
		return wit.Verdict{}, callFault(a, response)
	}
	if success(response.Status) && !s.fromService(a, response) {
		f := fault.NotData(a.what(), "an answer of OData", response.Body)
		if !done(response.Status) {
			f.Message = a.what() + ": " + undone(response.Status)
		}
		if f.Kind = wit.FaultTransient; s.repeatable(a) {
			return again(f), nil
		}
		return refused(f), nil
	}
	say(a.path(), response)
	switch a.operation {
	case remove:
		return s.settleDelete(a, response)
	case confirm:
		return settleConfirm(a, response)
	case readTag, readTagOfUpsert, readTagOfRemoval:
		return s.settleTag(a, response)
	case readSet:
		return s.settleSet(a, response)
	case look, lookOfUpsert, find, probe:
		return s.settleCheck(a, response)
	}
	return s.settleUpdate(a, response)
}

// say logs what the service says in addition to its answer, as a warning where the service calls it one.
func say(target string, response *wit.Response) {
	if text := headerOf(response, "sap-message"); text != "" {
		sdk.Log(severity(text), target+": "+fault.Excerpt([]byte(text)))
	}
}

// severity is the level of a message of SAP, in JSON or XML: the worst of it and of its details.
func severity(message string) wit.Level {
	text := strings.ToLower(strings.Join(strings.Fields(message), ""))
	for _, grave := range []string{"warning", "error"} {
		if strings.Contains(text, `"severity":"`+grave) || strings.Contains(text, "<severity>"+grave) {
			return wit.LevelWarn
		}
	}
	return wit.LevelInfo
}

func written() wit.Verdict { return wit.Verdict{Written: wit.Chosen} }

func refused(f *wit.Fault) wit.Verdict { return wit.Verdict{Refused: f} }

// again counts as an attempt, since it carries a fault.
func again(f *wit.Fault) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Fault: f}} }

// proceed goes on with something else, which counts as none.
func proceed(h hint) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Hint: h.text()}} }

func success(status uint16) bool { return status >= 200 && status <= 299 }

// done tells whether a status says that all of what was asked for is done. Of the successes, Accepted (202) says that
// it may be done later or not at all, and Partial Content (206) and Multi-Status (207) that a part of it is missing or
// has a status of its own.
func done(status uint16) bool {
	return success(status) && status != 202 && status != 206 && status != 207
}

// settleInsert: a POST is never sent again unless the answer says that the entity was not created (P19), because
// services that number entities would make a second one. Some statuses say so ([wit.Refuses]). An answer of any other
// one may come from a gateway whose service did its work; it counts for nothing but what an error document of OData in
// it says: that the entity is locked, or that it was not served. Inside the answer to a batch such a
// document is the service's own, which stores nothing of a changeset that fails. Where that, or the status, proves that
// nothing was written, the codes of the settings count as for any other request; outside of batches message codes are
// the host's business, who knows which are to be tried again. What remains is a refusal of kind transient, by which
// nobody knows what became of the row.
func (s *state) settleInsert(a *target, response *wit.Response) (wit.Verdict, error) {
	said := success(response.Status) && !rejected(response) && !fault.IsHTML(response.Body) &&
		!fault.IsError(response.Body)
	if said && s.fromService(a, response) {
		say(a.path(), response)
		s.made(a, headerOf(response, "Location"))
		return written(), nil
	}
	what := a.what()
	f := fault.Of(what, response, response.Body)
	switch {
	case said && !done(response.Status):
		f.Message = what + ": " + undone(response.Status)
	case said:
		f.Message += " (expected an entity)"
	}
	code, message, document := fault.Document(response.Body)
	if !document && !wit.Refuses(response.Status) {
		f.Code = nil
	}
	failed := response.Status != 0 && !success(response.Status)
	switch {
	case response.Status == 0 && s.repeatable(a):
		return again(noAnswer(a)), nil
	case response.Status == 0:
		return refused(uncertain(a.path(), "no answer came")), nil
	case success(response.Status) && fault.IsHTML(response.Body):
		// A logon page says nothing of the row.
		return wit.Verdict{}, fault.NotData(what, "an answer of OData", response.Body)
	case document && (fault.Locked(code, message) || unserved(response.Status)):
		f.Kind = wit.FaultTransient
		return again(f), nil
	case failed && document && a.operation == upsertInsert && s.exists(response.Status, code, message):
		return turn(a, f), nil
	case failed && (document && a.batched || wit.Refuses(response.Status)) &&
		fault.Listed(s.httpCodes, response.Status, code):
		f.Kind = wit.FaultTransient
		return again(f), nil
	case failed && document && a.batched && !wit.Refuses(response.Status):
		f.Kind = wit.FaultData
		return refused(f), nil
	case !wit.Refuses(response.Status): // a success with an error among them: a gateway may hide the status
		f.Kind = wit.FaultTransient
		return refused(f), nil
	case !s.ofTheCall(a, response) && response.Status == 404 && document:
		// Services say so of an entity that the row refers to, or of the set.
		return settleAddress(a, f), nil
	case s.ofTheCall(a, response), response.Status == 404, response.Status == 405:
		return wit.Verdict{}, f
	case f.Kind != wit.FaultTransient && f.Kind != wit.FaultUnauthorized && s.exists(response.Status, code, message):
		if a.operation == upsertInsert {
			return turn(a, f), nil
		}
		f.Kind = wit.FaultConflict
	}
	return verdict(f, response)
}

// unserved are statuses by which a service says, in an error document of its own, that it has not taken a request up.
// Proxies answer with them for services that did (see [wit.Refuses]).
func unserved(status uint16) bool { return status == 408 || status == 503 }

// turn goes on with the update of an upsert whose insert is refused because the entity is there. One that was deleted
// meanwhile is inserted after that, once: if a second insert is refused as existing too, it isn't this entity that
// exists, but another one with a value, besides the key, that must be unique, which is refused with the same words.
func turn(a *target, f *wit.Fault) wit.Verdict {
	if a.hint.gone == 0 {
		return proceed(a.hint.to(stepUpdate))
	}
	f.Kind = wit.FaultConflict
	f.Message += " (but an update was answered HTTP " + strconv.Itoa(a.hint.gone) +
		", that no entity has the record's key: one of another key may have a value that must be unique)"
	return refused(f)
}

// missed goes on with the insert of an upsert whose update was answered that the entity isn't there.
func missed(a *target, status uint16) wit.Verdict {
	h := a.hint.to(stepInsert)
	if a.hint.step == stepUpdate { // an insert has said that it is
		h.gone = int(status)
	}
	return proceed(h)
}

// exists tells whether a refusal says that the entity is there already.
func (s *state) exists(status uint16, code, message string) bool {
	return fault.Exists(status, message) || fault.Listed(s.existsCodes, status, code)
}

// missing tells whether a refusal says that the entity isn't there.
func (s *state) missing(response *wit.Response) bool {
	switch status := response.Status; {
	case status == 404 || status == 410:
		return true
	case status == 0 || success(status):
		return false
	}
	code, _, _ := fault.Document(response.Body)
	return fault.Listed(s.notFoundCodes, response.Status, code)
}

func uncertain(target, why string) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + insertUncertain +
		"): look whether it is there before the record is sent again"}
}

// matching is what is known of whether a service takes If-Match: * for an entity set.
type matching byte

const (
	notKnown matching = iota
	takes
	takesNone
)

// mayTakeNoMatch tells whether a refusal may speak of If-Match: *, which WCF refuses with 400 and a text in the
// server's language where a type has no ETag. Services of SAP take it. What may pass speaks of something else.
func (s *state) mayTakeNoMatch(a *target, response *wit.Response) bool {
	if response.Status != 400 || s.tags || s.bare || a.hint.bare {
		return false
	}
	code, message, _ := fault.Document(response.Body)
	return !a.to.sap && !a.to.entity.Etag() && s.evidence[a.to.same].match != takes && !fault.Locked(code, message) &&
		!fault.Listed(s.httpCodes, response.Status, code)
}

// withoutMatch sends a request once more without If-Match, in a changeset of its own, since another one in it may be
// what is refused.
func (t *target) withoutMatch() wit.Verdict {
	h := t.hint
	h.bare, h.alone = true, true
	return proceed(h)
}

// took learns from an update or delete that was done whether the service takes If-Match: *. That it took one counts
// more than that it took another without: a PUT without If-Match makes an entity at some services.
func (s *state) took(a *target) {
	match := &s.evidence[a.to.same].match
	switch {
	case s.tags || s.bare || *match != notKnown:
	case a.hint.bare:
		*match = takesNone
	default:
		*match = takes
	}
}

// matched learns that a service wants If-Match after all; false: it was sent, or was left out for a trial, or because
// the settings say so.
func (s *state) matched(a *target) bool {
	match := &s.evidence[a.to.same].match
	if s.tags || s.bare || *match != takesNone && (*match != takes || !a.hint.bare) {
		return false
	}
	*match = takes
	return true
}

func (t *target) withMatch() wit.Verdict {
	h := t.hint
	h.bare = false
	return proceed(h)
}

// conflict is the verdict on a request whose ETag is not the entity's any more.
func (s *state) conflict(a *target) wit.Verdict {
	f := &wit.Fault{Kind: wit.FaultConflict, Message: a.what() + ": HTTP 412: the entity was changed since its ETag " +
		a.hint.tag + " was read"}
	if !s.retryTags {
		return refused(f)
	}
	f.Kind = wit.FaultTransient
	return wit.Verdict{Again: &wit.Retry{Hint: a.hint.to(stepUpdate).text(), Fault: f}}
}

// settleUpdate: an upsert inserts what isn't there. Services answer 412 too, where If-Match: * meets nothing.
func (s *state) settleUpdate(a *target, response *wit.Response) (wit.Verdict, error) {
	if success(response.Status) {
		s.took(a)
		return written(), nil
	}
	upserts := a.upserts()
	tagged := s.tags && a.hint.tag != ""
	f := fault.Of(a.what(), response, response.Body)
	switch {
	case response.Status == 412 && tagged:
		return s.conflict(a), nil
	case upserts && a.nested > 0 && a.hint.step == stepUpdate && (s.missing(response) || response.Status == 412):
		// An insert has said that the row's own is there.
		f.Kind, f.Message = wit.FaultNotFound,
			f.Message+" (an entity nested in it isn't there, and an upsert inserts those of an "+
				"entity that is there never)"
		return refused(f), nil
	case upserts && (s.missing(response) || response.Status == 412):
		return missed(a, response.Status), nil
	case s.missing(response):
		f.Kind = wit.FaultNotFound
		return refused(f), nil
	case response.Status == 428 && s.matched(a):
		return a.withMatch(), nil
	case response.Status == 428 && a.hint.bare:
		f.Message += " (and HTTP 400 with If-Match: *)"
		return refused(f), nil
	case response.Status == 428:
		f.Message += " (" + etag + " = none sends no If-Match; any and use do)"
		return refused(f), nil
	case response.Status == 405 || response.Status == 501:
		return wit.Verdict{}, f // the next row fares no better
	case s.mayTakeNoMatch(a, response):
		return a.withoutMatch(), nil
	}
	return s.rest(a, f, response)
}

// rest is the verdict on a request that may be sent twice, where the answer says nothing of its own. Inside a batch the
// host doesn't see the status, by which it would send it again.
func (s *state) rest(a *target, f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	code, _, _ := fault.Document(response.Body)
	if a.batched && fault.Listed(s.httpCodes, response.Status, code) {
		f.Kind = wit.FaultTransient
		return again(f), nil
	}
	return verdict(f, response)
}

// settleDelete: an entity that is gone counts as deleted. A 412 in spite of If-Match: * means the same at some
// services, which is looked up.
func (s *state) settleDelete(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case success(response.Status):
		s.took(a)
		return written(), nil
	case s.missing(response):
		return written(), nil
	case response.Status == 428 && s.matched(a):
		return a.withMatch(), nil
	case s.mayTakeNoMatch(a, response):
		return a.withoutMatch(), nil
	case response.Status == 412 && s.tags && a.hint.tag != "":
		return s.conflict(a), nil
	case response.Status == 412:
		return proceed(a.hint.to(stepConfirm)), nil
	}
	return s.rest(a, fault.Of(a.what(), response, response.Body), response)
}

// settleConfirm reads the answer to whether an entity is gone.
func settleConfirm(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case response.Status == 404 || response.Status == 410:
		return written(), nil
	case success(response.Status):
		return refused(&wit.Fault{Kind: wit.FaultConflict, Message: "DELETE " + a.path() +
			": HTTP 412 in spite of If-Match: *, and the entity is there"}), nil
	}
	return verdict(fault.Of(a.what(), response, response.Body), response)
}

// settleTag reads the ETag of an entity that is to be changed.
func (s *state) settleTag(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case success(response.Status):
		h := a.hint
		h.tagged, h.tag = true, tagOf(response)
		return proceed(h), nil
	case s.missing(response) && a.operation == readTagOfUpsert:
		return missed(a, response.Status), nil
	case s.missing(response) && a.operation == readTagOfRemoval:
		return written(), nil
	}
	return s.rest(a, fault.Of(a.what(), response, response.Body), response)
}

// verdict is what other answers mean: 401 concerns the connector and not the row; what may pass is tried again; the
// rest is the row's own. A 500 is the row's: services answer so for rows that they can't take, and a lock says that it
// is one.
func verdict(f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	code, message, _ := fault.Document(response.Body)
	switch {
	case f.Kind == wit.FaultUnauthorized:
		return wit.Verdict{}, f
	case response.Status == 500 && !fault.Locked(code, message):
		f.Kind = wit.FaultData
	case f.Kind == wit.FaultTransient:
		return again(f), nil
	}
	return refused(f), nil
}
