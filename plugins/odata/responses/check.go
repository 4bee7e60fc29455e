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

func (s handler) checkResult(t *requests.Target, response *wit.Response) (wit.RowResult, error) {
	if !isSuccess(response.Status) && (t.Operation == requests.ProbeService || !s.isNotFound(response)) {
		return classify(odataerror.FromResponse(t.Name(), response, response.Body), response)
	}
	unknown := func(why string) (wit.RowResult, error) {
		return reject(&wit.Error{Kind: wit.ErrorConflict, Message: t.Name() + ": " + why}), nil
	}
	byKey := t.Operation == requests.LookUp || t.Operation == requests.LookUpForUpsert
	filter := sinkconfig.NameCheckFilter + " is not set"
	switch {
	case t.Operation == requests.LookUpForUpsert:
		filter = "upserts are looked up by key only, not by " + sinkconfig.NameCheckFilter
	case s.CheckFilter != "":
		filter = sinkconfig.NameCheckFilter + " needs a value that the record does not have"
	}
	switch {
	case byKey && s.isNotFound(response) && s.OfSet(t.Set, t.Hint.Known).Numbers:
		return unknown("no entity found, and another response has shown that the service replaces keys; " + filter)
	case byKey && s.isNotFound(response) && hasInitialKey(t):
		return unknown("no entity found, but the service may have replaced the record's initial key; " +
			filter)
	case t.Operation == requests.ProbeService, t.Operation != requests.Find && s.isNotFound(response):
		return requeue(t.Hint.ForStep(requests.StepInsert)), nil
	case t.Operation == requests.LookUpForUpsert:
		return requeue(t.Hint.ForStep(requests.StepUpdate)), nil
	case t.Operation == requests.Find:
		v, _ := document.Parse(response.Body)
		entities, ok := document.Items(v)
		if root, err := jsontext.Parse(response.Body); err == nil && len(entities) == 0 {
			ok = ok && root.Has("d") // an empty list without "d" may come from a gateway
		}
		if s.isNotFound(response) || !ok {
			return unknown("expected a list of entities, found something else")
		}
		return s.findResult(t, entities, unknown)
	}
	field := difference(t.Set, propertiesOf([]byte(t.Compare)), propertiesOf(response.Body))
	switch {
	case field == "":
		return written(), nil
	case requests.IsIdempotent(s.State, t.Set, t.Hint):
		// the RequestID decides
		return requeue(t.Hint.ForStep(requests.StepInsert)), nil
	}
	return unknown("the entity exists, but its " + field + " differs from the record: another client may have " +
		"created it, or changed it since")
}

// findResult compares found entities, except for key properties that the service may have numbered.
func (s handler) findResult(t *requests.Target, entities []jsontext.Value,
	unknown func(string) (wit.RowResult, error)) (wit.RowResult, error) {
	sent := propertiesOf([]byte(t.Compare))
	sent.Members = slices.DeleteFunc(sent.Members, func(m jsontext.Member) bool {
		return slices.Contains(t.Set.Type.Key, m.Name) && (len(t.Set.Type.Key) == 1 ||
			s.OfSet(t.Set, t.Hint.Known).Numbers || encode.IsInitial(m.Value.Text))
	})
	field := ""
	for i := range entities {
		if field = difference(t.Set, sent, entities[i]); field == "" {
			return written(), nil
		}
	}
	if field != "" {
		return unknown("none of the entities found matches the record, their " + field +
			" differs: another client may " +
			"have created or changed them, or the service ignores $filter")
	}
	t.Hint.OwnChangeset = true // its changeset may have failed because of another row
	return requeue(t.Hint.ForStep(requests.StepInsert)), nil
}

func hasInitialKey(t *requests.Target) bool {
	values, _ := t.Set.KeyLiterals(t.Predicate)
	return slices.ContainsFunc(values, func(v uri.Literal) bool { return encode.IsInitial(v.Text) })
}

// difference returns a property with different values, "document" if nothing was comparable, "" if all are equal. Only
// scalars that both contain are compared, by value: 1.50 equals 1.5, and trailing blanks are ignored.
func difference(set *entityset.EntitySet, sent, found jsontext.Value) string {
	compared := sent.Kind == jsontext.Object && found.Kind == jsontext.Object && len(sent.Members) == 0
	nested := func(v jsontext.Value) bool { return v.Kind == jsontext.Object || v.Kind == jsontext.Array }
	for _, m := range sent.Members {
		other := found.At(m.Name)
		if !found.Has(m.Name) || nested(m.Value) || nested(other) {
			continue
		}
		if !sameValue(set, m.Name, m.Value, other) {
			return m.Name
		}
		compared = true
	}
	if !compared {
		return "document"
	}
	return ""
}

func propertiesOf(body []byte) jsontext.Value {
	v, err := document.Parse(body)
	if _, feed := document.Items(v); err != nil || feed {
		return jsontext.Value{}
	}
	v.Members = slices.DeleteFunc(v.Members, func(m jsontext.Member) bool { return m.Name == "__metadata" })
	return v
}

func sameValue(set *entityset.EntitySet, name string, t, b jsontext.Value) bool {
	scalar := func(v jsontext.Value) bool { return v.Kind == jsontext.String || v.Kind == jsontext.Number }
	switch {
	case t.Kind == jsontext.Null || b.Kind == jsontext.Null:
		return t.Text == "" && b.Text == "" && t.Kind != jsontext.True && b.Kind != jsontext.True
	case t.Kind == b.Kind && t.Text == b.Text:
		return true
	case !scalar(t) || !scalar(b):
		return false
	}
	plain := func(text string) string { // JSON has milliseconds, with or without a zone
		return strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(text, "+0000)/"), ")/"), " ")
	}
	one, other := plain(t.Text), plain(b.Text)
	p := set.Type.Property(name)
	if one == other || p == nil || p.Type.Primitive == edm.String {
		return one == other
	}
	switch p.Type.Primitive {
	case edm.Single: // services differ in the number of digits
		x, errX := strconv.ParseFloat(one, 32)
		y, errY := strconv.ParseFloat(other, 32)
		return errX == nil && errY == nil && x == y
	case edm.Decimal:
		if !plainNumbers(one, other) {
			return false
		}
	}
	order, ok := value.Compare(p.Type.Primitive, one, other)
	return ok && order == 0
}

func plainNumbers(texts ...string) bool {
	for _, t := range texts {
		mantissa, exponent, _ := strings.Cut(strings.ToLower(t), "e")
		if strings.Trim(mantissa, "+-.0123456789") != "" || strings.Trim(exponent, "+-0123456789") != "" ||
			len(exponent) > 4 || len(t) > 400 {
			return false
		}
	}
	return true
}
