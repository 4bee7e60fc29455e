package responses

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

func headerOf(response *odataerror.Response, name string) string {
	for _, h := range response.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// headersOf returns a function that returns the headers of a response by their names.
func headersOf(response *odataerror.Response) func(name string) string {
	return func(name string) string { return headerOf(response, name) }
}

func isSuccess(status uint16) bool { return status >= 200 && status <= 299 }

// provesDone reports whether all of the request was done. 202 promises nothing, 206 and 207 describe a part.
func provesDone(status uint16) bool {
	return isSuccess(status) && status != 202 && status != 206 && status != 207
}

func inconclusiveText(status uint16) string {
	return "HTTP " + strconv.Itoa(int(status)) + " does not prove that the request was done: expected a status such " +
		"as 200, 201 or 204"
}

func isEmpty(body []byte) bool { return len(bytes.TrimSpace(body)) == 0 }

// isNotServed reports whether an error document with this status means that the request was not processed. Without a
// document the status may come from a proxy (see [wit.IsRejection]).
func isNotServed(status uint16) bool { return status == 408 || status == 503 }

// isRepeatRejected reports whether the service rejected a RequestID, by its own header or OASIS Repeatable Requests.
func isRepeatRejected(header func(name string) string) bool {
	for _, name := range [...]string{"RepeatabilityResult", "Repeatability-Result"} {
		if strings.EqualFold(strings.TrimSpace(header(name)), "rejected") {
			return true
		}
	}
	return false
}

func (h responseHandler) isExisting(response *odataerror.Response, code, message string) bool {
	return response.Exists() || odataerror.MatchesCode(h.ExistsCodes, response.Status, code)
}

func (h responseHandler) isNotFound(response *odataerror.Response) bool {
	switch status := response.Status; {
	case status == 404 || status == 410:
		return true
	case status == 0 || isSuccess(status):
		return false
	}
	code, _, _ := response.Document()
	return odataerror.MatchesCode(h.NotFoundCodes, response.Status, code)
}

func retryAfter(response *odataerror.Response) uint32 {
	wait, _ := odataerror.RetryAfter(headerOf(response, "Retry-After"), response.ReceivedAt)
	return uint32(min(wait.Milliseconds(), math.MaxUint32))
}

// logServiceMessages logs the header sap-message, as a warning if it has a warning or an error.
func logServiceMessages(name string, response *odataerror.Response) {
	message := headerOf(response, "sap-message")
	if message == "" {
		return
	}
	level := wit.LevelInfo
	normalized := strings.ToLower(strings.Join(strings.Fields(message), ""))
	for _, severity := range []string{"warning", "error"} {
		inJSON := strings.Contains(normalized, `"severity":"`+severity)
		if inJSON || strings.Contains(normalized, "<severity>"+severity) {
			level = wit.LevelWarn
		}
	}
	sdk.Log(level, name+": "+odataerror.Excerpt([]byte(message)))
}
