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
func (s handler) insertResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	isSuccessful := isSuccess(response.Status) && !isRepeatRejected(response) && !odataerror.IsHTML(response.Body) &&
		!odataerror.IsError(response.Body)
	if isSuccessful && s.isServiceSuccess(t, response) {
		logServiceMessages(t.Path(), response)
		s.learnKeys(t, headerOf(response, "Location"))
		return written(), nil
	}
	name := t.Name()
	f := odataerror.FromResponse(name, response, response.Body)
	switch {
	case isSuccessful && !provesDone(response.Status):
		f.Message = name + ": " + inconclusiveText(response.Status)
	case isSuccessful:
		f.Message += " (expected an entity)"
	}
	code, message, document := odataerror.Document(response.Body)
	if !document && !wit.IsRejection(response.Status) {
		f.Code = nil
	}
	failed := response.Status != 0 && !isSuccess(response.Status)
	switch {
	case response.Status == 0 && t.IsRepeatable(s.State):
		return retry(noResponseError(t)), nil
	case response.Status == 0:
		return reject(inDoubtError(t.Path(), "no response")), nil
	case isSuccess(response.Status) && odataerror.IsHTML(response.Body):
		return wit.RowResult{}, odataerror.NotData(name, "an OData response", response.Body)
	case document && (odataerror.Locked(response, message) || isNotServed(response.Status)):
		f.Kind = wit.ErrorTransient
		return retry(f), nil
	case failed && document && t.Operation == requests.UpsertInsert && s.isExisting(response, code, message):
		return retryAsUpdate(t, f), nil
	case failed && (document && t.InBatch || wit.IsRejection(response.Status)) &&
		odataerror.MatchesCode(s.RetryCodes, response.Status, code):
		f.Kind = wit.ErrorTransient
		return retry(f), nil
	case failed && document && t.InBatch && !wit.IsRejection(response.Status):
		f.Kind = wit.ErrorData
		return reject(f), nil
	case !wit.IsRejection(response.Status): // includes an error document with status 200
		f.Kind = wit.ErrorTransient
		return reject(f), nil
	case !s.concernsCall(t, response) && response.Status == 404 && document:
		// The document may concern an entity that the row refers to, or the set.
		return addressResult(t, f), nil
	case s.concernsCall(t, response), response.Status == 404, response.Status == 405:
		return wit.RowResult{}, f
	case f.Kind != wit.ErrorTransient && f.Kind != wit.ErrorUnauthorized && s.isExisting(response, code, message):
		if t.Operation == requests.UpsertInsert {
			return retryAsUpdate(t, f), nil
		}
		f.Kind = wit.ErrorConflict
	}
	return classify(f, response)
}

// retryAsUpdate continues an upsert whose insert found an existing entity. If an update has found none before, another
// entity has the same value in a unique property, and the row is rejected.
func retryAsUpdate(t *requests.Target, f *wit.Error) wit.RowResult {
	if t.Hint.NotFoundStatus == 0 {
		return requeue(t.Hint.ForStep(requests.StepUpdate))
	}
	f.Kind = wit.ErrorConflict
	f.Message += " (but an update was answered HTTP " + strconv.Itoa(t.Hint.NotFoundStatus) +
		": another entity may have the same value in a unique property)"
	return reject(f)
}

// updateResult treats 412 like 404 in upserts: some services answer so if If-Match: * finds no entity.
func (s handler) updateResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	if isSuccess(response.Status) {
		s.learnIfMatch(t)
		return written(), nil
	}
	upserts := t.IsUpsertUpdate()
	tagged := s.UseETags && t.Hint.ETag != ""
	f := odataerror.FromResponse(t.Name(), response, response.Body)
	switch {
	case response.Status == 412 && tagged:
		return s.etagConflict(t), nil
	case upserts && t.NestedUpdates > 0 && t.Hint.Step == requests.StepUpdate && (s.isNotFound(response) ||
		response.Status == 412):
		f.Kind, f.Message = wit.ErrorNotFound,
			f.Message+" (a nested entity does not exist, and an upsert of an existing entity inserts none)"
		return reject(f), nil
	case upserts && (s.isNotFound(response) || response.Status == 412):
		return retryAsInsert(t, response.Status), nil
	case s.isNotFound(response):
		f.Kind = wit.ErrorNotFound
		return reject(f), nil
	case response.Status == 428 && s.learnIfMatchRequired(t):
		return retryWithIfMatch(t), nil
	case response.Status == 428 && t.Hint.NoIfMatch:
		f.Message += " (and HTTP 400 with If-Match: *)"
		return reject(f), nil
	case response.Status == 428:
		f.Message += " (" + sinkconfig.NameETag + " = none sends no If-Match: set any or use)"
		return reject(f), nil
	case response.Status == 405 || response.Status == 501:
		return wit.RowResult{}, f // applies to the next row too
	case s.mayRejectIfMatch(t, response):
		return retryWithoutIfMatch(t), nil
	}
	return s.classifyRepeatable(t, f, response)
}

