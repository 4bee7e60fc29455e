package responses

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// What stands between the plugin and a service answers too, with the same statuses: routers and API gateways whose
// route is gone for a while say 404. An answer counts for what it says of a row only where something shows that the
// service made it.

// spaceAtom is the namespace of entries and feeds.
const namespaceAtom = "http://www.w3.org/2005/Atom"

// learnVersion learns that the service says its version.
func LearnVersion(s *capabilities.State, at int, response *wit.Response) {
	s.ServiceCapabilities[at].SendsVersion = s.ServiceCapabilities[at].SendsVersion || hasVersion(response)
}

// own tells whether a refusal is the service's own. SAP Gateway, Olingo, WCF and the adapter of CAP say their version
// with all that they answer, and refuse with an error document. Small services do neither and send an empty 404: there
// nothing tells theirs from a router's, which mostly has words, and it is taken for theirs until the service has said a
// version once. notfound.codes is the way out for others.
func (s handler) isServiceError(a *requests.Target, response *wit.Response) bool {
	if a.InBatch {
		return true
	}
	code, _, document := fault.Document(response.Body)
	if fault.NoService(code) {
		return false // of SAP Gateway, about the service
	}
	if document || hasVersion(response) {
		return true
	}
	return isEmpty(response.Body) && !s.ServiceCapabilities[a.Set.ServiceIndex].SendsVersion || fault.Listed(s.NotFoundCodes, response.Status, "")
}

// fromService tells whether an answer of success is the service's own: one with a body holds an entity or a feed, says
// its version, or says where the entity is that was made. Gateways say 200 to what they could not pass on, in words or
// JSON of their own. A GET of the service's root asks for nothing else.
func (s handler) isServiceSuccess(a *requests.Target, response *wit.Response) bool {
	if a.Operation == requests.ProbeService {
		return true
	}
	return provesDone(response.Status) && (a.InBatch || isEmpty(response.Body) || hasVersion(response) ||
		hasEntityLocation(a, response) || containsEntity(a.Set, response.Body))
}

// located tells whether an answer to an insert says the address of an entity of the set.
func hasEntityLocation(a *requests.Target, response *wit.Response) bool {
	if !a.IsInsert() {
		return false
	}
	set, at := a.Set.Path[strings.LastIndexByte(a.Set.Path, '/')+1:]+"(", headerOf(response, "Location")
	return strings.HasPrefix(at, set) || strings.Contains(at, "/"+set)
}

// holds tells whether a body is an entity or a feed, in JSON or Atom. In JSON without the d around it, an entity has
// the properties of the key; an object without members says nothing against.
func containsEntity(t *entityset.EntitySet, body []byte) bool {
	v, err := jsontext.Parse(body)
	if err != nil {
		r := markup.NewReader(body)
		kind, err := r.Next()
		return err == nil && kind == markup.Open && r.Space == namespaceAtom && (r.Local == "entry" || r.Local == "feed")
	}
	if v.Kind != jsontext.Object || v.Has("d") || len(v.Members) == 0 {
		return v.Kind == jsontext.Object
	}
	lacks := func(name string) bool { return !v.Has(name) }
	return len(t.Type.Key) > 0 && !slices.ContainsFunc(t.Type.Key, lacks)
}

// ofTheCall tells whether a refusal speaks of the call and not of the row, as those of a service that was switched off,
// of a gateway on the way, or for want of a token do. A row's own refusal is an OData error document. To skip row after
// row for such answers, or to take a gateway's 404 for a deleted entity, would lose them all.
func (s handler) concernsCall(a *requests.Target, response *wit.Response) bool {
	switch status := response.Status; {
	case concernsAnyCall(response):
		return true
	case status == 404 || status == 410:
		return !s.isServiceError(a, response)
	case status == 408 || status == 413 || status == 429: // which pass, or speak of how much was sent
		return false
	}
	return response.Status/100 == 4 && !a.InBatch && fault.IsHTML(response.Body)
}

// callFault is the fault of an answer that is of the call.
func callError(a *requests.Target, response *wit.Response) *wit.Fault {
	f := fault.Of(a.Name(), response, response.Body)
	if !concernsAnyCall(response) && (response.Status == 404 || response.Status == 410) {
		f.Message += " (nothing shows that the OData service has said it, and not a gateway in front of it; " +
			"with HTTP codes in " + sinkconfig.NameNotFoundCodes + " it is believed)"
	}
	return f
}

// ofTheAddress tells whether a refusal may speak of the row's address, which something in front of the service doesn't
// take: a page, in answer to a key that is long or holds what must be escaped. IIS refuses %, :, * and segments of 260
// characters so (400), Tomcat (400) and Apache (404) an escaped slash.
func mayRejectAddress(a *requests.Target, response *wit.Response) bool {
	switch a.Operation {
	case requests.Delete, requests.Put, requests.Merge, requests.Patch, requests.UpsertPut, requests.UpsertMerge, requests.UpsertPatch, requests.ReadETag, requests.ReadETagForUpsert, requests.ReadETagForDelete:
	default:
		return false
	}
	switch response.Status {
	case 400, 404, 414:
		return !a.InBatch && fault.IsHTML(response.Body) && isUnusualKey(a.Predicate)
	}
	return false
}

// longPredicate is a length in bytes from which on something on the way may refuse an address for it: 260 characters in
// a segment are the least limit that is known, and the name of the set is in it.
const longKey = 200

// odd tells whether a key is one that not everything on the way to a service takes.
func isUnusualKey(predicate string) bool {
	return len(predicate) >= longKey || strings.ContainsAny(predicate, "%:*&+;@!$~")
}

// settleAddress asks first whether the service answers for the set. Where it does, and the same answer comes once more,
// it is the row's: of an insert, what the service says of its content, else its address, which isn't taken.
func addressResult(a *requests.Target, f *wit.Fault) wit.Verdict {
	if !a.Hint.SetAnswers {
		h := a.Hint
		h.ProbeSet = true
		return encodeAgain(h)
	}
	if f.Kind = wit.FaultData; a.IsInsert() {
		f.Message += " (the service answers for the set, so it is the record's content that it speaks of)"
	} else {
		f.Message += " (the service answers for the set, so it is the key that something in front of it doesn't take)"
	}
	return reject(f)
}

// settleSet reads whether the service answers for the set: with entities, or with a refusal of its own, such as that
// nobody may read it. That it isn't there is none.
func (s handler) setResult(a *requests.Target, response *wit.Response) (wit.Verdict, error) {
	h := a.Hint
	h.ProbeSet, h.SetAnswers = false, true
	_, _, document := fault.Document(response.Body)
	switch {
	case response.Status == 404 || response.Status == 410:
		return wit.Verdict{}, callError(a, response)
	case isSuccess(response.Status), response.Status == 501 && document,
		wit.Refuses(response.Status) && (document || hasVersion(response)):
		return encodeAgain(h), nil
	}
	return s.classifyRepeatable(a, fault.Of(a.Name(), response, response.Body), response)
}
