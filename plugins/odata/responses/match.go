package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/wit"
)

// mayRejectIfMatch reports whether If-Match: * may be the cause of the error. WCF rejects it with 400 and a localized
// text if a type has no ETag.
func (s handler) mayRejectIfMatch(t *requests.Target, response *wit.Response) bool {
	if response.Status != 400 || s.UseETags || s.NoIfMatch || t.Hint.NoIfMatch {
		return false
	}
	code, message, _ := fault.Document(response.Body)
	return !t.Set.SAP && !t.Set.Type.Etag() &&
		s.SetCapabilities[t.Set.CapabilityIndex].IfMatch != capabilities.IfMatchAccepted && !fault.Locked(response,
		message) &&
		!fault.Listed(s.RetryCodes, response.Status, code)
}

func retryWithoutIfMatch(t *requests.Target) wit.RowResult {
	h := t.Hint
	h.NoIfMatch, h.OwnChangeset = true, true
	return encodeAgain(h)
}

// learnIfMatch records after an update or delete whether the service accepts If-Match: *. An accepted header counts
// more than a request without it: some services create an entity by a PUT without If-Match.
func (s handler) learnIfMatch(t *requests.Target) {
	match := &s.SetCapabilities[t.Set.CapabilityIndex].IfMatch
	switch {
	case s.UseETags || s.NoIfMatch || *match != capabilities.IfMatchUnknown:
	case t.Hint.NoIfMatch:
		*match = capabilities.IfMatchRejected
	default:
		*match = capabilities.IfMatchAccepted
	}
}

// learnIfMatchRequired returns false if If-Match was sent, or left out on purpose.
func (s handler) learnIfMatchRequired(t *requests.Target) bool {
	match := &s.SetCapabilities[t.Set.CapabilityIndex].IfMatch
	if s.UseETags || s.NoIfMatch || *match != capabilities.IfMatchRejected && (*match != capabilities.IfMatchAccepted ||
		!t.Hint.NoIfMatch) {
		return false
	}
	*match = capabilities.IfMatchAccepted
	return true
}

func retryWithIfMatch(t *requests.Target) wit.RowResult {
	h := t.Hint
	h.NoIfMatch = false
	return encodeAgain(h)
}
