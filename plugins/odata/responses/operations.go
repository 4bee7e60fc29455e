package responses

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// insertResult never repeats a POST unless the response proves that no entity was created (P19), because services that
// number entities would create a second one. Proof is one of the statuses of [wit.Refuses], or an error document that
// says that the entity is locked or the request was not served. In a batch any error document is proof: nothing of a
// failed changeset is stored. With proof the configured codes count as for other requests. Outside of batches the host
// checks message codes. Anything else is a transient rejection that leaves the row in doubt.
func (s responseHandler) insertResult(target *requests.Target, response *wit.Response) (wit.RowResult, error) {
	isSuccessful := isSuccess(response.Status) && !isRepeatRejected(response) && !odataerror.IsHTML(response.Body) &&
		!odataerror.IsError(response.Body)
	if isSuccessful && s.isServiceSuccess(target, response) {
		logServiceMessages(target.Path(), response)
		s.learnKeys(target, headerOf(response, "Location"))
		return written(), nil
	}
	name := target.Name()
	failure := odataerror.FromResponse(name, response, response.Body)
	switch {
	case isSuccessful && !provesDone(response.Status):
		failure.Message = name + ": " + inconclusiveText(response.Status)
	case isSuccessful:
		failure.Message += " (expected an entity)"
	}
	code, message, document := odataerror.Document(response.Body)
	if !document && !wit.IsRejection(response.Status) {
		failure.Code = nil
	}
	failed := response.Status != 0 && !isSuccess(response.Status)
	switch {
	case response.Status == 0 && target.IsRepeatable(s.State):
		return retry(noResponseError(target)), nil
	case response.Status == 0:
		return reject(inDoubtError(target.Path(), "no response")), nil
	case isSuccess(response.Status) && odataerror.IsHTML(response.Body):
		return wit.RowResult{}, odataerror.NotData(name, "an OData response", response.Body)
	case document && (odataerror.Locked(response, message) || isNotServed(response.Status)):
		failure.Kind = wit.ErrorTransient
		return retry(failure), nil
	case failed && document && target.Operation == requests.UpsertInsert && s.isExisting(response, code, message):
		return retryAsUpdate(target, failure), nil
	case failed && (document && target.InBatch || wit.IsRejection(response.Status)) &&
		odataerror.MatchesCode(s.RetryCodes, response.Status, code):
		failure.Kind = wit.ErrorTransient
		return retry(failure), nil
	case failed && document && target.InBatch && !wit.IsRejection(response.Status):
		failure.Kind = wit.ErrorData
		return reject(failure), nil
	case !wit.IsRejection(response.Status): // includes an error document with status 200
		failure.Kind = wit.ErrorTransient
		return reject(failure), nil
	case !s.isServiceWide(target, response) && response.Status == 404 && document:
		// The document may concern an entity that the row refers to, or the set.
		return addressResult(target, failure), nil
	case s.isServiceWide(target, response), response.Status == 404, response.Status == 405:
		return wit.RowResult{}, failure
	case failure.Kind != wit.ErrorTransient && failure.Kind != wit.ErrorUnauthorized &&
		s.isExisting(response, code, message):
		if target.Operation == requests.UpsertInsert {
			return retryAsUpdate(target, failure), nil
		}
		failure.Kind = wit.ErrorConflict
	}
	return classify(failure, response)
}

// retryAsUpdate continues an upsert whose insert found an existing entity. If an update has found none before, another
// entity has the same value in a unique property, and the row is rejected.
func retryAsUpdate(target *requests.Target, failure *wit.Error) wit.RowResult {
	if target.Hint.NotFoundStatus == 0 {
		return requeue(target.Hint.ForStep(requests.StepUpdate))
	}
	failure.Kind = wit.ErrorConflict
	failure.Message += " (but an update was answered HTTP " + strconv.Itoa(target.Hint.NotFoundStatus) +
		": another entity may have the same value in a unique property)"
	return reject(failure)
}

