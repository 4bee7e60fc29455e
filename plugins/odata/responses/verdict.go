package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

func written() wit.Verdict { return wit.Verdict{Written: wit.Chosen} }

func reject(f *wit.Fault) wit.Verdict { return wit.Verdict{Refused: f} }

// retry counts as an attempt.
func retry(f *wit.Fault) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Fault: f}} }

// encodeAgain does not count as an attempt.
func encodeAgain(h requests.Hint) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Hint: h.Text()}} }

// classify handles other errors: 401 fails the task, transient errors are retried, anything else rejects the row. A 500
// rejects the row too, because services answer so for invalid rows, unless it reports a lock.
func classify(f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	_, message, _ := fault.Document(response.Body)
	switch {
	case f.Kind == wit.FaultUnauthorized:
		return wit.Verdict{}, f
	case response.Status == 500 && !fault.Locked(response, message):
		f.Kind = wit.FaultData
	case f.Kind == wit.FaultTransient:
		return retry(f), nil
	}
	return reject(f), nil
}

// classifyRepeatable also applies the configured codes in a batch, because the host does not see the status there.
func (s handler) classifyRepeatable(t *requests.Target, f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	code, _, _ := fault.Document(response.Body)
	if t.InBatch && fault.Listed(s.RetryCodes, response.Status, code) {
		f.Kind = wit.FaultTransient
		return retry(f), nil
	}
	return classify(f, response)
}

func inDoubtError(target, why string) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + sinkconfig.NameInsertUncertain +
		"): check whether it exists before you send the record again"}
}

func noResponseError(t *requests.Target) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultTransient, Message: t.Name() + ": no response"}
}
