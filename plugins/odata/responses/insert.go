package responses

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/wit"
)

// insertResult returns the result of an insert. It repeats a POST only if the request is repeatable or if the response
// proves that no entity was created, because a service that numbers its documents would create a second one
// (RATIONALE.md P19). Proof is one of the statuses of [wit.IsRejection], or an error document that reports a lock or
// that the request was not served. In a batch any error document is proof: nothing of a failed changeset is stored.
// After any other response the record is in doubt: a rejection with a transient error.
func (h responseHandler) insertResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	succeeded := isSuccess(response.Status) && !isRepeatRejected(headersOf(response)) &&
		!odataerror.IsHTML(response.Body) && !odataerror.IsError(response.Body)
	if succeeded && h.isServiceSuccess(target, response) {
		logServiceMessages(target.Path(), response)
		if failure := draftError(target, response); failure != nil {
			return reject(failure), nil
		}
		h.learnKeys(target, headerOf(response, "Location"))
		return written(), nil
	}
	failure := response.Failure(target.Name())
	switch {
	case succeeded && !provesDone(response.Status):
		failure.Message = target.Name() + ": " + inconclusiveText(response.Status)
	case succeeded:
		failure.Message += " (expected an entity)"
	}
	result, err := h.insertFailure(target, response, failure)
	isFirst := target.Operation == requests.UpsertInsert && target.Hint.Step == "" &&
		h.UpsertFirst == requests.StepUpdate
	if err == nil && result.Rejected != nil && isFirst && provesNotInserted(target, response) {
		// The service may report in unknown words that the entity exists.
		return h.requeueAsUpdate(target, failure), nil
	}
	return result, err
}

// provesNotInserted reports whether a response proves that an insert was not done.
func provesNotInserted(target *requests.Target, response *odataerror.Response) bool {
	_, _, isDocument := response.Document()
	failed := response.Status != 0 && !isSuccess(response.Status)
	return failed && (wit.IsRejection(response.Status) || (isDocument && target.InBatch))
}

// minNewRows is the least number of rows in a batch that can show that upserts are mostly inserts.
const minNewRows = 20

// learnNewRows makes upserts of the set begin with the insert if all rows of a batch were inserted under the keys that
// were sent, after the service had not found them. A service that numbers its entities by itself would not refuse the
// insert of an existing one.
func (b *sentBatch) learnNewRows(outcomes []outcome, results []wit.RowResult) {
	for i := range b.Targets {
		target := &b.Targets[i]
		if target.Operation != requests.UpsertInsert || target.Hint.Step != requests.StepInsert ||
			target.Set != b.Targets[0].Set || results[i].Written == nil || outcomes[i].message == nil ||
			!strings.HasSuffix(outcomes[i].message.Header("Location"), target.Predicate) {
			return
		}
	}
	if len(b.Targets) >= minNewRows {
		b.SetCapabilities[b.Targets[0].Set.CapabilityIndex].InsertsFirst = true
	}
}

// requestIDOutdated is the code of SAP Gateway's message "RequestID is outdated": the service has processed a request
// with this RequestID before, successfully, and no longer has its response (long text of the message at
// sapdatasheet.org).
const requestIDOutdated = "/IWBEP/CM_COS/005"

// insertFailure returns the result of an insert whose response is no success of the service. With proof that no entity
// was created, the configured codes count as for other requests. Outside of batches the host checks message codes.
func (h responseHandler) insertFailure(target *requests.Target, response *odataerror.Response,
	failure *wit.Error) (wit.RowResult, error) {
	code, message, isDocument := response.Document()
	lock := h.lockOf(target, response)
	isRejection := wit.IsRejection(response.Status)
	if !isDocument && !isRejection {
		failure.Code = nil // not the service's own code, so the host must not retry by it
	}
	failed := response.Status != 0 && !isSuccess(response.Status)
	isProof := provesNotInserted(target, response)
	switch { // the first case that applies counts
	case response.Status == 0 && target.IsRepeatable(h.State):
		return retry(noResponseError(target)), nil
	case response.Status == 0:
		return reject(inDoubtError(target.Path(), "no response")), nil
	case isSuccess(response.Status) && odataerror.IsHTML(response.Body):
		return wit.RowResult{}, odataerror.NotData(target.Name(), "an OData response", response.Body)
	case isDocument && h.InsertUncertain == "repeatable" && strings.EqualFold(code, requestIDOutdated):
		return written(), nil
	case lock != odataerror.NotLocked:
		return h.lockResult(response, failure, lock), nil
	case isDocument && isNotServed(response.Status):
		failure.Kind = wit.ErrorTransient
		return retry(failure), nil
	case failed && isDocument && target.Operation == requests.UpsertInsert && h.isExisting(response, code, message):
		return h.requeueAsUpdate(target, failure), nil
	case isProof && odataerror.MatchesCode(h.RetryCodes, response.Status, code):
		failure.Kind = wit.ErrorTransient
		return retry(failure), nil
	case (isRejection || target.IsRepeatable(h.State)) && h.isOutage(target, response):
		return retry(outageError(target, response)), nil
	case isProof && !isRejection:
		failure.Kind = wit.ErrorData
		return reject(failure), nil
	case !isRejection: // includes an error document with status 200
		failure.Kind = wit.ErrorTransient
		return reject(failure), nil
	}
	return h.insertRejection(target, response, failure)
}

// insertRejection returns the result of an insert whose status proves that no entity was created.
func (h responseHandler) insertRejection(target *requests.Target, response *odataerror.Response,
	failure *wit.Error) (wit.RowResult, error) {
	code, message, isDocument := response.Document()
	isServiceWide := h.isServiceWide(target, response)
	switch {
	case !isServiceWide && response.Status == 404 && isDocument:
		// The document may concern an entity that the row refers to, or the set.
		return addressResult(target, failure), nil
	case isServiceWide, response.Status == 404, response.Status == 405:
		return wit.RowResult{}, failure
	case failure.Kind != wit.ErrorTransient && failure.Kind != wit.ErrorUnauthorized &&
		h.isExisting(response, code, message):
		if target.Operation == requests.UpsertInsert {
			return h.requeueAsUpdate(target, failure), nil
		}
		failure.Kind = wit.ErrorConflict
	}
	return h.classify(target, failure, response)
}

// requeueAsUpdate continues an upsert whose insert found an existing entity. If an update has found no entity before,
// another one has the same value in a unique property, and the row is rejected.
func (h responseHandler) requeueAsUpdate(target *requests.Target, failure *wit.Error) wit.RowResult {
	h.SetCapabilities[target.Set.CapabilityIndex].InsertsFirst = false
	if target.Hint.NotFoundStatus == 0 {
		return requeue(target.Hint.ForStep(requests.StepUpdate))
	}
	failure.Kind = wit.ErrorConflict
	failure.Message += " (but an update was answered HTTP " + strconv.Itoa(target.Hint.NotFoundStatus) +
		": another entity may have the same value in a unique property)"
	return reject(failure)
}