// updateResult treats 412 like 404 in upserts: some services answer so if If-Match: * finds no entity.
func (s responseHandler) updateResult(target *requests.Target, response *wit.Response) (wit.RowResult, error) {
	if isSuccess(response.Status) {
		s.learnIfMatch(target)
		return written(), nil
	}
	upserts := target.IsUpsertUpdate()
	tagged := s.UseETags && target.Hint.ETag != ""
	failure := odataerror.FromResponse(target.Name(), response, response.Body)
	switch {
	case response.Status == 412 && tagged:
		return s.etagConflict(target), nil
	case upserts && target.NestedUpdates > 0 && target.Hint.Step == requests.StepUpdate && (s.isNotFound(response) ||
		response.Status == 412):
		failure.Kind, failure.Message = wit.ErrorNotFound,
			failure.Message+" (a nested entity does not exist, and an upsert of an existing entity inserts none)"
		return reject(failure), nil
	case upserts && (s.isNotFound(response) || response.Status == 412):
		return retryAsInsert(target, response.Status), nil
	case s.isNotFound(response):
		failure.Kind = wit.ErrorNotFound
		return reject(failure), nil
	case response.Status == 428 && s.learnIfMatchRequired(target):
		return retryWithIfMatch(target), nil
	case response.Status == 428 && target.Hint.NoIfMatch:
		failure.Message += " (and HTTP 400 with If-Match: *)"
		return reject(failure), nil
	case response.Status == 428:
		failure.Message += " (" + sinkconfig.NameETag + " = none sends no If-Match: set any or use)"
		return reject(failure), nil
	case response.Status == 405 || response.Status == 501:
		return wit.RowResult{}, failure // applies to the next row too
	case s.mayRejectIfMatch(target, response):
		return retryWithoutIfMatch(target), nil
	}
	return s.classifyRepeatable(target, failure, response)
}

func retryAsInsert(target *requests.Target, status uint16) wit.RowResult {
	hint := target.Hint.ForStep(requests.StepInsert)
	if target.Hint.Step == requests.StepUpdate { // after an insert has found the entity
		hint.NotFoundStatus = int(status)
	}
	return requeue(hint)
}

// deleteResult counts a missing entity as deleted. Some services answer 412 for it, which is confirmed by a read.
func (s responseHandler) deleteResult(target *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case isSuccess(response.Status):
		s.learnIfMatch(target)
		return written(), nil
	case s.isNotFound(response):
		return written(), nil
	case response.Status == 428 && s.learnIfMatchRequired(target):
		return retryWithIfMatch(target), nil
	case s.mayRejectIfMatch(target, response):
		return retryWithoutIfMatch(target), nil
	case response.Status == 412 && s.UseETags && target.Hint.ETag != "":
		return s.etagConflict(target), nil
	case response.Status == 412:
		return requeue(target.Hint.ForStep(requests.StepConfirm)), nil
	}
	return s.classifyRepeatable(target, odataerror.FromResponse(target.Name(), response, response.Body), response)
}

func confirmResult(target *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case response.Status == 404 || response.Status == 410:
		return written(), nil
	case isSuccess(response.Status):
		return reject(&wit.Error{Kind: wit.ErrorConflict, Message: "DELETE " + target.Path() +
			": HTTP 412 although If-Match: * was sent and the entity exists"}), nil
	}
	return classify(odataerror.FromResponse(target.Name(), response, response.Body), response)
}

func (s responseHandler) etagResult(target *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case isSuccess(response.Status):
		hint := target.Hint
		tag, err := etagOf(response)
		if err != nil { // unlike an entity without ETag
			return reject(odataerror.NotData(target.Name(), "an entity", response.Body)), nil
		}
		if hint.HasETag, hint.ETag = true, tag; len(hint.ETag) > maxETag {
			return reject(&wit.Error{Kind: wit.ErrorData, Message: target.Name() + ": expected an ETag of at most " +
				strconv.Itoa(maxETag) + " bytes, found " + strconv.Itoa(len(hint.ETag))}), nil
		}
		return requeue(hint), nil
	case s.isNotFound(response) && target.Operation == requests.ReadETagForUpsert:
		return retryAsInsert(target, response.Status), nil
	case s.isNotFound(response) && target.Operation == requests.ReadETagForDelete:
		return written(), nil
	}
	return s.classifyRepeatable(target, odataerror.FromResponse(target.Name(), response, response.Body), response)
}

const maxETag = 8 << 10

func etagOf(response *wit.Response) (string, error) {
	if tag := headerOf(response, "ETag"); tag != "" {
		return tag, nil
	}
	parsed, err := document.Parse(response.Body)
	return parsed.Get("__metadata", "etag").Text, err
}

func (s responseHandler) etagConflict(target *requests.Target) wit.RowResult {
	failure := &wit.Error{Kind: wit.ErrorConflict, Message: target.Name() +
		": HTTP 412: the entity was changed after its ETag " +
		target.Hint.ETag + " was read"}
	if !s.RetryETagConflicts {
		return reject(failure)
	}
	failure.Kind = wit.ErrorTransient
	return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.ForStep(requests.StepUpdate).Text(), Error: failure}}
}
