package write

import (
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

func written() wit.Verdict { return wit.Verdict{Written: wit.Chosen} }

func refused(f *wit.Fault) wit.Verdict { return wit.Verdict{Refused: f} }

// again counts as an attempt, since it carries a fault.
func again(f *wit.Fault) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Fault: f}} }

// proceed goes on with something else, which counts as none.
func proceed(h hint) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Hint: h.text()}} }

// verdict is what other answers mean: 401 concerns the connector and not the row; what may pass is tried again; the
// rest is the row's own. A 500 is the row's: services answer so for rows that they can't take, and a lock says that it
// is one.
func verdict(f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	_, message, _ := fault.Document(response.Body)
	switch {
	case f.Kind == wit.FaultUnauthorized:
		return wit.Verdict{}, f
	case response.Status == 500 && !fault.Locked(response, message):
		f.Kind = wit.FaultData
	case f.Kind == wit.FaultTransient:
		return again(f), nil
	}
	return refused(f), nil
}

// rest is the verdict on a request that may be sent twice, where the answer says nothing of its own. Inside a batch the
// host doesn't see the status, by which it would send it again.
func (s handler) rest(a *target, f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	code, _, _ := fault.Document(response.Body)
	if a.batched && fault.Listed(s.httpCodes, response.Status, code) {
		f.Kind = wit.FaultTransient
		return again(f), nil
	}
	return verdict(f, response)
}

func uncertainFault(target, why string) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + insertUncertain +
		"): look whether it is there before the record is sent again"}
}

// noAnswer is the fault of a request without an answer.
func noAnswer(a *target) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultTransient, Message: a.what() + ": no answer came"}
}
