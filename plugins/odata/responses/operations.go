package responses

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// updateResult returns the result of an update. In upserts 412 counts like 404: some services answer so if If-Match: *
// finds no entity.
func (h responseHandler) updateResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	if isSuccess(response.Status) {
		h.learnIfMatch(target)
		return written(), nil
	}
	isUpsert := target.IsUpsertUpdate()
	sentETag := h.UseETags && target.Hint.ETag != ""
	isMissing := h.isNotFound(response) || response.Status == 412
	failure := response.Failure(target.Name())
	switch {
	case response.Status == 412 && sentETag:
		return h.etagConflict(target), nil
	case isUpsert && isMissing && target.NestedUpdates > 0 && target.Hint.Step == requests.StepUpdate:
		failure.Kind = wit.ErrorNotFound
		failure.Message += " (a nested entity does not exist, and an upsert of an existing entity inserts none)"
		return reject(failure), nil
	case isUpsert && isMissing:
		return requeueAsInsert(target, response.Status), nil
	case h.isNotFound(response):
		failure.Kind = wit.ErrorNotFound
		return reject(failure), nil
	case response.Status == 428 && h.learnIfMatchRequired(target):
		return requeueWithIfMatch(target), nil
	case response.Status == 428 && target.Hint.NoIfMatch:
		failure.Message += " (and HTTP 400 with If-Match: *)"
		return reject(failure), nil
	case response.Status == 428:
		failure.Message += " (" + sinkconfig.NameETag + " = none sends no If-Match: set any or use)"
		return reject(failure), nil
	case response.Status == 412 && !h.UseETags && !h.NoIfMatch && !target.Hint.NoIfMatch: // to If-Match: *
		failure.Message += anyETagAdvice
	case response.Status == 405 || response.Status == 501:
		return wit.RowResult{}, failure // applies to the next row too
	case h.mayRejectIfMatch(target, response):
		return requeueWithoutIfMatch(target), nil
	}
	return h.classifyRepeatable(target, failure, response)
}

const anyETagAdvice = " (to If-Match: *, because the entity does not exist, or the service does not accept the " +
	"header: " + sinkconfig.NameETag + " = use sends the entity's ETag, none sends no If-Match)"

func requeueAsInsert(target *requests.Target, status uint16) wit.RowResult {
	hint := target.Hint.ForStep(requests.StepInsert)
	if target.Hint.Step == requests.StepUpdate { // an insert was rejected before, because the entity exists
		hint.NotFoundStatus = int(status)
	}
	return requeue(hint)
}

// deleteResult returns the result of a delete. A missing entity counts as deleted. Some services answer 412 for it,
// which a read confirms.
func (h responseHandler) deleteResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	switch {
	case isSuccess(response.Status):
		h.learnIfMatch(target)
		return written(), nil
	case h.isNotFound(response):
		return written(), nil
	case response.Status == 428 && h.learnIfMatchRequired(target):
		return requeueWithIfMatch(target), nil
	case h.mayRejectIfMatch(target, response):
		return requeueWithoutIfMatch(target), nil
	case response.Status == 412 && h.UseETags && target.Hint.ETag != "":
		return h.etagConflict(target), nil
	case response.Status == 412:
		return requeue(target.Hint.ForStep(requests.StepConfirm)), nil
	}
	return h.classifyRepeatable(target, response.Failure(target.Name()), response)
}

// confirmResult returns the result of a delete that was answered 412, after its entity was read.
func (h responseHandler) confirmResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	switch {
	case response.Status == 404 || response.Status == 410:
		return written(), nil
	case isSuccess(response.Status):
		return reject(&wit.Error{Kind: wit.ErrorConflict, Message: "DELETE " + target.Path() +
			": HTTP 412 although the entity exists (" + sinkconfig.NameETag + " = use sends its ETag, any sends " +
			"If-Match: *, none sends no If-Match)"}), nil
	}
	return h.classify(target, response.Failure(target.Name()), response)
}

// etagResult continues an update or delete whose entity's ETag was read. After a read with $select, the entity is read
// once more as a whole if the service rejects the option, or returns no ETag.
func (h responseHandler) etagResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	switch {
	case isSuccess(response.Status):
		return h.etagReadResult(target, headerOf(response, "ETag"), response.Body), nil
	case h.isNotFound(response) && target.Operation == requests.ReadETagForUpsert:
		return requeueAsInsert(target, response.Status), nil
	case h.isNotFound(response) && target.Operation == requests.ReadETagForDelete:
		return written(), nil
	case h.mayRejectSelect(target, response):
		return requeueForWholeEntity(target), nil
	}
	return h.classifyRepeatable(target, response.Failure(target.Name()), response)
}

const maxETag = 8 << 10 // in bytes: the hint that stores an ETag is limited

// etagReadResult returns the result of a successful read. tag is the value of the ETag header, or "".
func (h responseHandler) etagReadResult(target *requests.Target, tag string, body []byte) wit.RowResult {
	var err error
	if tag == "" {
		tag, err = document.ETag(body)
	}
	switch {
	case target.Selects && (tag == "" || err != nil):
		return requeueForWholeEntity(target)
	case err != nil: // an entity without ETag is no error
		return reject(odataerror.NotData(target.Name(), "an entity", body))
	case len(tag) > maxETag:
		return reject(&wit.Error{Kind: wit.ErrorData, Message: target.Name() + ": expected an ETag of at most " +
			strconv.Itoa(maxETag) + " bytes, found " + strconv.Itoa(len(tag))})
	}
	hint := target.Hint
	if hint.WholeEntity {
		h.SetCapabilities[target.Set.CapabilityIndex].NoETagSelect = true
	}
	hint.WholeEntity = false
	hint.HasETag = true
	hint.ETag = tag
	return requeue(hint)
}

func requeueForWholeEntity(target *requests.Target) wit.RowResult {
	hint := target.Hint
	hint.WholeEntity = true
	return requeue(hint)
}

// mayRejectSelect reports whether $select may be the cause of an error of the service.
func (h responseHandler) mayRejectSelect(target *requests.Target, response *odataerror.Response) bool {
	isRejection := response.Status == 400 || response.Status == 501
	if !target.Selects || !isRejection {
		return false
	}
	code, _, isDocument := response.Document()
	return (isDocument || target.InBatch) && h.lockOf(target, response) == odataerror.NotLocked &&
		!odataerror.MatchesCode(h.RetryCodes, response.Status, code)
}

func (h responseHandler) etagConflict(target *requests.Target) wit.RowResult {
	failure := &wit.Error{Kind: wit.ErrorConflict, Message: target.Name() +
		": HTTP 412: the entity was changed after its ETag " + target.Hint.ETag + " was read"}
	if !h.RetryETagConflicts {
		return reject(failure)
	}
	failure.Kind = wit.ErrorTransient
	return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.ForStep(requests.StepUpdate).Text(), Error: failure}}
}
