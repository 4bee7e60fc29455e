package responses

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// isServiceError reports whether the service itself sent the error. SAP Gateway, Olingo, WCF and CAP send their version
// and an error document. Small services send an empty 404, which is accepted until the service has sent its version
// once. notfound.codes configures other cases.
func (s handler) isServiceError(t *requests.Target, response *wit.Response) bool {
	if t.InBatch {
		return true
	}
	code, _, document := odataerror.Document(response.Body)
	if odataerror.NoService(code) {
		return false // SAP Gateway does not know the service
	}
	if document || hasVersion(response) {
		return true
	}
	return isEmpty(response.Body) && !s.ServiceCapabilities[t.Set.ServiceIndex].SendsVersion ||
		odataerror.MatchesCode(s.NotFoundCodes, response.Status, "")
}

// isServiceSuccess reports whether the service itself sent the success: it contains an entity or a feed, the OData
// version, or the address of the created entity. Some gateways answer 200 with a page or JSON of their own.
func (s handler) isServiceSuccess(t *requests.Target, response *wit.Response) bool {
	if t.Operation == requests.ProbeService {
		return true
	}
	return provesDone(response.Status) && (t.InBatch || isEmpty(response.Body) || hasVersion(response) ||
		hasEntityLocation(t, response) || containsEntity(t.Set, response.Body))
}

func hasEntityLocation(t *requests.Target, response *wit.Response) bool {
	if !t.IsInsert() {
		return false
	}
	set, location := t.Set.Path[strings.LastIndexByte(t.Set.Path, '/')+1:]+"(", headerOf(response, "Location")
	return strings.HasPrefix(location, set) || strings.Contains(location, "/"+set)
}

// containsEntity reports whether a body is an entity or a feed. JSON without "d" must contain the key properties.
func containsEntity(set *entityset.EntitySet, body []byte) bool {
	v, err := jsontext.Parse(body)
	if err != nil {
		r := markup.NewReader(body)
		kind, err := r.Next()
		return err == nil && kind == markup.Open && r.Space == namespaceAtom && (r.Local == "entry" ||
			r.Local == "feed")
	}
	if v.Kind != jsontext.Object || v.Has("d") || len(v.Members) == 0 {
		return v.Kind == jsontext.Object
	}
	isMissing := func(name string) bool { return !v.Has(name) }
	return len(set.Type.Key) > 0 && !slices.ContainsFunc(set.Type.Key, isMissing)
}

const namespaceAtom = "http://www.w3.org/2005/Atom"

// concernsCall reports whether an error concerns all requests and not this row: the service is switched off, a gateway
// answers, or a token is missing. Skipping row after row for such responses would lose them all.
func (s handler) concernsCall(t *requests.Target, response *wit.Response) bool {
	switch status := response.Status; {
	case concernsAnyCall(response):
		return true
	case status == 404 || status == 410:
		return !s.isServiceError(t, response)
	case status == 408 || status == 413 || status == 429: // temporary, or about the size
		return false
	}
	return response.Status/100 == 4 && !t.InBatch && odataerror.IsHTML(response.Body)
}

// concernsAnyCall is the part of [handler.concernsCall] that also applies to batches and their parts.
func concernsAnyCall(response *wit.Response) bool {
	if wit.IsRejection(response.Status) {
		if code, _, document := odataerror.Document(response.Body); document && odataerror.NoService(code) {
			return true
		}
	}
	switch response.Status {
	case 403:
		return strings.EqualFold(headerOf(response, "x-csrf-token"), "required") || !odataerror.IsError(response.Body)
	case 404, 410:
		return odataerror.IsHTML(response.Body)
	}
	return false
}

func callError(t *requests.Target, response *wit.Response) *wit.Error {
	f := odataerror.FromResponse(t.Name(), response, response.Body)
	if !concernsAnyCall(response) && (response.Status == 404 || response.Status == 410) {
		f.Message += " (this may be the response of a gateway, not of the OData service; HTTP codes in " +
			sinkconfig.NameNotFoundCodes + " are always trusted)"
	}
	return f
}

// mayRejectAddress reports whether a server in front of the service may have rejected the row's address. IIS rejects %,
// :, * and segments of 260 characters (400), Tomcat (400) and Apache (404) an escaped slash.
func mayRejectAddress(t *requests.Target, response *wit.Response) bool {
	switch t.Operation {
	case requests.Delete, requests.Put, requests.Merge, requests.Patch, requests.UpsertPut, requests.UpsertMerge,
		requests.UpsertPatch, requests.ReadETag, requests.ReadETagForUpsert, requests.ReadETagForDelete:
	default:
		return false
	}
	switch response.Status {
	case 400, 404, 414:
		return !t.InBatch && odataerror.IsHTML(response.Body) && isUnusualKey(t.Predicate)
	}
	return false
}

// longKey is in bytes. The lowest known limit is 260 characters for a segment, with the name of the set.
const longKey = 200

func isUnusualKey(predicate string) bool {
	return len(predicate) >= longKey || strings.ContainsAny(predicate, "%:*&+;@!$~")
}

// addressResult first reads the set. If that works and the same error comes again, the row is rejected.
func addressResult(t *requests.Target, f *wit.Error) wit.RowResult {
	if !t.Hint.SetAnswers {
		h := t.Hint
		h.ProbeSet = true
		return requeue(h)
	}
	if f.Kind = wit.ErrorData; t.IsInsert() {
		f.Message += " (the entity set can be read, so the cause is the content of the record)"
	} else {
		f.Message += " (the entity set can be read, so a server in front of the service rejects the key)"
	}
	return reject(f)
}

// setResult counts errors of the service itself as an answer, except that the set does not exist.
func (s handler) setResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	h := t.Hint
	h.ProbeSet, h.SetAnswers = false, true
	_, _, document := odataerror.Document(response.Body)
	switch {
	case response.Status == 404 || response.Status == 410:
		return wit.RowResult{}, callError(t, response)
	case isSuccess(response.Status), response.Status == 501 && document,
		wit.IsRejection(response.Status) && (document || hasVersion(response)):
		return requeue(h), nil
	}
	return s.classifyRepeatable(t, odataerror.FromResponse(t.Name(), response, response.Body), response)
}
