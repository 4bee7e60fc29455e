package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// responseHandler decides on rows by a response and by the capabilities of the services, and updates the capabilities.
type responseHandler struct{ *capabilities.State }

// Handle returns the results of the rows of a delivery, and records in the state what the response shows of the
// service.
func Handle(state *capabilities.State, delivery *requests.Delivery, received *wit.Response) ([]wit.RowResult, error) {
	handler := responseHandler{state}
	LearnVersion(state, delivery.ServiceIndex, received)
	response := odataerror.Read(received)
	defer handler.learnAnswer(delivery.ServiceIndex, response)
	if delivery.BatchBytes > 0 {
		sent := sentBatch{handler, delivery}
		return sent.results(response)
	}
	result, err := handler.result(&delivery.Targets[0], response)
	if err != nil {
		return nil, err
	}
	// $batch is unlikely to be supported if the service accepts requests without it that were encoded after a router
	// had answered a batch.
	service := &handler.ServiceCapabilities[delivery.ServiceIndex]
	isUnconfirmed := service.BatchSupport == capabilities.BatchUnconfirmed &&
		delivery.BatchSupport == capabilities.BatchUnconfirmed
	if isUnconfirmed && isSuccess(response.Status) && handler.isServiceSuccess(&delivery.Targets[0], response) {
		service.BatchSupport = capabilities.BatchUnlikely
	}
	return []wit.RowResult{result}, nil
}

// result returns the result of one row, whose response may be part of the response to a batch.
func (h responseHandler) result(target *requests.Target,
	response *odataerror.Response) (result wit.RowResult, err error) {
	if target.IsInsert() {
		if result, err = h.insertResult(target, response); err == nil {
			h.learnRequestIDs(target, response.Status, headersOf(response))
		}
	} else {
		result, err = h.otherResult(target, response)
	}
	if err != nil {
		return wit.RowResult{}, err
	}
	if result.Retry != nil && result.Retry.Error != nil {
		if result.Retry.Hint == "" {
			result.Retry.Hint = target.Hint.Text() // the same request again
		}
		if target.InBatch {
			result.Retry.WaitMs = retryAfter(response)
		}
	}
	return result, nil
}

// otherResult returns the result of any request but an insert. It first handles responses that the service itself has
// not sent, or that prove nothing.
func (h responseHandler) otherResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	switch {
	case response.Status == 0 && target.IsRepeatable(h.State):
		return retry(noResponseError(target)), nil
	case response.Status == 0:
		return reject(noResponseError(target)), nil
	case isSuccess(response.Status) && odataerror.IsHTML(response.Body):
		return wit.RowResult{}, odataerror.NotData(target.Name(), "an OData response", response.Body)
	}
	if isSuccess(response.Status) && odataerror.IsError(response.Body) {
		// A gateway may hide the status: the error document counts.
		failure := response.Failure(target.Name())
		failure.Kind = wit.ErrorData
		return reject(failure), nil
	}
	if mayRejectAddress(target, response) {
		return addressResult(target, response.Failure(target.Name())), nil
	}
	if h.isOutage(target, response) {
		return retry(outageError(target, response)), nil
	}
	if h.isServiceWide(target, response) {
		return wit.RowResult{}, serviceWideError(target, response)
	}
	if isSuccess(response.Status) && !h.isServiceSuccess(target, response) {
		failure := odataerror.NotData(target.Name(), "an OData response", response.Body)
		if !provesDone(response.Status) {
			failure.Message = target.Name() + ": " + inconclusiveText(response.Status)
		}
		failure.Kind = wit.ErrorTransient
		if target.IsRepeatable(h.State) {
			return retry(failure), nil
		}
		return reject(failure), nil
	}
	logServiceMessages(target.Path(), response)
	switch target.Operation {
	case requests.Delete:
		return h.deleteResult(target, response)
	case requests.ConfirmDelete:
		return h.confirmResult(target, response)
	case requests.ReadETag, requests.ReadETagForUpsert, requests.ReadETagForDelete:
		return h.etagResult(target, response)
	case requests.ReadSet:
		return h.setResult(target, response)
	case requests.LookUp, requests.LookUpForUpsert, requests.Find, requests.ProbeService:
		return h.checkResult(target, response)
	}
	return h.updateResult(target, response)
}

func written() wit.RowResult { return wit.RowResult{Written: wit.Set} }

func reject(failure *wit.Error) wit.RowResult { return wit.RowResult{Rejected: failure} }

func retry(failure *wit.Error) wit.RowResult { return wit.RowResult{Retry: &wit.Retry{Error: failure}} }

// requeue encodes the row again. Unlike retry, that does not count as an attempt.
func requeue(hint requests.Hint) wit.RowResult {
	return wit.RowResult{Retry: &wit.Retry{Hint: hint.Text()}}
}

// classify handles errors that the callers have no rule for: 401 fails the task, locks and transient errors are
// retried, anything else rejects the row. So does a 500, because services answer invalid rows with it.
func (h responseHandler) classify(target *requests.Target, failure *wit.Error,
	response *odataerror.Response) (wit.RowResult, error) {
	lock := h.lockOf(target, response)
	switch {
	case failure.Kind == wit.ErrorUnauthorized:
		return wit.RowResult{}, failure
	case lock != odataerror.NotLocked:
		return h.lockResult(response, failure, lock), nil
	case response.Status == 500:
		failure.Kind = wit.ErrorData
	case failure.Kind == wit.ErrorTransient:
		return retry(failure), nil
	}
	return reject(failure), nil
}

// classifyRepeatable is classify for requests that may be sent again: in a batch it also applies the configured codes,
// because the host does not see the status there.
func (h responseHandler) classifyRepeatable(target *requests.Target, failure *wit.Error,
	response *odataerror.Response) (wit.RowResult, error) {
	code, _, _ := response.Document()
	if target.InBatch && odataerror.MatchesCode(h.RetryCodes, response.Status, code) {
		failure.Kind = wit.ErrorTransient
		return retry(failure), nil
	}
	return h.classify(target, failure, response)
}

func inDoubtError(path, reason string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + path + ": " + reason +
		", so the entity may have been created; it is not sent again (" + sinkconfig.NameInsertUncertain +
		"): check whether it exists before you send the record again"}
}

func noResponseError(target *requests.Target) *wit.Error {
	return &wit.Error{Kind: wit.ErrorTransient, Message: target.Name() + ": no response"}
}
