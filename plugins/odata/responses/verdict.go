package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

func written() wit.Verdict { return wit.Verdict{Written: wit.Chosen} }

func reject(f *wit.Fault) wit.Verdict { return wit.Verdict{Refused: f} }

// again counts as an attempt, since it carries a fault.
func retry(f *wit.Fault) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Fault: f}} }

// proceed goes on with something else, which counts as none.
func encodeAgain(h requests.Hint) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Hint: h.Text()}} }

// verdict is what other answers mean: 401 concerns the connector and not the row; what may pass is tried again; the
// rest is the row's own. A 500 is the row's: services answer so for rows that they can't take, and a lock says that it
// is one.
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

// rest is the verdict on a request that may be sent twice, where the answer says nothing of its own. Inside a batch the
// host doesn't see the status, by which it would send it again.
func (s handler) classifyRepeatable(a *requests.Target, f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	code, _, _ := fault.Document(response.Body)
	if a.InBatch && fault.Listed(s.RetryCodes, response.Status, code) {
		f.Kind = wit.FaultTransient
		return retry(f), nil
	}
	return classify(f, response)
}

func inDoubtError(target, why string) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + sinkconfig.NameInsertUncertain +
		"): look whether it is there before the record is sent again"}
}

// noAnswer is the fault of a request without an answer.
func noResponseError(a *requests.Target) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultTransient, Message: a.Name() + ": no answer came"}
}
