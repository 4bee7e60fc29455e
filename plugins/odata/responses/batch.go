package responses

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// sentBatch handles the response to a $batch request.
type sentBatch struct {
	responseHandler
	*requests.Delivery
}

// results returns the results of the rows, and records what the response shows about batches. An error fails the task,
// and the rows stay unwritten.
func (b *sentBatch) results(response *odataerror.Response) ([]wit.RowResult, error) {
	name := "POST " + b.Services[b.ServiceIndex] + "/$batch"
	hasOneRow := len(b.Targets) == 1
	service := &b.ServiceCapabilities[b.ServiceIndex]
	// An error document for the whole batch does not prove that no changeset was stored.
	first := b.Targets[0]
	first.InBatch = false
	switch status := response.Status; { // the first case that applies counts
	case isSuccess(status):
		return b.partResults(name, response)
	case b.refusesJSON(status):
		failure := response.Failure(name)
		if !service.RefusesJSON {
			sdk.Log(wit.LevelInfo, failure.Message+"; batches are sent as multipart from now on")
		}
		service.RefusesJSON = true
		failure.Kind = wit.ErrorTransient
		isRejected := wit.IsRejection(status) || status == 501 // 406 may follow after the operations were done
		return b.forEach(func(target *requests.Target) wit.RowResult {
			if isRejected || target.IsRepeatable(b.State) {
				return requeue(target.Hint)
			}
			return reject(failure)
		}), nil
	case status == 413 && !hasOneRow:
		// Use smaller batches from now on, so that not every batch is rejected first (RATIONALE.md P18). A late
		// response may concern a batch from before the limit was known.
		if half := max(1, b.BatchBytes/2); service.MaxBatchBytes == 0 || half < service.MaxBatchBytes {
			service.MaxBatchBytes = half
		}
		return b.forEach(func(target *requests.Target) wit.RowResult { return requeue(target.Hint) }), nil
	case status == 404 || status == 405 || status == 415 || status == 501:
		return b.handleNoBatch(name, response), nil
	case status == 401, isServiceWideInBatch(response):
		return nil, response.Failure(name)
	case status == 429 || b.lockOf(&first, response) == odataerror.LogonLocked:
		failure := response.Failure(name)
		return b.forEach(func(target *requests.Target) wit.RowResult {
			return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure}}
		}), nil
	case !hasOneRow && (wit.IsRejection(status) || (status == 500 && b.isRepeatable())):
		// Nothing was done, and the response does not name the operation that failed.
		if b.isFirstTry() {
			service.BatchLimit.Refused(b.BatchLimit, b.operations())
		}
		return b.forEach(func(target *requests.Target) wit.RowResult {
			return b.requeueInParts(target, refusedParts)
		}), nil
	}
	// Only the response itself may tell whether the operations were applied, as for a single request.
	return b.resultOfEach(func(target *requests.Target) (wit.RowResult, error) {
		single := *target
		single.InBatch = false
		return b.result(&single, response)
	}), nil
}

// handleNoBatch handles a response that means that there is no $batch: the rows are sent one at a time. The service
// itself is believed at once. A router's answer may mean that the service is away, so it turns batches off only if the
// batch was encoded after the service had accepted a request without $batch, or if rows need batches and the service
// has never answered a request for a row.
func (b *sentBatch) handleNoBatch(name string, response *odataerror.Response) []wit.RowResult {
	service := &b.ServiceCapabilities[b.ServiceIndex]
	failure := response.Failure(name)
	needsBatch := slices.ContainsFunc(b.Targets, func(target requests.Target) bool { return target.NestedUpdates > 0 })
	isKnown := service.NoBatch
	isUnlikely := b.BatchSupport == capabilities.BatchUnlikely && service.BatchSupport == capabilities.BatchUnlikely
	service.NoBatch = isKnown || isUnlikely || !response.FromRouter() || (needsBatch && !service.Answered)
	switch {
	case service.NoBatch && !isKnown:
		sdk.Log(wit.LevelWarn, failure.Message+"; the service has no $batch, so records are sent one at a time until "+
			"the task starts again; "+sinkconfig.NameEnableBatch+" = 0 sends no batches")
	case !service.NoBatch && service.BatchSupport == capabilities.BatchAssumed:
		service.BatchSupport = capabilities.BatchUnconfirmed
		sdk.Log(wit.LevelInfo, failure.Message+"; this is not an answer of the OData service: the records are sent "+
			"one at a time, and later ones in batches again")
	}
	failure.Kind = wit.ErrorTransient
	return b.forEach(func(target *requests.Target) wit.RowResult {
		if target.NestedUpdates > 0 && !service.NoBatch {
			return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure}}
		}
		hint := target.Hint
		hint.NoBatch = true
		return requeue(hint)
	})
}

