package write

import (
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

// mayTakeNoMatch tells whether a refusal may speak of If-Match: *, which WCF refuses with 400 and a text in the
// server's language where a type has no ETag. Services of SAP take it. What may pass speaks of something else.
func (s handler) mayTakeNoMatch(a *target, response *wit.Response) bool {
	if response.Status != 400 || s.tags || s.bare || a.hint.bare {
		return false
	}
	code, message, _ := fault.Document(response.Body)
	return !a.to.sap && !a.to.entity.Etag() && s.evidence[a.to.same].match != takes && !fault.Locked(response,
		message) &&
		!fault.Listed(s.httpCodes, response.Status, code)
}

// withoutMatch sends a request once more without If-Match, in a changeset of its own, since another one in it may be
// what is refused.
func withoutMatch(t *target) wit.Verdict {
	h := t.hint
	h.bare, h.alone = true, true
	return proceed(h)
}

// took learns from an update or delete that was done whether the service takes If-Match: *. That it took one counts
// more than that it took another without: a PUT without If-Match makes an entity at some services.
func (s handler) took(a *target) {
	match := &s.evidence[a.to.same].match
	switch {
	case s.tags || s.bare || *match != notKnown:
	case a.hint.bare:
		*match = takesNone
	default:
		*match = takes
	}
}

// matched learns that a service wants If-Match after all; false: it was sent, or was left out for a trial, or because
// the settings say so.
func (s handler) matched(a *target) bool {
	match := &s.evidence[a.to.same].match
	if s.tags || s.bare || *match != takesNone && (*match != takes || !a.hint.bare) {
		return false
	}
	*match = takes
	return true
}

func withMatch(t *target) wit.Verdict {
	h := t.hint
	h.bare = false
	return proceed(h)
}
