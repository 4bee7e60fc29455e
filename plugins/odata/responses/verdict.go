package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

func written() wit.RowResult { return wit.RowResult{Written: wit.Set} }

func reject(f *wit.Error) wit.RowResult { return wit.RowResult{Rejected: f} }

// retry counts as an attempt.
func retry(f *wit.Error) wit.RowResult { return wit.RowResult{Retry: &wit.Retry{Error: f}} }

// encodeAgain does not count as an attempt.
func encodeAgain(h requests.Hint) wit.RowResult {
	return wit.RowResult{Retry: &wit.Retry{Hint: h.Text()}}
}

// classify handles other errors: 401 fails the task, transient errors are retried, anything else rejects the row. A 500
// rejects the row too, because services answer so for invalid rows, unless it reports a lock.
func classify(f *wit.Error, response *wit.Response) (wit.RowResult, error) {
	_, message, _ := fault.Document(response.Body)
	switch {
	case f.Kind == wit.ErrorUnauthorized:
		return wit.RowResult{}, f
	case response.Status == 500 && !fault.Locked(response, message):
		f.Kind = wit.ErrorData
	case f.Kind == wit.ErrorTransient:
		return retry(f), nil
	}
	return reject(f), nil
}

// classifyRepeatable also applies the configured codes in a batch, because the host does not see the status there.
func (s handler) classifyRepeatable(t *requests.Target, f *wit.Error, response *wit.Response) (wit.RowResult, error) {
	code, _, _ := fault.Document(response.Body)
	if t.InBatch && fault.Listed(s.RetryCodes, response.Status, code) {
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