// partResults returns the results of the rows from the parts of a successful response, and learns from them.
func (b *sentBatch) partResults(name string, response *odataerror.Response) ([]wit.RowResult, error) {
	if odataerror.IsHTML(response.Body) {
		return nil, odataerror.NotData(name, "a response to $batch", response.Body)
	}
	document, isBatch, problem := b.parse(response)
	if !isBatch || problem != "" {
		failure := odataerror.NotData(name, "a response to $batch", response.Body)
		if problem != "" {
			failure.Message = name + ": " + problem + ": it is not certain which operations were done"
		}
		if odataerror.IsError(response.Body) {
			failure = response.Failure(name)
			failure.Code = nil
		}
		failure.Kind = wit.ErrorTransient
		return b.forEach(func(target *requests.Target) wit.RowResult { return b.unknownResult(target, failure) }), nil
	}
	logServiceMessages(name, response)
	b.ServiceCapabilities[b.ServiceIndex].BatchSupport = capabilities.BatchAssumed
	b.ServiceCapabilities[b.ServiceIndex].AcceptsJSON = b.ServiceCapabilities[b.ServiceIndex].AcceptsJSON || b.InJSON
	if document.Complete && b.isFirstTry() {
		b.ServiceCapabilities[b.ServiceIndex].BatchLimit.Answered(b.BatchLimit, b.operations(), b.MaxBatchSize)
	}
	// Assign the parts to rows, and describe what a row without a part means.
	outcomes := b.match(document)
	isStopped := document.Complete && len(document.Parts) < len(b.Parts) && endsWithFailure(document)
	noResult := &wit.Error{Kind: wit.ErrorTransient, Message: name + ": the response of HTTP " +
		strconv.Itoa(int(response.Status)) + " does not contain its result"}
	if !document.Complete {
		noResult.Message += ", because it is cut off"
	}
	if !isStopped {
		noResult.Message += " (" + sinkconfig.NameMaxBatchSize + " limits batches to what the service answers)"
	}
	if isStopped && b.InsertUncertain == "fail" {
		noResult.Message += ": the service stopped at a failed part (" + sinkconfig.NameInsertUncertain +
			" = check looks up the following ones)"
	}
	missing := missingResults{sentBatch: b, noResult: noResult, answersAll: b.answersAll(document),
		isCutOff: !document.Complete, name: name + ": the response of HTTP " + strconv.Itoa(int(response.Status))}
	// Decide about each row, and then about the service.
	row := 0
	allOwnChangesets := len(b.Targets) > 1
	allWritten := true
	results := b.resultOfEach(func(target *requests.Target) (wit.RowResult, error) {
		rowOutcome := outcomes[row]
		row++
		if isStopped && rowOutcome.message == nil && target.IsRepeatable(b.State) {
			allWritten = false
			return requeueAfterStop(target), nil
		}
		if b.InJSON && rowOutcome.message != nil && rowOutcome.message.Status() == batch.FailedDependency {
			allWritten = false
			return requeueAfterStop(target), nil
		}
		if !isStopped && rowOutcome.message == nil && rowOutcome.inconclusive == 0 {
			allWritten = false
			return missing.result(target), nil
		}
		result, err := b.partResult(target, rowOutcome, noResult, response.ReceivedAt)
		allOwnChangesets = allOwnChangesets && target.Hint.OwnChangeset && !target.Hint.NoIfMatch
		allWritten = allWritten && err == nil && result.Written != nil
		return result, err
	})
	if allOwnChangesets && allWritten {
		b.ServiceCapabilities[b.ServiceIndex].SingleChangesets = true
	}
	b.learnNewRows(outcomes, results)
	missing.learn()
	return results, nil
}

