package responses

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// checkResult returns the result of an insert without a response, after a request that looks for the entity.
func (h responseHandler) checkResult(target *requests.Target, response *odataerror.Response) (wit.RowResult, error) {
	if !isSuccess(response.Status) && (target.Operation == requests.ProbeService || !h.isNotFound(response)) {
		return h.classify(target, response.Failure(target.Name()), response)
	}
	isLookUp := target.Operation == requests.LookUp || target.Operation == requests.LookUpForUpsert
	filterAdvice := sinkconfig.NameCheckFilter + " is not set"
	switch {
	case target.Operation == requests.LookUpForUpsert:
		filterAdvice = "upserts are looked up by key only, not by " + sinkconfig.NameCheckFilter
	case h.CheckFilter != "":
		filterAdvice = sinkconfig.NameCheckFilter + " needs a value that the record does not have"
	}
	switch { // the first case that applies counts
	case isLookUp && h.isNotFound(response) && h.OfSet(target.Set, target.Hint.Known).ReplacesKeys:
		return unknownInsert(target, "no entity found, and another response has shown that the service replaces keys; "+
			filterAdvice), nil
	case isLookUp && h.isNotFound(response) && hasInitialKey(target):
		return unknownInsert(target, "no entity found, but the service may have replaced the record's initial key; "+
			filterAdvice), nil
	case target.Operation == requests.ProbeService, target.Operation != requests.Find && h.isNotFound(response):
		return requeue(target.Hint.ForStep(requests.StepInsert)), nil
	case target.Operation == requests.LookUpForUpsert:
		return requeue(target.Hint.ForStep(requests.StepUpdate)), nil
	case target.Operation == requests.Find:
		return h.findResult(target, response), nil
	}
	property := difference(target.Set, propertiesOf([]byte(target.Compare)), propertiesOf(response.Body))
	switch {
	case property == "":
		return written(), nil
	case requests.IsIdempotent(h.State, target.Set, &target.Hint):
		// Sending it again does no harm: the service recognizes the RequestID.
		return requeue(target.Hint.ForStep(requests.StepInsert)), nil
	}
	return unknownInsert(target, "the entity exists, but its "+property+
		" differs from the record: another client may have created it, or changed it since"), nil
}

// unknownInsert rejects a row because its insert may have been applied.
func unknownInsert(target *requests.Target, reason string) wit.RowResult {
	return reject(&wit.Error{Kind: wit.ErrorConflict, Message: target.Name() + ": " + reason})
}

// findResult returns the result of an insert whose entity was searched by a filter: it was written if a found entity
// has the values that were sent, except for key properties that the service may have replaced.
func (h responseHandler) findResult(target *requests.Target, response *odataerror.Response) wit.RowResult {
	parsed, _ := document.Parse(response.Body)
	entities, ok := document.Items(parsed)
	if root, err := jsontext.Parse(response.Body); err == nil && len(entities) == 0 {
		ok = ok && root.Has(h.Dialect.Root) // an empty list without it may come from a gateway
	}
	if h.isNotFound(response) || !ok {
		return unknownInsert(target, "expected a list of entities, found something else")
	}
	keys := target.Set.Type.Key
	// A service that numbers entities replaces their only key property, whatever was sent.
	replacesKeys := len(keys) == 1 || h.OfSet(target.Set, target.Hint.Known).ReplacesKeys
	sent := propertiesOf([]byte(target.Compare))
	sent.Members = slices.DeleteFunc(sent.Members, func(member jsontext.Member) bool {
		return slices.Contains(keys, member.Name) && (replacesKeys || encode.IsInitial(member.Value.Text))
	})
	property := ""
	for i := range entities {
		if property = difference(target.Set, sent, entities[i]); property == "" {
			return written()
		}
	}
	if property != "" {
		return unknownInsert(target, "none of the entities found matches the record, their "+property+
			" differs: another client may have created or changed them, or the service ignores $filter")
	}
	hint := target.Hint.ForStep(requests.StepInsert)
	hint.OwnChangeset = true // its changeset may have failed because of another row
	return requeue(hint)
}

// hasInitialKey reports whether the service may have replaced a key property that the record leaves initial.
func hasInitialKey(target *requests.Target) bool {
	literals, _ := target.Set.KeyLiterals(target.Predicate)
	return slices.ContainsFunc(literals, func(literal uri.Literal) bool { return encode.IsInitial(literal.Text) })
}

// difference returns the name of a property with different values, "document" if nothing was comparable, "" if all
// values are equal, or nothing was sent. It compares only scalars that both entities contain, by value: 1.50 equals
// 1.5, and trailing blanks are ignored.
func difference(set *entityset.EntitySet, sent, found jsontext.Value) string {
	isComparable := sent.Kind == jsontext.Object && found.Kind == jsontext.Object && len(sent.Members) == 0
	isNested := func(parsed jsontext.Value) bool {
		return parsed.Kind == jsontext.Object || parsed.Kind == jsontext.Array
	}
	for _, member := range sent.Members {
		foundValue := found.Get(member.Name)
		if !found.Has(member.Name) || isNested(member.Value) || isNested(foundValue) {
			continue
		}
		if !sameValue(set, member.Name, member.Value, foundValue) {
			return member.Name
		}
		isComparable = true
	}
	if !isComparable {
		return "document"
	}
	return ""
}

// propertiesOf returns the properties of one entity, nothing for a feed or an invalid document.
func propertiesOf(body []byte) jsontext.Value {
	parsed, err := document.Parse(body)
	if _, isFeed := document.Items(parsed); err != nil || isFeed {
		return jsontext.Value{}
	}
	parsed.Members = slices.DeleteFunc(parsed.Members,
		func(member jsontext.Member) bool { return member.Name == "__metadata" })
	return parsed
}

// sameValue reports whether two values of a property are the same, however they are written.
func sameValue(set *entityset.EntitySet, name string, sent, found jsontext.Value) bool {
	isScalar := func(parsed jsontext.Value) bool {
		return parsed.Kind == jsontext.String || parsed.Kind == jsontext.Number
	}
	switch {
	case sent.Kind == jsontext.Null || found.Kind == jsontext.Null: // null equals an empty text and false
		return sent.Text == "" && found.Text == "" && sent.Kind != jsontext.True && found.Kind != jsontext.True
	case sent.Kind == found.Kind && sent.Text == found.Text:
		return true
	case !isScalar(sent) || !isScalar(found):
		return false
	}
	normalize := func(text string) string { // /Date(0+0000)/ equals /Date(0)/
		return strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(text, "+0000)/"), ")/"), " ")
	}
	sentText := normalize(sent.Text)
	foundText := normalize(found.Text)
	property := set.Type.Property(name)
	if sentText == foundText || property == nil || property.Type.Primitive == edm.String {
		return sentText == foundText
	}
	switch property.Type.Primitive {
	case edm.Single: // services differ in the number of digits
		x, errX := strconv.ParseFloat(sentText, 32)
		y, errY := strconv.ParseFloat(foundText, 32)
		return errX == nil && errY == nil && x == y
	case edm.Decimal:
		if !areShortNumbers(sentText, foundText) {
			return false
		}
	}
	order, ok := value.Compare(property.Type.Primitive, sentText, foundText)
	return ok && order == 0
}

// areShortNumbers reports whether the texts are numbers that are short enough to be compared exactly.
func areShortNumbers(texts ...string) bool {
	for _, text := range texts {
		mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
		if strings.Trim(mantissa, "+-.0123456789") != "" || strings.Trim(exponent, "+-0123456789") != "" ||
			len(exponent) > 4 || len(text) > 400 {
			return false
		}
	}
	return true
}
