package responses

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

func headerOf(response *wit.Response, name string) string {
	for _, h := range response.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

func isSuccess(status uint16) bool { return status >= 200 && status <= 299 }

// saysDone tells whether a status says that all of what was asked for is done. Of the successes, Accepted (202) says
// that it may be done later or not at all, and Partial Content (206) and Multi-Status (207) that a part of it is
// missing or has a status of its own.
func provesDone(status uint16) bool {
	return isSuccess(status) && status != 202 && status != 206 && status != 207
}

// undone is what is wrong with a success that is not [saysDone]. A service that answers all writes so is none that can
// be written to: nothing that it says would show whether a row is there.
func inconclusiveText(status uint16) string {
	return "HTTP " + strconv.Itoa(int(status)) + " doesn't say that it is done: expected a status that does, " +
		"such as 200, 201 or 204"
}

func isEmpty(body []byte) bool { return len(bytes.TrimSpace(body)) == 0 }

// versioned tells whether an answer says a version of OData, which services do and nothing in front of them does.
func hasVersion(response *wit.Response) bool {
	return headerOf(response, "DataServiceVersion") != "" || headerOf(response, "OData-Version") != ""
}

// unserved are statuses by which a service says, in an error document of its own, that it has not taken a request up.
// Proxies answer with them for services that did (see [wit.Refuses]).
func isNotServed(status uint16) bool { return status == 408 || status == 503 }

// rejected tells whether a service says of a request with a RequestID that it has not done it. The second name is that
// of OASIS's Repeatable Requests.
func isRepeatRejected(response *wit.Response) bool {
	for _, name := range []string{"RepeatabilityResult", "Repeatability-Result"} {
		if strings.EqualFold(strings.TrimSpace(headerOf(response, name)), "rejected") {
			return true
		}
	}
	return false
}

// exists tells whether a refusal says that the entity is there already.
func (m handler) isExisting(response *wit.Response, code, message string) bool {
	return fault.Exists(response, message) || fault.Listed(m.ExistsCodes, response.Status, code)
}

// missing tells whether a refusal says that the entity isn't there.
func (m handler) isNotFound(response *wit.Response) bool {
	switch status := response.Status; {
	case status == 404 || status == 410:
		return true
	case status == 0 || isSuccess(status):
		return false
	}
	code, _, _ := fault.Document(response.Body)
	return fault.Listed(m.NotFoundCodes, response.Status, code)
}

// ofAnyCall is ofTheCall as far as it goes for batches and their parts too.
func concernsAnyCall(response *wit.Response) bool {
	if wit.Refuses(response.Status) {
		if code, _, document := fault.Document(response.Body); document && fault.NoService(code) {
			return true
		}
	}
	switch response.Status {
	case 403:
		return strings.EqualFold(headerOf(response, "x-csrf-token"), "required") || !fault.IsError(response.Body)
	case 404, 410:
		return fault.IsHTML(response.Body)
	}
	return false
}

// retryAfter is how many milliseconds an answer inside a batch asks to wait; those of others the host reads.
func retryAfter(response *wit.Response) uint32 {
	wait, _ := fault.RetryAfter(headerOf(response, "Retry-After"), response.At)
	return uint32(min(wait.Milliseconds(), math.MaxUint32))
}

// say logs what the service says in addition to its answer, as a warning where the service calls it one.
func logServiceMessages(what string, response *wit.Response) {
	if text := headerOf(response, "sap-message"); text != "" {
		sdk.Log(messageLevel(text), what+": "+fault.Excerpt([]byte(text)))
	}
}

// severity is the level of a message of SAP, in JSON or XML: the worst of it and of its details.
func messageLevel(message string) wit.Level {
	text := strings.ToLower(strings.Join(strings.Fields(message), ""))
	for _, grave := range []string{"warning", "error"} {
		if strings.Contains(text, `"severity":"`+grave) || strings.Contains(text, "<severity>"+grave) {
			return wit.LevelWarn
		}
	}
	return wit.LevelInfo
}
