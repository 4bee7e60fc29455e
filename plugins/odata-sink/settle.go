package main

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/pack"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Settle says what became of a delivery's row.
func (p *plugin) Settle(context []byte, note []byte, rows []uint32, response wit.Response) (wit.Settled, error) {
	verdicts, err := p.verdicts(note, rows, response)
	return wit.Settled{Verdicts: verdicts}, err
}

func (p *plugin) verdicts(note []byte, rows []uint32, response wit.Response) ([]wit.Verdict, error) {
	r := pack.Open(note)
	op, target := operation(r.Number()), r.Text()
	if !r.Done() {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the memo is of another version of this plugin"}
	}
	if op == insert {
		return settleInsert(target, rows, &response)
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
	say(target, &response)
	var v wit.Verdict
	var err error
	if op == confirm {
		v, err = settleConfirm(target, &response)
	} else {
		v, err = settleDelete(target, &response)
	}
	if err != nil {
		return nil, err
	}
	return all(rows, v), nil
}

// say logs what the service tells beside its answer.
func say(target string, response *wit.Response) {
	for _, h := range response.Headers {
		if strings.EqualFold(h.Name, "sap-message") {
			sdk.Log(wit.LevelInfo, target+": "+fault.Excerpt([]byte(h.Value)))
		}
	}
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

// settleInsert: a POST is never sent again unless the answer says that the entity was not created (P19), because services that number
// entities would make a second one. Answers of a client's fault say so by their status. Any other one may come from a gateway whose
// service did its work; it counts for nothing but what an error document of OData in it says: that the entity is locked, or with 503
// that the service is not there. Message codes are the host's business, who knows which are to be tried again. What remains is a
// refusal of kind transient, by which nobody knows what became of the row.
func settleInsert(target string, rows []uint32, response *wit.Response) ([]wit.Verdict, error) {
	what := "POST " + target
	f := fault.Of(what, response, response.Body)
	code, message, document := fault.Document(response.Body)
	if !document && !refusedByClient(response.Status) {
		f.Code = nil
	}
	switch {
	case response.Status == 0:
		return all(rows, refused(uncertain(target, "no answer came"))), nil
	case success(response.Status) && fault.IsHTML(response.Body):
		// A logon page says nothing of the row.
		return nil, fault.NotData(what, "an answer of OData", response.Body)
	case success(response.Status) && !fault.IsError(response.Body):
		say(target, response)
		return all(rows, written()), nil
	case document && fault.Locked(code, message), document && response.Status == 503:
		f.Kind = wit.FaultTransient
		return all(rows, again(f)), nil
	case !refusedByClient(response.Status): // a success with an error among them: a gateway may hide the status
		f.Kind = wit.FaultTransient
		return all(rows, refused(f)), nil
	case ofTheCall(response), response.Status == 404, response.Status == 405:
		return nil, f
	case f.Kind != wit.FaultTransient && f.Kind != wit.FaultUnauthorized && fault.Exists(response.Status, message):
		f.Kind = wit.FaultConflict
	}
	v, err := verdict(f, response)
	if err != nil {
		return nil, err
	}
	return all(rows, v), nil
}

// refusedByClient tells whether a status says by itself that the service did nothing, because of a fault of the client's.
func refusedByClient(status uint16) bool { return status >= 400 && status <= 499 }

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
	code, message, _ := fault.Document(response.Body)
	switch {
	case f.Kind == wit.FaultUnauthorized:
		return wit.Verdict{}, f
	case response.Status == 500 && !fault.Locked(code, message):
		f.Kind = wit.FaultData
	case f.Kind == wit.FaultTransient:
		return again(f), nil
	}
	return refused(f), nil
}