func retryAsInsert(t *requests.Target, status uint16) wit.RowResult {
	h := t.Hint.ForStep(requests.StepInsert)
	if t.Hint.Step == requests.StepUpdate { // after an insert has found the entity
		h.NotFoundStatus = int(status)
	}
	return requeue(h)
}

// deleteResult counts a missing entity as deleted. Some services answer 412 for it, which is confirmed by a read.
func (s handler) deleteResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case isSuccess(response.Status):
		s.learnIfMatch(t)
		return written(), nil
	case s.isNotFound(response):
		return written(), nil
	case response.Status == 428 && s.learnIfMatchRequired(t):
		return retryWithIfMatch(t), nil
	case s.mayRejectIfMatch(t, response):
		return retryWithoutIfMatch(t), nil
	case response.Status == 412 && s.UseETags && t.Hint.ETag != "":
		return s.etagConflict(t), nil
	case response.Status == 412:
		return requeue(t.Hint.ForStep(requests.StepConfirm)), nil
	}
	return s.classifyRepeatable(t, odataerror.FromResponse(t.Name(), response, response.Body), response)
}

func confirmResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case response.Status == 404 || response.Status == 410:
		return written(), nil
	case isSuccess(response.Status):
		return reject(&wit.Error{Kind: wit.ErrorConflict, Message: "DELETE " + t.Path() +
			": HTTP 412 although If-Match: * was sent and the entity exists"}), nil
	}
	return classify(odataerror.FromResponse(t.Name(), response, response.Body), response)
}

func (s handler) etagResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case isSuccess(response.Status):
		h := t.Hint
		tag, err := etagOf(response)
		if err != nil { // unlike an entity without ETag
			return reject(odataerror.NotData(t.Name(), "an entity", response.Body)), nil
		}
		if h.HasETag, h.ETag = true, tag; len(h.ETag) > maxETag {
			return reject(&wit.Error{Kind: wit.ErrorData, Message: t.Name() + ": expected an ETag of at most " +
				strconv.Itoa(maxETag) + " bytes, found " + strconv.Itoa(len(h.ETag))}), nil
		}
		return requeue(h), nil
	case s.isNotFound(response) && t.Operation == requests.ReadETagForUpsert:
		return retryAsInsert(t, response.Status), nil
	case s.isNotFound(response) && t.Operation == requests.ReadETagForDelete:
		return written(), nil
	}
	return s.classifyRepeatable(t, odataerror.FromResponse(t.Name(), response, response.Body), response)
}

const maxETag = 8 << 10

func etagOf(response *wit.Response) (string, error) {
	if tag := headerOf(response, "ETag"); tag != "" {
		return tag, nil
	}
	v, err := document.Parse(response.Body)
	return v.At("__metadata", "etag").Text, err
}

func (s handler) etagConflict(t *requests.Target) wit.RowResult {
	f := &wit.Error{Kind: wit.ErrorConflict, Message: t.Name() + ": HTTP 412: the entity was changed after its ETag " +
		t.Hint.ETag + " was read"}
	if !s.RetryETagConflicts {
		return reject(f)
	}
	f.Kind = wit.ErrorTransient
	return wit.RowResult{Retry: &wit.Retry{Hint: t.Hint.ForStep(requests.StepUpdate).Text(), Error: f}}
}
