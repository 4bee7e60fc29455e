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
func (h responseHandler) isServiceError(target *requests.Target, response *odataerror.Response) bool {
	if target.InBatch {
		return true
	}
	if code, _, _ := response.Document(); odataerror.NoService(code) {
		return false // SAP Gateway does not know the service
	}
	if response.FromService() {
		return true
	}
	return (isEmpty(response.Body) && !h.ServiceCapabilities[target.Set.ServiceIndex].SendsVersion) ||
		odataerror.MatchesCode(h.NotFoundCodes, response.Status, "")
}

// isServiceSuccess reports whether the service itself sent the success: it contains an entity or a feed, the OData
// version, or the address of the created entity. Some gateways answer 200 with a page or JSON of their own.
func (h responseHandler) isServiceSuccess(target *requests.Target, response *odataerror.Response) bool {
	if target.Operation == requests.ProbeService {
		return true
	}
	return provesDone(response.Status) && (target.InBatch || isEmpty(response.Body) ||
		odataerror.HasVersion(response.Response) ||
		hasEntityLocation(target, response) || containsEntity(target.Set, response.Body))
}

func hasEntityLocation(target *requests.Target, response *odataerror.Response) bool {
	if !target.IsInsert() {
		return false
	}
	start := target.Set.Path[strings.LastIndexByte(target.Set.Path, '/')+1:] + "("
	location := headerOf(response, "Location")
	return strings.HasPrefix(location, start) || strings.Contains(location, "/"+start)
}

const namespaceAtom = "http://www.w3.org/2005/Atom"

// containsEntity reports whether a body is an entity or a feed. JSON without the dialect's root must contain the key
// properties.
func containsEntity(set *entityset.EntitySet, body []byte) bool {
	parsed, err := jsontext.Parse(body)
	if err != nil {
		reader := markup.NewReader(body)
		kind, err := reader.Next()
		isAtom := err == nil && kind == markup.Open && reader.Namespace == namespaceAtom
		return isAtom && (reader.Local == "entry" || reader.Local == "feed")
	}
	if parsed.Kind != jsontext.Object || parsed.Has(set.Model.Dialect.Root) || len(parsed.Members) == 0 {
		return parsed.Kind == jsontext.Object
	}
	isMissing := func(name string) bool { return !parsed.Has(name) }
	return len(set.Type.Key) > 0 && !slices.ContainsFunc(set.Type.Key, isMissing)
}

// isOutage reports whether a router answered in place of a service that has answered before in this run: the service
// restarts, or is deployed again. notfound.codes configures other cases.
func (h responseHandler) isOutage(target *requests.Target, response *odataerror.Response) bool {
	if target.InBatch || !h.hasAnswered(target.Set.ServiceIndex, response.Status) || !response.FromRouter() {
		return false
	}
	return odataerror.IsHTML(response.Body) || !odataerror.MatchesCode(h.NotFoundCodes, response.Status, "")
}

// hasAnswered reports whether the service has answered in this run, so that a router's answer with a status means that
// it is away. For a 404 its metadata suffice. 405, 415 and 501 may mean that a server in front of it never lets such
// requests pass, unless the service has answered a request for a row.
func (h responseHandler) hasAnswered(serviceIndex int, status uint16) bool {
	return status == 404 || h.ServiceCapabilities[serviceIndex].Answered
}

func outageError(target *requests.Target, response *odataerror.Response) *wit.Error {
	failure := response.Failure(target.Name())
	odataerror.MarkOutage(failure, response.Response, response.Body)
	if response.Status == 404 {
		failure.Message += "; HTTP codes in " + sinkconfig.NameNotFoundCodes + " are always trusted"
	}
	return failure
}

// isServiceWide reports whether an error concerns all requests and not this row: the service is switched off, a gateway
// answers, or a token is missing. Skipping row after row for such responses would lose them all.
func (h responseHandler) isServiceWide(target *requests.Target, response *odataerror.Response) bool {
	switch status := response.Status; {
	case isServiceWideInBatch(response):
		return true
	case status == 404 || status == 410:
		return !h.isServiceError(target, response)
	case status == 408 || status == 413 || status == 429: // temporary, or about the size of this request
		return false
	}
	isClientError := response.Status >= 400 && response.Status <= 499
	return isClientError && !target.InBatch && odataerror.IsHTML(response.Body)
}

// isServiceWideInBatch is the part of [responseHandler.isServiceWide] that also applies to batches and their parts.
func isServiceWideInBatch(response *odataerror.Response) bool {
	if wit.IsRejection(response.Status) {
		if code, _, isDocument := response.Document(); isDocument && odataerror.NoService(code) {
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

func serviceWideError(target *requests.Target, response *odataerror.Response) *wit.Error {
	failure := response.Failure(target.Name())
	if !isServiceWideInBatch(response) && (response.Status == 404 || response.Status == 410) {
		failure.Message += " (this may be the response of a gateway, not of the OData service; HTTP codes in " +
			sinkconfig.NameNotFoundCodes + " are always trusted)"
	}
	return failure
}

// mayRejectAddress reports whether a server in front of the service may have rejected the row's address. IIS rejects %,
// :, * and segments of 260 characters (400), Tomcat (400) and Apache (404) an escaped slash.
func mayRejectAddress(target *requests.Target, response *odataerror.Response) bool {
	switch target.Operation {
	case requests.Delete, requests.Put, requests.Merge, requests.Patch, requests.UpsertPut, requests.UpsertMerge,
		requests.UpsertPatch, requests.ReadETag, requests.ReadETagForUpsert, requests.ReadETagForDelete:
		// the address contains the key
	default:
		return false
	}
	switch response.Status {
	case 400, 404, 414:
		return !target.InBatch && odataerror.IsHTML(response.Body) && isUnusualKey(target.Predicate)
	}
	return false
}

// longKeyBytes is the length of unusual keys. The lowest known limit is 260 characters for a segment, which also
// contains the name of the set.
const longKeyBytes = 200

func isUnusualKey(predicate string) bool {
	return len(predicate) >= longKeyBytes || strings.ContainsAny(predicate, "%:*&+;@!$~")
}

// addressResult handles an error that may concern the address of the row only. First the set is read. If that works and
// the same error is returned again, the row is rejected.
func addressResult(target *requests.Target, failure *wit.Error) wit.RowResult {
	if !target.Hint.SetReadable {
		hint := target.Hint
		hint.ProbeSet = true
		return requeue(hint)
	}
	failure.Kind = wit.ErrorData
	if target.IsInsert() {
		failure.Message += " (the entity set can be read, so the cause is the content of the record)"
	} else {
		failure.Message += " (the entity set can be read, so a server in front of the service rejects the key)"
	}
	return reject(failure)
}

// setResult continues with the row if the set responds, even with an error of the service itself other than 404.
func (h responseHandler) setResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	hint := target.Hint
	hint.ProbeSet = false
	hint.SetReadable = true
	_, _, isDocument := response.Document()
	switch {
	case response.Status == 404 || response.Status == 410:
		return wit.RowResult{}, serviceWideError(target, response)
	case isSuccess(response.Status), response.Status == 501 && isDocument,
		wit.IsRejection(response.Status) && (isDocument || odataerror.HasVersion(response.Response)):
		return requeue(hint), nil
	}
	return h.classifyRepeatable(target, response.Failure(target.Name()), response)
}
