package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/pack"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Settle says what became of a delivery's row.
func (p *plugin) Settle(context []byte, note []byte, rows []uint32, response wit.Response) ([]wit.Verdict, error) {
	r := pack.Open(note)
	op, target := operation(r.Number()), r.Text()
	if !r.Done() {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the memo is of another version of this plugin"}
	}
	if success(response.Status) && fault.IsHTML(response.Body) {
		// A logon page says nothing of the row.
		return nil, fault.NotData(target, "an answer of OData", response.Body)
	}
	if success(response.Status) && fault.IsError(response.Body) {
		// Services behind gateways that hide the status: what the document says counts.
		f := fault.Of(target, &response, response.Body)
		f.Kind = wit.FaultData
		return all(rows, refused(f)), nil
	}
	if ofTheCall(&response) {
		return nil, fault.Of(target, &response, response.Body)
	}
	for _, h := range response.Headers {
		if strings.EqualFold(h.Name, "sap-message") {
			sdk.Log(wit.LevelInfo, target+": "+fault.Excerpt([]byte(h.Value)))
		}
	}
	var v wit.Verdict
	var err error
	switch op {
	case remove:
		v, err = settleDelete(target, &response)
	case confirm:
		v, err = settleConfirm(target, &response)
	default:
		v, err = settleInsert(target, &response)
	}
	if err != nil {
		return nil, err
	}
	return all(rows, v), nil
}

// ofTheCall tells whether a refusal speaks of the call and not of the row, as those of a service that was switched off, of a gateway on
// the way, or for want of a token do. A row's own refusal is an OData error document. To skip row after row for such answers, or to take
// a gateway's 404 for a deleted entity, would lose them all.
func ofTheCall(response *wit.Response) bool {
	switch response.Status {
	case 403:
		for _, h := range response.Headers {
			if strings.EqualFold(h.Name, "x-csrf-token") && strings.EqualFold(h.Value, "required") {
				return true
			}
		}
		return !fault.IsError(response.Body)
	case 404, 410:
		return fault.IsHTML(response.Body)
	}
	return false
}

// all gives each row the delivery's verdict.
func all(rows []uint32, v wit.Verdict) []wit.Verdict {
	verdicts := make([]wit.Verdict, len(rows))
	for i := range verdicts {
		verdicts[i] = v
	}
	return verdicts
}

func written() wit.Verdict { return wit.Verdict{Written: wit.Chosen} }

func refused(f *wit.Fault) wit.Verdict { return wit.Verdict{Refused: f} }

// again counts as an attempt, since it carries a fault.
func again(f *wit.Fault) wit.Verdict { return wit.Verdict{Again: &wit.Retry{Fault: f}} }

func success(status uint16) bool { return status >= 200 && status <= 299 }

// settleInsert: an answer that was lost, by the service or by a gateway on the way, may mean that the entity is there (P19).
// Services that number entities would make a second one, so the row is refused and not sent again.
func settleInsert(target string, response *wit.Response) (wit.Verdict, error) {
	switch {
	case success(response.Status):
		return written(), nil
	case response.Status == 0:
		return refused(uncertain(target, "no answer came")), nil
	case response.Status == 502 || response.Status == 504:
		return refused(uncertain(target, "a gateway answered HTTP "+strconv.Itoa(int(response.Status)))), nil
	}
	f := fault.Of("POST "+target, response, response.Body)
	if response.Status == 404 || response.Status == 405 {
		return wit.Verdict{}, f
	}
	return verdict(f, response)
}

func uncertain(target, why string) *wit.Fault {
	return &wit.Fault{Kind: wit.FaultConflict, Code: wit.Ptr("UNCERTAIN"), Message: "POST " + target + ": " + why +
		", so the entity may have been created; it is not sent again (" + insertUncertain + " = fail): look whether it is there before the record is sent anew"}
}

// settleDelete: an entity that is gone counts as deleted. A 412 in spite of If-Match: * means the same at some services, which is
// looked up.
func settleDelete(target string, response *wit.Response) (wit.Verdict, error) {
	switch {
	case success(response.Status), response.Status == 404, response.Status == 410:
		return written(), nil
	case response.Status == 412:
		return wit.Verdict{Again: &wit.Retry{Hint: hintConfirm}}, nil
	case response.Status == 0:
		return again(&wit.Fault{Kind: wit.FaultTransient, Message: "DELETE " + target + ": no answer came"}), nil
	}
	return verdict(fault.Of("DELETE "+target, response, response.Body), response)
}

// settleConfirm reads the answer to whether an entity is gone.
func settleConfirm(target string, response *wit.Response) (wit.Verdict, error) {
	switch {
	case response.Status == 404 || response.Status == 410:
		return written(), nil
	case success(response.Status):
		return refused(&wit.Fault{Kind: wit.FaultConflict, Message: "DELETE " + target + ": HTTP 412 in spite of If-Match: *, and the entity is there"}), nil
	case response.Status == 0:
		return wit.Verdict{Again: &wit.Retry{Hint: hintConfirm, Fault: &wit.Fault{Kind: wit.FaultTransient, Message: "GET " + target + ": no answer came"}}}, nil
	}
	v, err := verdict(fault.Of("GET "+target, response, response.Body), response)
	if v.Again != nil {
		v.Again.Hint = hintConfirm
	}
	return v, err
}

// verdict is what other answers mean: 401 concerns the connector and not the row; what may pass is tried again; the rest is the
// row's own. A 500 is the row's: services answer so for rows that they can't take, and a lock says that it is one.
func verdict(f *wit.Fault, response *wit.Response) (wit.Verdict, error) {
	code := ""
	if f.Code != nil {
		code = *f.Code
	}
	switch {
	case f.Kind == wit.FaultUnauthorized:
		return wit.Verdict{}, f
	case response.Status == 500 && !fault.Locked(code, f.Message):
		f.Kind = wit.FaultData
	case f.Kind == wit.FaultTransient:
		return again(f), nil
	}
	return refused(f), nil
}
