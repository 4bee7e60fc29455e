package responses

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

type sentBatch struct{ *requests.Delivery }

func (b *sentBatch) results(known responseHandler, response *wit.Response) ([]wit.RowResult, error) {
	name := "POST " + known.Services[b.ServiceIndex] + "/$batch"
	one := len(b.Targets) == 1 // there is no smaller batch
	switch status := response.Status; {
	case isSuccess(status):
		return b.partResults(known, name, response)
	case status == 413 && !one:
		// P18: use smaller batches from now on. A late response may concern a batch from before the limit was known.
		learned := &known.ServiceCapabilities[b.ServiceIndex]
		if half := max(1, b.BatchBytes/2); learned.MaxBatchBytes == 0 || half < learned.MaxBatchBytes {
			learned.MaxBatchBytes = half
		}
		return b.forEach(func(target *requests.Target) wit.RowResult { return requeue(target.Hint) }), nil
	case status == 404 || status == 405 || status == 415 || status == 501:
		known.ServiceCapabilities[b.ServiceIndex].NoBatch = true
		return b.forEach(func(target *requests.Target) wit.RowResult { return requeue(target.Hint) }), nil
	case status == 401, isServiceWideInBatch(response):
		return nil, odataerror.FromResponse(name, response, response.Body)
	case status == 429:
		failure := odataerror.FromResponse(name, response, response.Body)
		return b.forEach(func(target *requests.Target) wit.RowResult {
			return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure}}
		}), nil
	case !one && (wit.IsRejection(status) || status == 500 && b.isRepeatable(known)):
		// Nothing was done, and the response does not name the operation that failed.
		return b.retryInHalves(), nil
	}
	// The outcome is unknown, except for what the response itself says (P19).
	return b.resultOfEach(func(target *requests.Target) (wit.RowResult, error) {
		whole := *target
		whole.InBatch = false
		return known.result(&whole, response)
	})
}

func (b *sentBatch) partResults(known responseHandler, name string, response *wit.Response) ([]wit.RowResult, error) {
	if odataerror.IsHTML(response.Body) {
		return nil, odataerror.NotData(name, "a response to $batch", response.Body)
	}
	kind := headerOf(response, "Content-Type")
	_, multipart := batch.Boundary(kind)
	var document batch.Document
	if multipart || kind == "" {
		document, multipart = batch.Parse(kind, response.Body)
	}
	if !multipart {
		failure := odataerror.NotData(name, "a response to $batch", response.Body)
		failure.Kind = wit.ErrorTransient
		if odataerror.IsError(response.Body) {
			failure = odataerror.FromResponse(name, response, response.Body)
			failure.Kind, failure.Code = wit.ErrorTransient, nil
		}
		return b.forEach(func(target *requests.Target) wit.RowResult { return known.unknownResult(target, failure) }),
			nil
	}
	logServiceMessages(name, response)
	outcomes := b.match(document)
	noResult := &wit.Error{Kind: wit.ErrorTransient, Message: name + ": the response of HTTP " +
		strconv.Itoa(int(response.Status)) + " does not contain its result"}
	if !document.Complete {
		noResult.Message += ", because it is cut off"
	}
	// A service that stops at the first failed part has not processed the following ones: send them in a batch again.
	// Upserts, which fail for every missing entity, go without a batch, and so does a row after maxStops batches,
	// because the host encodes a row 16 times at most.
	stopped := document.Complete && len(document.Parts) < len(b.Parts) && endsWithFailure(document)
	if stopped && known.InsertUncertain == "fail" {
		noResult.Message += ": the service stopped at a failed part (" + sinkconfig.NameInsertUncertain +
			" = check looks up the following ones)"
	}
	at, allAlone, allWritten := 0, len(b.Targets) > 1, true
	results, err := b.resultOfEach(func(target *requests.Target) (wit.RowResult, error) {
		matched := outcomes[at]
		at++
		if stopped && matched.message == nil && target.IsRepeatable(known.State) {
			hint := target.Hint
			hint.StoppedBatches++
			hint.NoBatch = hint.StoppedBatches == maxStops || target.IsUpsertUpdate()
			allWritten = false
			return requeue(hint), nil
		}
		result, err := known.partResult(target, matched, noResult, response.ReceivedAt)
		allAlone = allAlone && target.Hint.OwnChangeset && !target.Hint.NoIfMatch
		allWritten = allWritten && err == nil && result.Written != nil
		return result, err
	})
	if allAlone && allWritten {
		known.ServiceCapabilities[b.ServiceIndex].SingleChangesets = true
	}
	return results, err
}

