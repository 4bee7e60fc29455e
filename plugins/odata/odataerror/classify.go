package odataerror

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// RefusesFormat reports whether a response refuses $format, like WCF Data Services: "The query parameter '$format'
// begins with a system-reserved '$' character but is not recognized."
func RefusesFormat(response *wit.Response, body []byte) bool {
	if response.Status != 400 && response.Status != 501 {
		return false
	}
	parts := strings.Split(unescapeAll(string(body[:min(len(body), maxSearched)])), "$format=json")
	for i, part := range parts[:len(parts)-1] {
		if !strings.HasSuffix(part, "?") && !strings.HasSuffix(part, "&") && !strings.HasPrefix(parts[i+1], "&") {
			return true // the option itself, not in a URL
		}
	}
	normalized := SearchText(response.Target, string(body))
	return strings.Contains(normalized, "$format") || (strings.Contains(normalized, "format") &&
		(strings.Contains(normalized, "option") || strings.Contains(normalized, "parameter")))
}

// kind classifies a status. A 400 about a lock is transient here; sinks decide about locks in lockResult.
func (r *Response) kind() wit.ErrorKind {
	switch status := r.Status; {
	case status == 409 || status == 412 || status == 428:
		return wit.ErrorConflict
	case status == 400 && r.Lock() != NotLocked:
		return wit.ErrorTransient
	case status == 405 || status == 501 || status == 505:
		return wit.ErrorUnsupported
	case status >= 300 && status < 400:
		return wit.ErrorUnauthorized
	}
	return wit.ErrorKindOf(r.Status)
}

// NoService reports whether a code of SAP Gateway means that a service, not an entity, is missing: not active (class
// MED), not permitted (CM_CONSUMER) or without a system (CM_COS). Assumption: this holds for all messages of these
// classes.
func NoService(code string) bool {
	return strings.HasPrefix(code, "/IWFND/MED/") || strings.HasPrefix(code, "/IWFND/CM_CONSUMER/") ||
		strings.HasPrefix(code, "/IWFND/CM_COS/")
}

// Exists reports whether the entity exists already. Assumption: 409 means so, and English and German texts of SAP and
// CAP.
func (r *Response) Exists() bool {
	return r.Status == 409 || containsAny(r.searched(), existsWords)
}

var existsWords = []string{"already exist", "existiert bereits", "bereits vorhanden", "unique constraint"}

// LostToken reports whether the service no longer knows a link's token: its own 410, SAP's codes, or a text with 400,
// 404, 410 or 412. The text of a failing service proves nothing, because it may quote the request. The status of SAP's
// codes is not documented.
func LostToken(response *wit.Response, body []byte) bool {
	code, message, _ := Document(body)
	switch response.Status {
	case 408, 429, 502, 503, 504:
		return false
	case 400, 404, 410, 412:
		isEmpty := len(trimStart(body)) == 0
		if response.Status == 410 && (isEmpty || FromService(response, body)) {
			return true
		}
		normalized := strings.ReplaceAll(SearchText(response.Target, code+" "+message), " ", "")
		for _, sign := range []string{"deltatoken", "delta_token", "deltalink", "skiptoken", "skip_token", "cm_mgw/090",
			"recoveryofoldrequests", "error536", "(536)"} {
			if strings.Contains(normalized, sign) {
				return true
			}
		}
	}
	// SAP SuccessFactors writes the code of a lost snapshot before the text (KBA 2990434).
	number, ok := strings.CutSuffix(code, "536")
	return (ok && strings.TrimRight(number, "0123456789") == number) || strings.HasSuffix(code, "/IWFND/CM_MGW/090") ||
		code == "COE0019" || strings.HasPrefix(message, "[COE0019]")
}

// LostPage reports whether the service no longer knows a link to a further page: its token is lost, or its session.
func LostPage(response *wit.Response, body []byte) bool {
	return LostToken(response, body) || LostSession(response, body)
}

// LostSession reports whether the session that a link's token may belong to has ended and the service itself rejects
// the link.
func LostSession(response *wit.Response, body []byte) bool {
	isRejected := response.Status == 400 || response.Status == 404 || response.Status == 412
	isSessionLost := slices.ContainsFunc(response.Headers, func(h wit.Header) bool {
		return strings.EqualFold(h.Name, wit.SessionLostHeader)
	})
	return isRejected && isSessionLost && FromService(response, body)
}

// MatchesCode reports whether codes contain the status or the error code.
func MatchesCode(codes []string, status uint16, code string) bool {
	return slices.ContainsFunc(codes, func(c string) bool {
		return c == strconv.Itoa(int(status)) || (code != "" && strings.EqualFold(c, code))
	})
}
