package odatatest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// jsonRequest is a request of a batch in JSON. Successive requests of one atomicity group are a changeset.
type jsonRequest struct {
	ID             string            `json:"id"`
	AtomicityGroup string            `json:"atomicityGroup"`
	Method         string            `json:"method"`
	URL            string            `json:"url"`
	Headers        map[string]string `json:"headers"`
	Body           json.RawMessage   `json:"body"`
}

// jsonResponse is the response to a [jsonRequest].
type jsonResponse struct {
	ID             string            `json:"id"`
	AtomicityGroup string            `json:"atomicityGroup,omitempty"`
	Status         int               `json:"status"`
	Headers        map[string]string `json:"headers"`
	Body           json.RawMessage   `json:"body,omitempty"`
}

// serveJSONBatch answers a batch in JSON. The answers are in reverse order, which the format allows. The other writes
// of a changeset that fails are answered 204, as SAP CAP does, although they are undone.
func (ex *exchange) serveJSONBatch(raw []byte) *fault {
	var batch struct {
		Requests []jsonRequest `json:"requests"`
	}
	if err := json.Unmarshal(raw, &batch); err != nil {
		return badRequest("The batch cannot be read: %v", err)
	}
	var answers []jsonResponse
	for start := 0; start < len(batch.Requests); {
		end := start + 1
		for group := batch.Requests[start].AtomicityGroup; end < len(batch.Requests) && group != "" &&
			batch.Requests[end].AtomicityGroup == group; {
			end++
		}
		group, f := ex.serveGroup(batch.Requests[start:end])
		if f != nil {
			return f
		}
		answers = append(group, answers...)
		start = end
	}
	if ex.loseAnswer() {
		return nil
	}
	if ex.sw.BatchAnswers > 0 {
		answers = answers[max(0, len(answers)-ex.sw.BatchAnswers):]
	}
	body, err := json.Marshal(map[string]any{"responses": answers})
	if err != nil {
		return badRequest("The answer cannot be written: %v", err)
	}
	h := ex.w.Header()
	h.Set(ex.mount.dialect.versionHeader, ex.mount.dialect.version)
	h.Set("Content-Type", "application/json")
	ex.w.WriteHeader(http.StatusOK)
	ex.w.Write(body)
	return nil
}

// serveGroup executes the requests of a changeset, or a single request.
func (ex *exchange) serveGroup(requests []jsonRequest) ([]jsonResponse, *fault) {
	ex.service.changing.Lock()
	defer ex.service.changing.Unlock()
	set := &changeset{}
	var operations []*exchange
	for _, request := range requests {
		header := http.Header{}
		for name, content := range request.Headers {
			header.Set(name, content)
		}
		if request.Method == http.MethodGet {
			set = nil
		}
		inner, f := ex.newInner(request.ID, request.Method, request.URL, header, request.Body, set)
		if f != nil {
			return nil, f
		}
		operations = append(operations, inner)
	}
	if set == nil {
		operations[0].run()
	} else {
		ex.runChangeset(set, operations)
	}
	answers := make([]jsonResponse, len(requests))
	for i, inner := range operations {
		recorder := inner.w.(*partRecorder)
		answer := &answers[i]
		*answer = jsonResponse{ID: recorder.id, AtomicityGroup: requests[i].AtomicityGroup, Status: recorder.status,
			Headers: map[string]string{}, Body: recorder.body.Bytes()}
		if recorder.status == 0 { // the operation follows the failed one
			answer.Status = http.StatusNoContent
		}
		for name := range recorder.header {
			answer.Headers[strings.ToLower(name)] = recorder.header.Get(name)
		}
	}
	return answers, nil
}