// maxStops is the number of stopped batches after which a row is sent without a batch.
const maxStops = 5

func (s responseHandler) partResult(target *requests.Target, matched outcome, noResult *wit.Error,
	receivedAt int64) (wit.RowResult, error) {
	if matched.message == nil {
		unknown := *noResult
		if unknown.Message = target.Name() + ": " + noResult.Message; matched.inconclusive != 0 {
			unknown.Message = target.Name() + ": an operation of its changeset: " +
				inconclusiveText(matched.inconclusive)
		}
		return s.unknownResult(target, &unknown), nil
	}
	if !matched.failed && s.isPlainlyWritten(target, matched.message) {
		if target.IsInsert() {
			s.learnKeys(target, matched.message.Header("Location"))
		} else {
			s.learnIfMatch(target)
		}
		return written(), nil
	}
	answer := &wit.Response{Status: matched.message.Status(), Target: target.Path(), Headers: matched.message.Headers(),
		Body: matched.message.Body, ReceivedAt: receivedAt}
	if !matched.failed {
		return s.result(target, answer)
	}
	// Nothing of a failed changeset should be stored, and the response does not name the operation that failed.
	failure := odataerror.FromResponse(target.Name(), answer, answer.Body)
	_, _, document := odataerror.Document(answer.Body)
	switch status := answer.Status; {
	case status == 401, isServiceWideInBatch(answer):
		return wit.RowResult{}, failure
	case status == 429 || isNotServed(status) && document:
		return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure, WaitMs: retryAfter(answer)}},
			nil
	case !wit.IsRejection(status) && !document && !target.IsRepeatable(s.State):
		failure.Kind = wit.ErrorTransient
		return reject(failure), nil
	}
	hint := target.Hint
	hint.OwnChangeset = true
	return requeue(hint), nil
}

func (s responseHandler) unknownResult(target *requests.Target, failure *wit.Error) wit.RowResult {
	if target.IsRepeatable(s.State) {
		return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure}}
	}
	return reject(failure)
}

// isPlainlyWritten reports whether [responseHandler.result] would return a plain success, without its cost.
func (s responseHandler) isPlainlyWritten(target *requests.Target, message *batch.Message) bool {
	switch target.Operation {
	case requests.Insert, requests.UpsertInsert:
		if s.InsertUncertain == "repeatable" {
			return false // the headers confirm the RequestID
		}
	case requests.Put, requests.Merge, requests.Patch, requests.UpsertPut, requests.UpsertMerge, requests.UpsertPatch,
		requests.Delete:
	default:
		return false
	}
	return provesDone(message.Status()) && !odataerror.IsHTML(message.Body) && !odataerror.IsError(message.Body) &&
		message.Header("sap-message") == ""
}

// resultOfEach is forEach for results that may be errors of the call. They fail the task, but keep the other results.
func (b *sentBatch) resultOfEach(f func(target *requests.Target) (wit.RowResult, error)) ([]wit.RowResult, error) {
	return b.forEach(func(target *requests.Target) wit.RowResult {
		result, err := f(target)
		if err == nil {
			return result
		}
		rowErr := *odataerror.As(err)
		if rowErr.Kind != wit.ErrorUnauthorized {
			rowErr.Kind = wit.ErrorConfig
		}
		return reject(&rowErr)
	}), nil
}

func (b *sentBatch) forEach(f func(target *requests.Target) wit.RowResult) []wit.RowResult {
	results := make([]wit.RowResult, len(b.Targets))
	for i := range b.Targets {
		results[i] = f(&b.Targets[i])
	}
	return results
}

func (b *sentBatch) retryInHalves() []wit.RowResult {
	half := len(b.Targets) / 2
	return b.forEach(func(target *requests.Target) wit.RowResult {
		hint := target.Hint
		if hint.MaxBatchSize = half; half < 2 {
			hint.MaxBatchSize, hint.NoBatch = 0, true
		}
		return requeue(hint)
	})
}

func (b *sentBatch) isRepeatable(known responseHandler) bool {
	return !slices.ContainsFunc(b.Targets,
		func(target requests.Target) bool { return !target.IsRepeatable(known.State) })
}
