package responses

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/wit"
)

// mayTakeNoMatch tells whether a refusal may speak of If-Match: *, which WCF refuses with 400 and a text in the
// server's language where a type has no ETag. Services of SAP take it. What may pass speaks of something else.
func (s handler) mayRejectIfMatch(a *requests.Target, response *wit.Response) bool {
	if response.Status != 400 || s.UseETags || s.NoIfMatch || a.Hint.NoIfMatch {
		return false
	}
	code, message, _ := fault.Document(response.Body)
	return !a.Set.SAP && !a.Set.Type.Etag() && s.SetCapabilities[a.Set.CapabilityIndex].IfMatch != capabilities.IfMatchAccepted && !fault.Locked(response,
		message) &&
		!fault.Listed(s.RetryCodes, response.Status, code)
}

// withoutMatch sends a request once more without If-Match, in a changeset of its own, since another one in it may be
// what is refused.
func retryWithoutIfMatch(t *requests.Target) wit.Verdict {
	h := t.Hint
	h.NoIfMatch, h.OwnChangeset = true, true
	return encodeAgain(h)
}

// took learns from an update or delete that was done whether the service takes If-Match: *. That it took one counts
// more than that it took another without: a PUT without If-Match makes an entity at some services.
func (s handler) learnIfMatch(a *requests.Target) {
	match := &s.SetCapabilities[a.Set.CapabilityIndex].IfMatch
	switch {
	case s.UseETags || s.NoIfMatch || *match != capabilities.IfMatchUnknown:
	case a.Hint.NoIfMatch:
		*match = capabilities.IfMatchRejected
	default:
		*match = capabilities.IfMatchAccepted
	}
}

// matched learns that a service wants If-Match after all; false: it was sent, or was left out for a trial, or because
// the settings say so.
func (s handler) learnIfMatchRequired(a *requests.Target) bool {
	match := &s.SetCapabilities[a.Set.CapabilityIndex].IfMatch
	if s.UseETags || s.NoIfMatch || *match != capabilities.IfMatchRejected && (*match != capabilities.IfMatchAccepted || !a.Hint.NoIfMatch) {
		return false
	}
	*match = capabilities.IfMatchAccepted
	return true
}

func retryWithIfMatch(t *requests.Target) wit.Verdict {
	h := t.Hint
	h.NoIfMatch = false
	return encodeAgain(h)
}
