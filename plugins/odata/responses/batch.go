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

func (b *sentBatch) results(s handler, response *wit.Response) ([]wit.RowResult, error) {
	name := "POST " + s.Services[b.ServiceIndex] + "/$batch"
	one := len(b.Targets) == 1 // there is no smaller batch
	switch status := response.Status; {
	case isSuccess(status):
		return b.partResults(s, name, response)
	case status == 413 && !one:
		// P18: use smaller batches from now on. A late response may concern a batch from before the limit was known.
		l := &s.ServiceCapabilities[b.ServiceIndex]
		if half := max(1, b.BatchBytes/2); l.MaxBatchBytes == 0 || half < l.MaxBatchBytes {
			l.MaxBatchBytes = half
		}
		return b.forEach(func(t *requests.Target) wit.RowResult { return requeue(t.Hint) }), nil
	case status == 404 || status == 405 || status == 415 || status == 501:
		s.ServiceCapabilities[b.ServiceIndex].NoBatch = true
		return b.forEach(func(t *requests.Target) wit.RowResult { return requeue(t.Hint) }), nil
	case status == 401, concernsAnyCall(response):
		return nil, odataerror.FromResponse(name, response, response.Body)
	case status == 429:
		f := odataerror.FromResponse(name, response, response.Body)
		return b.forEach(func(t *requests.Target) wit.RowResult {
			return wit.RowResult{Retry: &wit.Retry{Hint: t.Hint.Text(), Error: f}}
		}), nil
	case !one && (wit.IsRejection(status) || status == 500 && b.isRepeatable(s)):
		// Nothing was done, and the response does not name the operation that failed.
		return b.retryInHalves(), nil
	}
	// The outcome is unknown, except for what the response itself says (P19).
	return b.judge(func(t *requests.Target) (wit.RowResult, error) {
		whole := *t
		whole.InBatch = false
		return s.result(&whole, response)
	})
}

func (b *sentBatch) partResults(s handler, name string, response *wit.Response) ([]wit.RowResult, error) {
	if odataerror.IsHTML(response.Body) {
		return nil, odataerror.NotData(name, "a response to $batch", response.Body)
	}
	kind := headerOf(response, "Content-Type")
	_, multipart := batch.Boundary(kind)
	var d batch.Document
	if multipart || kind == "" {
		d, multipart = batch.Parse(kind, response.Body)
	}
	if !multipart {
		f := odataerror.NotData(name, "a response to $batch", response.Body)
		f.Kind = wit.ErrorTransient
		if odataerror.IsError(response.Body) {
			f = odataerror.FromResponse(name, response, response.Body)
			f.Kind, f.Code = wit.ErrorTransient, nil
		}
		return b.forEach(func(t *requests.Target) wit.RowResult { return s.unknownResult(t, f) }), nil
	}
	logServiceMessages(name, response)
	outcomes := b.match(d)
	noResult := &wit.Error{Kind: wit.ErrorTransient, Message: name + ": the response of HTTP " +
		strconv.Itoa(int(response.Status)) + " does not contain its result"}
	if !d.Complete {
		noResult.Message += ", because it is cut off"
	}
	// A service that stops at the first failed part has not processed the following ones: send them in a batch again.
	// Upserts, which fail for every missing entity, go without a batch, and so does a row after maxStops batches,
	// because the host encodes a row 16 times at most.
	stopped := d.Complete && len(d.Parts) < len(b.Parts) && endsWithFailure(d)
	if stopped && s.InsertUncertain == "fail" {
		noResult.Message += ": the service stopped at a failed part (" + sinkconfig.NameInsertUncertain +
			" = check looks up the following ones)"
	}
	at, allAlone, allWritten := 0, len(b.Targets) > 1, true
	results, err := b.judge(func(t *requests.Target) (wit.RowResult, error) {
		o := outcomes[at]
		at++
		if stopped && o.message == nil && t.IsRepeatable(s.State) {
			h := t.Hint
			h.StoppedBatches++
			h.NoBatch = h.StoppedBatches == maxStops || t.IsUpsertUpdate()
			allWritten = false
			return requeue(h), nil
		}
		v, err := s.partResult(t, o, noResult, response.ReceivedAt)
		allAlone = allAlone && t.Hint.OwnChangeset && !t.Hint.NoIfMatch
		allWritten = allWritten && err == nil && v.Written != nil
		return v, err
	})
	if allAlone && allWritten {
		s.ServiceCapabilities[b.ServiceIndex].SingleChangesets = true
	}
	return results, err
}

