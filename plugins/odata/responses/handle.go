package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// handler handles a response with what is known of the services, and learns from it.
type handler struct{ *capabilities.State }

// Handle returns the results of the rows of a delivery.
func Handle(known *capabilities.State, d *requests.Delivery, response *wit.Response) ([]wit.RowResult, error) {
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
	return []wit.RowResult{v}, nil
}

// result returns the result of one row. Its response came alone or in the response to a batch.
func (s handler) result(t *requests.Target, response *wit.Response) (v wit.RowResult, err error) {
	if t.IsInsert() {
		if v, err = s.insertResult(t, response); err == nil {
			s.learnRequestIDs(t, response)
		}
	} else {
		v, err = s.otherResult(t, response)
	}
	if err != nil {
		return wit.RowResult{}, err
	}
	if v.Retry != nil && v.Retry.Error != nil {
		if v.Retry.Hint == "" {
			v.Retry.Hint = t.Hint.Text() // the same request again
		}
		if t.InBatch {
			v.Retry.WaitMs = retryAfter(response)
		}
	}
	return v, nil
}

func (s handler) otherResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	switch {
	case response.Status == 0 && t.IsRepeatable(s.State):
		return retry(noResponseError(t)), nil
	case response.Status == 0:
		return reject(noResponseError(t)), nil
	case isSuccess(response.Status) && odataerror.IsHTML(response.Body):
		return wit.RowResult{}, odataerror.NotData(t.Name(), "an OData response", response.Body)
	}
	if isSuccess(response.Status) && odataerror.IsError(response.Body) {
		// A gateway may hide the status: the error document counts.
		f := odataerror.FromResponse(t.Name(), response, response.Body)
		f.Kind = wit.ErrorData
		return reject(f), nil
	}
	if mayRejectAddress(t, response) {
		return addressResult(t, odataerror.FromResponse(t.Name(), response, response.Body)), nil
	}
	if s.concernsCall(t, response) {
		return wit.RowResult{}, callError(t, response)
	}
	if isSuccess(response.Status) && !s.isServiceSuccess(t, response) {
		f := odataerror.NotData(t.Name(), "an OData response", response.Body)
		if !provesDone(response.Status) {
			f.Message = t.Name() + ": " + inconclusiveText(response.Status)
		}
		if f.Kind = wit.ErrorTransient; t.IsRepeatable(s.State) {
			return retry(f), nil
		}
		return reject(f), nil
	}
	logServiceMessages(t.Path(), response)
	switch t.Operation {
	case requests.Delete:
		return s.deleteResult(t, response)
	case requests.ConfirmDelete:
		return confirmResult(t, response)
	case requests.ReadETag, requests.ReadETagForUpsert, requests.ReadETagForDelete:
		return s.etagResult(t, response)
	case requests.ReadSet:
		return s.setResult(t, response)
	case requests.LookUp, requests.LookUpForUpsert, requests.Find, requests.ProbeService:
		return s.checkResult(t, response)
	}
	return s.updateResult(t, response)
}

func written() wit.RowResult { return wit.RowResult{Written: wit.Set} }

func reject(f *wit.Error) wit.RowResult { return wit.RowResult{Rejected: f} }

func retry(f *wit.Error) wit.RowResult { return wit.RowResult{Retry: &wit.Retry{Error: f}} }

// requeue does not count as an attempt, unlike retry.
func requeue(h requests.Hint) wit.RowResult {
	return wit.RowResult{Retry: &wit.Retry{Hint: h.Text()}}
}

// classify handles other errors: 401 fails the task, transient errors are retried, anything else rejects the row. A 500
// rejects the row too, because services answer so for invalid rows, unless it reports a lock.
func classify(f *wit.Error, response *wit.Response) (wit.RowResult, error) {
	_, message, _ := odataerror.Document(response.Body)
	switch {
	case f.Kind == wit.ErrorUnauthorized:
		return wit.RowResult{}, f
	case response.Status == 500 && !odataerror.Locked(response, message):
		f.Kind = wit.ErrorData
	case f.Kind == wit.ErrorTransient:
		return retry(f), nil
	}
	return reject(f), nil
}

// classifyRepeatable also applies the configured codes in a batch, because the host does not see the status there.
func (s handler) classifyRepeatable(t *requests.Target, f *wit.Error, response *wit.Response) (wit.RowResult, error) {
	code, _, _ := odataerror.Document(response.Body)
	if t.InBatch && odataerror.MatchesCode(s.RetryCodes, response.Status, code) {
		f.Kind = wit.ErrorTransient
		return retry(f), nil
	}
	return classify(f, response)
}

func inDoubtError(target, why string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + sinkconfig.NameInsertUncertain +
		"): check whether it exists before you send the record again"}
}

func noResponseError(t *requests.Target) *wit.Error {
	return &wit.Error{Kind: wit.ErrorTransient, Message: t.Name() + ": no response"}
}
