package write

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

// handler handles a response with what is known of the services, and learns from it.
type handler struct{ *state }

// handle returns the verdicts on the rows of a delivery.
func handle(known *state, d *delivery, response *wit.Response) ([]wit.Verdict, error) {
	s := handler{known}
	learnVersion(known, d.at, response)
	if d.size > 0 {
		b := sentBatch{d}
		return b.settle(s, response)
	}
	v, err := s.settle(&d.rows[0], response)
	if err != nil {
		return nil, err
	}
	return []wit.Verdict{v}, nil
}

// settle is the verdict on the row of one request, whose answer came by itself or in that to a batch.
func (s handler) settle(a *target, response *wit.Response) (v wit.Verdict, err error) {
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
func (s handler) repeats(a *target, response *wit.Response) {
	if s.uncertain == "repeatable" && success(response.Status) {
		s.learned[a.to.at].repeats = strings.EqualFold(strings.TrimSpace(headerOf(response, "RepeatabilityResult")),
			"accepted")
	}
}

func (s handler) settleOther(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case response.Status == 0 && a.repeatableAt(s.state):
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
		if !saysDone(response.Status) {
			f.Message = a.what() + ": " + undone(response.Status)
		}
		if f.Kind = wit.FaultTransient; a.repeatableAt(s.state) {
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
	case look, lookOfUpsert, find, probing:
		return s.settleCheck(a, response)
	}
	return s.settleUpdate(a, response)
}

// settleInsert: a POST is never sent again unless the answer says that the entity was not created (P19), because
// services that number entities would make a second one. Some statuses say so ([wit.Refuses]). An answer of any other
// one may come from a gateway whose service did its work; it counts for nothing but what an error document of OData in
// it says: that the entity is locked, or that it was not served. Inside the answer to a batch such a
// document is the service's own, which stores nothing of a changeset that fails. Where that, or the status, proves that
// nothing was written, the codes of the settings count as for any other request; outside of batches message codes are
// the host's business, who knows which are to be tried again. What remains is a refusal of kind transient, by which
// nobody knows what became of the row.
func (s handler) settleInsert(a *target, response *wit.Response) (wit.Verdict, error) {
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
	case said && !saysDone(response.Status):
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
	case response.Status == 0 && a.repeatableAt(s.state):
		return again(noAnswer(a)), nil
	case response.Status == 0:
		return refused(uncertainFault(a.path(), "no answer came")), nil
	case success(response.Status) && fault.IsHTML(response.Body):
		// A logon page says nothing of the row.
		return wit.Verdict{}, fault.NotData(what, "an answer of OData", response.Body)
	case document && (fault.Locked(response, message) || unserved(response.Status)):
		f.Kind = wit.FaultTransient
		return again(f), nil
	case failed && document && a.operation == upsertInsert && s.exists(response, code, message):
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
	case f.Kind != wit.FaultTransient && f.Kind != wit.FaultUnauthorized && s.exists(response, code, message):
		if a.operation == upsertInsert {
			return turn(a, f), nil
		}
		f.Kind = wit.FaultConflict
	}
	return verdict(f, response)
}

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

// settleUpdate: an upsert inserts what isn't there. Services answer 412 too, where If-Match: * meets nothing.
func (s handler) settleUpdate(a *target, response *wit.Response) (wit.Verdict, error) {
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
		return withMatch(a), nil
	case response.Status == 428 && a.hint.bare:
		f.Message += " (and HTTP 400 with If-Match: *)"
		return refused(f), nil
	case response.Status == 428:
		f.Message += " (" + etag + " = none sends no If-Match; any and use do)"
		return refused(f), nil
	case response.Status == 405 || response.Status == 501:
		return wit.Verdict{}, f // the next row fares no better
	case s.mayTakeNoMatch(a, response):
		return withoutMatch(a), nil
	}
	return s.rest(a, f, response)
}

// conflict is the verdict on a request whose ETag is not the entity's any more.
func (s handler) conflict(a *target) wit.Verdict {
	f := &wit.Fault{Kind: wit.FaultConflict, Message: a.what() + ": HTTP 412: the entity was changed since its ETag " +
		a.hint.tag + " was read"}
	if !s.retryTags {
		return refused(f)
	}
	f.Kind = wit.FaultTransient
	return wit.Verdict{Again: &wit.Retry{Hint: a.hint.to(stepUpdate).text(), Fault: f}}
}

// settleDelete: an entity that is gone counts as deleted. A 412 in spite of If-Match: * means the same at some
// services, which is looked up.
func (s handler) settleDelete(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case success(response.Status):
		s.took(a)
		return written(), nil
	case s.missing(response):
		return written(), nil
	case response.Status == 428 && s.matched(a):
		return withMatch(a), nil
	case s.mayTakeNoMatch(a, response):
		return withoutMatch(a), nil
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

// maxTag is how long an ETag may be: it becomes a request's header, and is kept in a hint.
const maxTag = 8 << 10

// settleTag reads the ETag of an entity that is to be changed.
func (s handler) settleTag(a *target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case success(response.Status):
		h := a.hint
		tag, err := tagOf(response)
		if err != nil { // an entity without ETag is changed without If-Match, one that can't be read is not
			return refused(fault.NotData(a.what(), "an entity", response.Body)), nil
		}
		if h.tagged, h.tag = true, tag; len(h.tag) > maxTag {
			return refused(&wit.Fault{Kind: wit.FaultData, Message: a.what() + ": expected an ETag of at most " +
				strconv.Itoa(maxTag) + " bytes, found " + strconv.Itoa(len(h.tag))}), nil
		}
		return proceed(h), nil
	case s.missing(response) && a.operation == readTagOfUpsert:
		return missed(a, response.Status), nil
	case s.missing(response) && a.operation == readTagOfRemoval:
		return written(), nil
	}
	return s.rest(a, fault.Of(a.what(), response, response.Body), response)
}
