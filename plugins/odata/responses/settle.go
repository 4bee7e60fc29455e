package responses

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// handler handles a response with what is known of the services, and learns from it.
type handler struct{ *capabilities.State }

// Handle returns the results of the rows of a delivery.
func Handle(known *capabilities.State, d *requests.Delivery, response *wit.Response) ([]wit.Verdict, error) {
	s := handler{known}
	LearnVersion(known, d.ServiceIndex, response)
	if d.BatchBytes > 0 {
		b := sentBatch{d}
		return b.results(s, response)
	}
	v, err := s.result(&d.Targets[0], response)
	if err != nil {
		return nil, err
	}
	return []wit.Verdict{v}, nil
}

// result returns the result of one row. Its response came alone or in the response to a batch.
func (s handler) result(a *requests.Target, response *wit.Response) (v wit.Verdict, err error) {
	if a.IsInsert() {
		if v, err = s.insertResult(a, response); err == nil {
			s.learnRequestIDs(a, response)
		}
	} else {
		v, err = s.otherResult(a, response)
	}
	if err != nil {
		return wit.Verdict{}, err
	}
	if v.Again != nil && v.Again.Fault != nil {
		if v.Again.Hint == "" {
			v.Again.Hint = a.Hint.Text() // the same request once more
		}
		if a.InBatch {
			v.Again.WaitMs = retryAfter(response)
		}
	}
	return v, nil
}

func (s handler) learnRequestIDs(a *requests.Target, response *wit.Response) {
	if s.InsertUncertain == "repeatable" && isSuccess(response.Status) {
		s.ServiceCapabilities[a.Set.ServiceIndex].RequestIDs = strings.EqualFold(strings.TrimSpace(headerOf(response,
			"RepeatabilityResult")),
			"accepted")
	}
}

func (s handler) otherResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case response.Status == 0 && a.IsRepeatable(s.State):
		return retry(noResponseError(a)), nil
	case response.Status == 0:
		return reject(noResponseError(a)), nil
	case isSuccess(response.Status) && fault.IsHTML(response.Body):
		return wit.Verdict{}, fault.NotData(a.Name(), "an answer of OData", response.Body)
	}
	if isSuccess(response.Status) && fault.IsError(response.Body) {
		// A gateway may hide the status: the error document counts.
		f := fault.Of(a.Name(), response, response.Body)
		f.Kind = wit.FaultData
		return reject(f), nil
	}
	if mayRejectAddress(a, response) {
		return addressResult(a, fault.Of(a.Name(), response, response.Body)), nil
	}
	if s.concernsCall(a, response) {
		return wit.Verdict{}, callError(a, response)
	}
	if isSuccess(response.Status) && !s.isServiceSuccess(a, response) {
		f := fault.NotData(a.Name(), "an answer of OData", response.Body)
		if !provesDone(response.Status) {
			f.Message = a.Name() + ": " + inconclusiveText(response.Status)
		}
		if f.Kind = wit.FaultTransient; a.IsRepeatable(s.State) {
			return retry(f), nil
		}
		return reject(f), nil
	}
	logServiceMessages(a.Path(), response)
	switch a.Operation {
	case requests.Delete:
		return s.deleteResult(a, response)
	case requests.ConfirmDelete:
		return confirmResult(a, response)
	case requests.ReadETag, requests.ReadETagForUpsert, requests.ReadETagForDelete:
		return s.etagResult(a, response)
	case requests.ReadSet:
		return s.setResult(a, response)
	case requests.LookUp, requests.LookUpForUpsert, requests.Find, requests.ProbeService:
		return s.checkResult(a, response)
	}
	return s.updateResult(a, response)
}

