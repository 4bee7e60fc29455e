package write

import (
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

func written() wit.RowResult { return wit.RowResult{Written: wit.Set} }

func refused(f *wit.Error) wit.RowResult { return wit.RowResult{Rejected: f} }

// again counts as an attempt, since it carries a fault.
func again(f *wit.Error) wit.RowResult { return wit.RowResult{Retry: &wit.Retry{Error: f}} }

// proceed goes on with something else, which counts as none.
func proceed(h hint) wit.RowResult { return wit.RowResult{Retry: &wit.Retry{Hint: h.text()}} }

// verdict is what other answers mean: 401 concerns the connector and not the row; what may pass is tried again; the
// rest is the row's own. A 500 is the row's: services answer so for rows that they can't take, and a lock says that it
// is one.
func verdict(f *wit.Error, response *wit.Response) (wit.RowResult, error) {
	_, message, _ := fault.Document(response.Body)
	switch {
	case f.Kind == wit.ErrorUnauthorized:
		return wit.RowResult{}, f
	case response.Status == 500 && !fault.Locked(response, message):
		f.Kind = wit.ErrorData
	case f.Kind == wit.ErrorTransient:
		return again(f), nil
	}
	return refused(f), nil
}

// rest is the verdict on a request that may be sent twice, where the answer says nothing of its own. Inside a batch the
// host doesn't see the status, by which it would send it again.
func (s *state) rest(a *target, f *wit.Error, response *wit.Response) (wit.RowResult, error) {
	code, _, _ := fault.Document(response.Body)
	if a.batched && fault.Listed(s.httpCodes, response.Status, code) {
		f.Kind = wit.ErrorTransient
		return again(f), nil
	}
	return verdict(f, response)
}

func uncertainFault(target, why string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + insertUncertain +
		"): look whether it is there before the record is sent again"}
}

// noAnswer is the fault of a request without an answer.
func noAnswer(a *target) *wit.Error {
	return &wit.Error{Kind: wit.ErrorTransient, Message: a.what() + ": no answer came"}
}

// identified tells whether the service does nothing twice for a row, since it knows RequestIDs, and the row's was never
// another one.
func (s *state) identified(t *entitySet, h hint) bool {
	return s.uncertain == "repeatable" && s.learned[t.at].repeats && !h.moved
}

// repeatable tells whether the request may be sent twice, as far as one of a batch can.
func (s *state) repeatable(a *target) bool {
	if a.inserts() {
		return s.uncertain == "retry" || s.identified(a.to, a.hint)
	}
	return a.operation == remove || !s.tags || !a.hint.tagged || a.hint.tag == "" || s.retryTags
}