// missingResults decides about the rows whose results the response to a batch lacks: the service may have answered, or
// processed, only some operations. The rows follow in smaller batches, at the end in single requests, and the size is
// recorded, as after 413 (RATIONALE.md P18): otherwise each batch would be applied again and again. It is not recorded
// if all operations are answered, because then the cause is one of the rows, nor if the response was cut off on its
// way. A row that must not be repeated is in doubt.
type missingResults struct {
	*sentBatch
	noResult      *wit.Error // the error for each row, without the row's name
	answersAll    bool       // see [sentBatch.answersAll]
	isCutOff      bool       // the response lacks its end
	name          string     // of the response, for the log
	repeatedCount int        // rows that are sent again
	inDoubtCount  int        // rows that must not be repeated
}

// result returns the result of a row, and counts the row for the warning.
func (m *missingResults) result(target *requests.Target) wit.RowResult {
	failure := *m.noResult
	failure.Message = target.Name() + ": " + failure.Message
	switch {
	case !target.IsRepeatable(m.State):
		m.inDoubtCount++
		return reject(&failure)
	case len(m.Targets) == 1: // nested updates, which need a batch
		return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: &failure}}
	}
	m.repeatedCount++
	if m.answersAll || m.isCutOff {
		return m.requeueInParts(target, 2) // halves: one row, or the size, is the cause
	}
	return requeue(target.Hint)
}

// learn halves the size of later batches if the batch was too large, and logs one warning for all rows.
func (m *missingResults) learn() {
	count := m.repeatedCount + m.inDoubtCount
	if count == 0 {
		return
	}
	service := &m.ServiceCapabilities[m.ServiceIndex]
	half := max(1, m.operations()/2)
	isTooLarge := !m.answersAll && !m.isCutOff
	isFirst := service.MaxOperations == 0
	if isTooLarge && (isFirst || half < service.MaxOperations) { // a late response may concern a larger batch
		service.MaxOperations = half
	}
	message := m.name + " has no results for " + strconv.Itoa(count) + " of " + strconv.Itoa(len(m.Targets)) +
		" rows: " + m.consequences()
	if isTooLarge {
		message += "; batches have at most " + strconv.Itoa(service.MaxOperations) + " operations from now on; set " +
			sinkconfig.NameMaxBatchSize + " to the number that the service answers"
	}
	sdk.Log(wit.LevelWarn, message)
}

// consequences describes for the log what happens to the rows without results.
func (m *missingResults) consequences() string {
	var parts []string
	if m.repeatedCount > 0 {
		phrase := strconv.Itoa(m.repeatedCount) + " are sent again"
		switch {
		case m.isCutOff:
			phrase += " in smaller batches, because the response is cut off"
		case m.answersAll:
			phrase += " in smaller batches until the failing row is alone"
		}
		parts = append(parts, phrase)
	}
	if m.inDoubtCount > 0 {
		parts = append(parts, strconv.Itoa(m.inDoubtCount)+" must not be repeated and are in doubt")
	}
	return strings.Join(parts, ", ")
}

// maxStops is the number of batches stopped before a row after which the row is sent without a batch.
const maxStops = 5

// requeueAfterStop sends a row again that follows the part at which the service stopped, so that it was not processed.
// Upserts, which fail for every missing entity, go without a batch, and so does a row after maxStops batches,
// because the host encodes a row 16 times at most.
func requeueAfterStop(target *requests.Target) wit.RowResult {
	hint := target.Hint
	hint.StoppedBatches++
	hint.NoBatch = hint.StoppedBatches == maxStops || target.IsUpsertUpdate()
	return requeue(hint)
}