// insertResult never repeats a POST unless the response proves that no entity was created (P19), because services that
// number entities would create a second one. Proof is one of the statuses of [wit.Refuses], or an error document that
// says that the entity is locked or the request was not served. In a batch any error document is proof: nothing of a
// failed changeset is stored. With proof the configured codes count as for other requests. Outside of batches the host
// checks message codes. Anything else is a transient rejection that leaves the row in doubt.
func (s handler) insertResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	said := isSuccess(response.Status) && !isRepeatRejected(response) && !fault.IsHTML(response.Body) &&
		!fault.IsError(response.Body)
	if said && s.isServiceSuccess(a, response) {
		logServiceMessages(a.Path(), response)
		s.learnKeys(a, headerOf(response, "Location"))
		return written(), nil
	}
	what := a.Name()
	f := fault.Of(what, response, response.Body)
	switch {
	case said && !provesDone(response.Status):
		f.Message = what + ": " + inconclusiveText(response.Status)
	case said:
		f.Message += " (expected an entity)"
	}
	code, message, document := fault.Document(response.Body)
	if !document && !wit.Refuses(response.Status) {
		f.Code = nil
	}
	failed := response.Status != 0 && !isSuccess(response.Status)
	switch {
	case response.Status == 0 && a.IsRepeatable(s.State):
		return retry(noResponseError(a)), nil
	case response.Status == 0:
		return reject(inDoubtError(a.Path(), "no response")), nil
	case isSuccess(response.Status) && fault.IsHTML(response.Body):
		return wit.Verdict{}, fault.NotData(what, "an answer of OData", response.Body)
	case document && (fault.Locked(response, message) || isNotServed(response.Status)):
		f.Kind = wit.FaultTransient
		return retry(f), nil
	case failed && document && a.Operation == requests.UpsertInsert && s.isExisting(response, code, message):
		return retryAsUpdate(a, f), nil
	case failed && (document && a.InBatch || wit.Refuses(response.Status)) &&
		fault.Listed(s.RetryCodes, response.Status, code):
		f.Kind = wit.FaultTransient
		return retry(f), nil
	case failed && document && a.InBatch && !wit.Refuses(response.Status):
		f.Kind = wit.FaultData
		return reject(f), nil
	case !wit.Refuses(response.Status): // a success with an error among them: a gateway may hide the status
		f.Kind = wit.FaultTransient
		return reject(f), nil
	case !s.concernsCall(a, response) && response.Status == 404 && document:
		// The document may concern an entity that the row refers to, or the set.
		return addressResult(a, f), nil
	case s.concernsCall(a, response), response.Status == 404, response.Status == 405:
		return wit.Verdict{}, f
	case f.Kind != wit.FaultTransient && f.Kind != wit.FaultUnauthorized && s.isExisting(response, code, message):
		if a.Operation == requests.UpsertInsert {
			return retryAsUpdate(a, f), nil
		}
		f.Kind = wit.FaultConflict
	}
	return classify(f, response)
}

// retryAsUpdate continues an upsert whose insert found an existing entity. If an update has found none before, another
// entity has the same value in a unique property, and the row is rejected.
func retryAsUpdate(a *requests.Target, f *wit.Fault) wit.Verdict {
	if a.Hint.NotFoundStatus == 0 {
		return encodeAgain(a.Hint.ForStep(requests.StepUpdate))
	}
	f.Kind = wit.FaultConflict
	f.Message += " (but an update was answered HTTP " + strconv.Itoa(a.Hint.NotFoundStatus) +
		": another entity may have the same value in a unique property)"
	return reject(f)
}

// retryAsInsert continues an upsert whose update found no entity.
func retryAsInsert(a *requests.Target, status uint16) wit.Verdict {
	h := a.Hint.ForStep(requests.StepInsert)
	if a.Hint.Step == requests.StepUpdate { // an insert has said that it is
		h.NotFoundStatus = int(status)
	}
	return encodeAgain(h)
}