// maxStops is the number of stopped batches after which a row is sent without a batch.
const maxStops = 5

func (s handler) partResult(t *requests.Target, o outcome, noResult *wit.Error, at int64) (wit.RowResult, error) {
	if o.message == nil {
		unknown := *noResult
		if unknown.Message = t.Name() + ": " + noResult.Message; o.inconclusive != 0 {
			unknown.Message = t.Name() + ": an operation of its changeset: " + inconclusiveText(o.inconclusive)
		}
		return s.unknownResult(t, &unknown), nil
	}
	if !o.failed && s.isPlainlyWritten(t, o.message) {
		if t.IsInsert() {
			s.learnKeys(t, o.message.Header("Location"))
		} else {
			s.learnIfMatch(t)
		}
		return written(), nil
	}
	answer := &wit.Response{Status: o.message.Status(), Target: t.Path(), Headers: o.message.Headers(),
		Body: o.message.Body, ReceivedAt: at}
	if !o.failed {
		return s.result(t, answer)
	}
	// Nothing of a failed changeset should be stored, and the response does not name the operation that failed.
	f := odataerror.FromResponse(t.Name(), answer, answer.Body)
	_, _, document := odataerror.Document(answer.Body)
	switch status := answer.Status; {
	case status == 401, concernsAnyCall(answer):
		return wit.RowResult{}, f
	case status == 429 || isNotServed(status) && document:
		return wit.RowResult{Retry: &wit.Retry{Hint: t.Hint.Text(), Error: f, WaitMs: retryAfter(answer)}}, nil
	case !wit.IsRejection(status) && !document && !t.IsRepeatable(s.State):
		f.Kind = wit.ErrorTransient
		return reject(f), nil
	}
	h := t.Hint
	h.OwnChangeset = true
	return requeue(h), nil
}

func (s handler) unknownResult(t *requests.Target, f *wit.Error) wit.RowResult {
	if t.IsRepeatable(s.State) {
		return wit.RowResult{Retry: &wit.Retry{Hint: t.Hint.Text(), Error: f}}
	}
	return reject(f)
}

// isPlainlyWritten reports whether [handler.result] would return a plain success, without its cost.
func (s handler) isPlainlyWritten(t *requests.Target, m *batch.Message) bool {
	switch t.Operation {
	case requests.Insert, requests.UpsertInsert:
		if s.InsertUncertain == "repeatable" {
			return false // the headers confirm the RequestID
		}
	case requests.Put, requests.Merge, requests.Patch, requests.UpsertPut, requests.UpsertMerge, requests.UpsertPatch,
		requests.Delete:
	default:
		return false
	}
	return provesDone(m.Status()) && !odataerror.IsHTML(m.Body) && !odataerror.IsError(m.Body) &&
		m.Header("sap-message") == ""
}

// judge is forEach for results that may be errors of the call. They fail the task, but keep the other results.
func (b *sentBatch) judge(f func(t *requests.Target) (wit.RowResult, error)) ([]wit.RowResult, error) {
	return b.forEach(func(t *requests.Target) wit.RowResult {
		v, err := f(t)
		if err == nil {
			return v
		}
		rowErr := *odataerror.As(err)
		if rowErr.Kind != wit.ErrorUnauthorized {
			rowErr.Kind = wit.ErrorConfig
		}
		return reject(&rowErr)
	}), nil
}

func (b *sentBatch) forEach(f func(t *requests.Target) wit.RowResult) []wit.RowResult {
	results := make([]wit.RowResult, len(b.Targets))
	for i := range b.Targets {
		results[i] = f(&b.Targets[i])
	}
	return results
}

func (b *sentBatch) retryInHalves() []wit.RowResult {
	half := len(b.Targets) / 2
	return b.forEach(func(t *requests.Target) wit.RowResult {
		h := t.Hint
		if h.MaxBatchSize = half; half < 2 {
			h.MaxBatchSize, h.NoBatch = 0, true
		}
		return requeue(h)
	})
}

func (b *sentBatch) isRepeatable(s handler) bool {
	return !slices.ContainsFunc(b.Targets, func(t requests.Target) bool { return !t.IsRepeatable(s.State) })
}