// partResult returns the result of a row in a batch. noResult is the error if it has no response.
func (h responseHandler) partResult(target *requests.Target, rowOutcome outcome, noResult *wit.Error,
	receivedAt int64) (wit.RowResult, error) {
	if rowOutcome.message == nil {
		failure := *noResult
		failure.Message = target.Name() + ": " + noResult.Message
		if rowOutcome.inconclusive != 0 {
			failure.Message = target.Name() + ": an operation of its changeset: " +
				inconclusiveText(rowOutcome.inconclusive)
		}
		return h.unknownResult(target, &failure), nil
	}
	if !rowOutcome.isChangesetFailure && h.isPlainlyWritten(target, rowOutcome.message) {
		if target.IsInsert() {
			h.learnKeys(target, rowOutcome.message.Header("Location"))
			h.learnRequestIDs(target, rowOutcome.message.Status(), rowOutcome.message.Header)
		} else {
			h.learnIfMatch(target)
		}
		return written(), nil
	}
	if target.IsETagRead() && isPlainSuccess(rowOutcome.message) {
		return h.etagReadResult(target, rowOutcome.message.Header("ETag"), rowOutcome.message.Body), nil
	}
	response := odataerror.Read(&wit.Response{Status: rowOutcome.message.Status(), Target: target.Path(),
		Body: rowOutcome.message.Body, Headers: rowOutcome.message.Headers(), ReceivedAt: receivedAt})
	if !rowOutcome.isChangesetFailure {
		return h.result(target, response)
	}
	// Nothing of a failed changeset should be stored, and the response does not name the operation that failed.
	failure := response.Failure(target.Name())
	_, _, isDocument := response.Document()
	switch status := response.Status; { // the first case that applies counts
	case status == 401, isServiceWideInBatch(response):
		return wit.RowResult{}, failure
	case status == 429 || (isNotServed(status) && isDocument):
		return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure, WaitMs: retryAfter(response)}},
			nil
	case !wit.IsRejection(status) && !isDocument && !target.IsRepeatable(h.State):
		failure.Kind = wit.ErrorTransient
		return reject(failure), nil
	}
	hint := target.Hint
	hint.OwnChangeset = true
	return requeue(hint), nil
}

// unknownResult returns the result of a row if the response does not show whether it was written.
func (h responseHandler) unknownResult(target *requests.Target, failure *wit.Error) wit.RowResult {
	if target.IsRepeatable(h.State) {
		return wit.RowResult{Retry: &wit.Retry{Hint: target.Hint.Text(), Error: failure}}
	}
	return reject(failure)
}

// isPlainlyWritten reports whether [responseHandler.result] would return a plain success, without its cost.
func (h responseHandler) isPlainlyWritten(target *requests.Target, message *batch.Message) bool {
	switch target.Operation {
	case requests.Insert, requests.UpsertInsert:
		isRejected := h.InsertUncertain == "repeatable" && isRepeatRejected(message.Header)
		if isRejected || target.Set.Type.Active != nil {
			return false
		}
	case requests.Put, requests.Merge, requests.Patch, requests.UpsertPut, requests.UpsertMerge, requests.UpsertPatch,
		requests.Delete: // a success is all that matters
	default:
		return false
	}
	return isPlainSuccess(message)
}

func isPlainSuccess(message *batch.Message) bool {
	return provesDone(message.Status()) && !odataerror.IsHTML(message.Body) && !odataerror.IsError(message.Body) &&
		message.Header("sap-message") == ""
}

// resultOfEach is forEach for functions that may return an error of the call. Such an error rejects its row and fails
// the task, and the other rows keep their results.
func (b *sentBatch) resultOfEach(f func(target *requests.Target) (wit.RowResult, error)) []wit.RowResult {
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
	})
}

// forEach calls f for each row in order and returns the results.
func (b *sentBatch) forEach(f func(target *requests.Target) wit.RowResult) []wit.RowResult {
	results := make([]wit.RowResult, len(b.Targets))
	for i := range b.Targets {
		results[i] = f(&b.Targets[i])
	}
	return results
}

// refusedParts is the number of batches in which the rows of a refused batch are sent again. Mostly one row is the
// cause: with halves, its neighbors would be sent once more for each halving.
const refusedParts = 8

// requeueInParts sends a row again in a batch of a part of the operations, at the end without a batch.
func (b *sentBatch) requeueInParts(target *requests.Target, parts int) wit.RowResult {
	hint := target.Hint
	hint.MaxBatchSize = b.operations() / parts
	if hint.MaxBatchSize < 2 {
		hint.MaxBatchSize = 0
		hint.NoBatch = true
	}
	return requeue(hint)
}

// operations returns the number of operations in the batch, nested updates included.
func (b *sentBatch) operations() int {
	count := len(b.Targets)
	for i := range b.Targets {
		count += b.Targets[i].NestedUpdates
	}
	return count
}

// isFirstTry reports whether the batch is not a part of a larger one.
func (b *sentBatch) isFirstTry() bool { return b.Targets[0].Hint.MaxBatchSize == 0 }

func (b *sentBatch) isRepeatable() bool {
	return !slices.ContainsFunc(b.Targets, func(target requests.Target) bool { return !target.IsRepeatable(b.State) })
}