// updateResult treats 412 like 404 in upserts: some services answer so if If-Match: * finds no entity.
func (s handler) updateResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	if isSuccess(response.Status) {
		s.learnIfMatch(a)
		return written(), nil
	}
	upserts := a.IsUpsertUpdate()
	tagged := s.UseETags && a.Hint.ETag != ""
	f := fault.Of(a.Name(), response, response.Body)
	switch {
	case response.Status == 412 && tagged:
		return s.etagConflict(a), nil
	case upserts && a.NestedUpdates > 0 && a.Hint.Step == requests.StepUpdate && (s.isNotFound(response) ||
		response.Status == 412):
		f.Kind, f.Message = wit.FaultNotFound,
			f.Message+" (a nested entity does not exist, and an upsert of an existing entity does not insert nested ones)"
		return reject(f), nil
	case upserts && (s.isNotFound(response) || response.Status == 412):
		return retryAsInsert(a, response.Status), nil
	case s.isNotFound(response):
		f.Kind = wit.FaultNotFound
		return reject(f), nil
	case response.Status == 428 && s.learnIfMatchRequired(a):
		return retryWithIfMatch(a), nil
	case response.Status == 428 && a.Hint.NoIfMatch:
		f.Message += " (and HTTP 400 with If-Match: *)"
		return reject(f), nil
	case response.Status == 428:
		f.Message += " (" + sinkconfig.NameETag + " = none sends no If-Match: set any or use)"
		return reject(f), nil
	case response.Status == 405 || response.Status == 501:
		return wit.Verdict{}, f // the next row fares no better
	case s.mayRejectIfMatch(a, response):
		return retryWithoutIfMatch(a), nil
	}
	return s.classifyRepeatable(a, f, response)
}

func (s handler) etagConflict(a *requests.Target) wit.Verdict {
	f := &wit.Fault{Kind: wit.FaultConflict, Message: a.Name() + ": HTTP 412: the entity was changed after its ETag " +
		a.Hint.ETag + " was read"}
	if !s.RetryETagConflicts {
		return reject(f)
	}
	f.Kind = wit.FaultTransient
	return wit.Verdict{Again: &wit.Retry{Hint: a.Hint.ForStep(requests.StepUpdate).Text(), Fault: f}}
}

// deleteResult counts a missing entity as deleted. Some services answer 412 for it, which is confirmed by a read.
func (s handler) deleteResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case isSuccess(response.Status):
		s.learnIfMatch(a)
		return written(), nil
	case s.isNotFound(response):
		return written(), nil
	case response.Status == 428 && s.learnIfMatchRequired(a):
		return retryWithIfMatch(a), nil
	case s.mayRejectIfMatch(a, response):
		return retryWithoutIfMatch(a), nil
	case response.Status == 412 && s.UseETags && a.Hint.ETag != "":
		return s.etagConflict(a), nil
	case response.Status == 412:
		return encodeAgain(a.Hint.ForStep(requests.StepConfirm)), nil
	}
	return s.classifyRepeatable(a, fault.Of(a.Name(), response, response.Body), response)
}

func confirmResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case response.Status == 404 || response.Status == 410:
		return written(), nil
	case isSuccess(response.Status):
		return reject(&wit.Fault{Kind: wit.FaultConflict, Message: "DELETE " + a.Path() +
			": HTTP 412 although If-Match: * was sent and the entity exists"}), nil
	}
	return classify(fault.Of(a.Name(), response, response.Body), response)
}

// maxETag bounds an ETag in bytes: it becomes a request header and is stored in a hint.
const maxETag = 8 << 10

func (s handler) etagResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	switch {
	case isSuccess(response.Status):
		h := a.Hint
		tag, err := etagOf(response)
		if err != nil { // an entity without ETag is changed without If-Match, one that can't be read is not
			return reject(fault.NotData(a.Name(), "an entity", response.Body)), nil
		}
		if h.HasETag, h.ETag = true, tag; len(h.ETag) > maxETag {
			return reject(&wit.Fault{Kind: wit.FaultData, Message: a.Name() + ": expected an ETag of at most " +
				strconv.Itoa(maxETag) + " bytes, found " + strconv.Itoa(len(h.ETag))}), nil
		}
		return encodeAgain(h), nil
	case s.isNotFound(response) && a.Operation == requests.ReadETagForUpsert:
		return retryAsInsert(a, response.Status), nil
	case s.isNotFound(response) && a.Operation == requests.ReadETagForDelete:
		return written(), nil
	}
	return s.classifyRepeatable(a, fault.Of(a.Name(), response, response.Body), response)
}
