package responses

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// LearnVersion records whether the responses of a service contain the OData version. One such response suffices.
func LearnVersion(state *capabilities.State, serviceIndex int, response *wit.Response) {
	service := &state.ServiceCapabilities[serviceIndex]
	service.SendsVersion = service.SendsVersion || odataerror.HasVersion(response)
}

// learnAnswer records whether the service, not a router, has answered a request. One such response suffices.
func (h responseHandler) learnAnswer(serviceIndex int, response *odataerror.Response) {
	service := &h.ServiceCapabilities[serviceIndex]
	service.Answered = service.Answered || response.FromService() ||
		(isSuccess(response.Status) && !odataerror.IsHTML(response.Body))
}

// learnRequestIDs records whether the service recognizes the RequestIDs of repeated inserts.
func (h responseHandler) learnRequestIDs(target *requests.Target, status uint16, header func(string) string) {
	if h.InsertUncertain == "repeatable" && isSuccess(status) {
		h.ServiceCapabilities[target.Set.ServiceIndex].RequestIDs = strings.EqualFold(
			strings.TrimSpace(header("RepeatabilityResult")), "accepted")
	}
}

// learnKeys records whether the service has replaced the key of an inserted entity, whose address is location.
func (h responseHandler) learnKeys(target *requests.Target, location string) {
	isRedacted := strings.Contains(location, setting.Hidden) // by the host, in a part of the key
	if location == "" || target.Predicate == "" || strings.HasSuffix(location, target.Predicate) || isRedacted {
		return
	}
	sent, ok := target.Set.KeyLiterals(target.Predicate)
	if !ok {
		return
	}
	created, ok := target.Set.KeyLiterals(location)
	if !ok {
		return
	}
	previous := h.SetCapabilities[target.Set.CapabilityIndex]
	current := &h.SetCapabilities[target.Set.CapabilityIndex]
	for i := range sent {
		if isReplaced(sent[i], created[i]) {
			current.ReplacesInitialKeys = current.ReplacesInitialKeys || encode.IsInitial(sent[i].Text)
			current.ReplacesKeys = current.ReplacesKeys || !encode.IsInitial(sent[i].Text)
		}
	}
	if *current == previous {
		return
	}
	message := target.Name() + ": the service created " + location + " for an entity with the key " + target.Predicate
	if current.ReplacesKeys {
		message += ": it replaces keys, so later records with that key would concern another entity, and fail"
	}
	sdk.Log(wit.LevelWarn, message)
}

// isReplaced reports whether a service replaced a key value. Padding, other case and trimmed blanks are no replacement.
func isReplaced(sent, found uri.Literal) bool {
	isInteger := func(t edm.Primitive) bool { return t == edm.Int32 || t == edm.Int64 }
	switch {
	case sent.Type == edm.String && found.Type == edm.String:
		return encode.CanonicalText(sent.Text) != encode.CanonicalText(found.Text)
	case sent.Type == found.Type || (isInteger(sent.Type) && isInteger(found.Type)):
		order, ok := value.Compare(found.Type, sent.Text, found.Text)
		return ok && order != 0 && sent.Text != found.Text
	}
	return false
}

// learnIfMatch records after an update or delete whether the service accepts If-Match: *. An accepted header counts
// more than a request without it: some services create an entity by a PUT without If-Match.
func (h responseHandler) learnIfMatch(target *requests.Target) {
	ifMatch := &h.SetCapabilities[target.Set.CapabilityIndex].IfMatch
	switch {
	case h.UseETags || h.NoIfMatch || *ifMatch != capabilities.IfMatchUnknown:
		// nothing to learn: no If-Match: * was sent, or the answer is known
	case target.Hint.NoIfMatch:
		*ifMatch = capabilities.IfMatchRejected
	default:
		*ifMatch = capabilities.IfMatchAccepted
	}
}

// learnIfMatchRequired records that the service requires If-Match if the request omitted the configured header. It
// reports whether this is so, and the request can be sent again with the header.
func (h responseHandler) learnIfMatchRequired(target *requests.Target) bool {
	ifMatch := &h.SetCapabilities[target.Set.CapabilityIndex].IfMatch
	isConfigured := !h.UseETags && !h.NoIfMatch
	wasOmitted := *ifMatch == capabilities.IfMatchRejected ||
		(*ifMatch == capabilities.IfMatchAccepted && target.Hint.NoIfMatch)
	if !isConfigured || !wasOmitted {
		return false
	}
	*ifMatch = capabilities.IfMatchAccepted
	return true
}

// mayRejectIfMatch reports whether If-Match: * may be the cause of the error. WCF rejects it with 400 and a localized
// text if a type has no ETag.
func (h responseHandler) mayRejectIfMatch(target *requests.Target, response *odataerror.Response) bool {
	if response.Status != 400 || h.UseETags || h.NoIfMatch || target.Hint.NoIfMatch {
		return false
	}
	code, _, _ := response.Document()
	return !target.Set.SAP && !target.Set.Type.Etag() &&
		h.SetCapabilities[target.Set.CapabilityIndex].IfMatch != capabilities.IfMatchAccepted &&
		response.Lock() == odataerror.NotLocked &&
		!odataerror.MatchesCode(h.RetryCodes, response.Status, code)
}

func requeueWithoutIfMatch(target *requests.Target) wit.RowResult {
	hint := target.Hint
	hint.NoIfMatch = true
	hint.OwnChangeset = true
	return requeue(hint)
}

func requeueWithIfMatch(target *requests.Target) wit.RowResult {
	hint := target.Hint
	hint.NoIfMatch = false
	return requeue(hint)
}
