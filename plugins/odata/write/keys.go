package write

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// keyValue is the value of a key property.
type keyValue struct {
	property *edm.Property
	value    value.Converted
}

// keys are the values of all key properties that a struct has. scalarKey: where there is only one, a scalar may stand
// for the struct.
func (of *structure) keys(m *manner, from *field, scalarKey bool) ([]keyValue, error) {
	var keys []keyValue
	for _, name := range of.Key {
		property := of.properties[name]
		if property == nil {
			return nil, fault.Data("the key property " + name + " of " + of.QualifiedName() +
				" isn't declared in $metadata")
		}
		k, ok, err := of.key(m, property, from, scalarKey)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fault.Data("the key needs property " + name + " of " + of.QualifiedName() +
				": expected a struct of all key properties")
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fault.Data(of.QualifiedName() + " has no key")
	}
	return keys, nil
}

// key is the value of a key property that a struct has; ok is false where it has none. scalarKey is as for
// [manner.keys].
func (of *structure) key(m *manner, property *edm.Property, from *field, scalarKey bool) (k keyValue, ok bool,
	err error) {
	member, ok := from.member(property.Name)
	if !ok && scalarKey && len(of.Key) == 1 {
		c := from.members()
		if c.next(); c.bad {
			member, ok = *from, true
		}
	}
	if !ok || !member.present {
		return k, false, nil
	}
	k.property = property
	if k.value, err = convert(m, property, &member); err != nil {
		return k, false, fault.Data("key property " + property.Name + ": " + err.Error())
	}
	return k, true, nil
}

// same reports whether two values of a key property are the same to a service.
func (k keyValue) same(other keyValue) bool {
	return canonicalLiteral(k.value.Type, k.value.Text) == canonicalLiteral(other.value.Type, other.value.Text)
}

// predicateOf is that of an entity in its address, "" without keys.
func predicateOf(keys []keyValue) string {
	if len(keys) == 0 {
		return ""
	}
	var few [4]uri.Key
	var memory [64]byte
	literals := few[:0]
	for i := range keys {
		k := &keys[i]
		literals = append(literals, uri.Key{Name: k.property.Name,
			Literal: uri.Literal{Type: k.value.Type, Text: k.value.Text}})
	}
	return string(uri.AppendPredicate(memory[:0], literals))
}

// laneOf is the predicate of a key in its canonical form.
func laneOf(keys []keyValue, predicate string) string {
	if !slices.ContainsFunc(keys, hasSpellings) {
		return predicate
	}
	same := make([]keyValue, len(keys))
	for i, k := range keys {
		k.value.Text = canonicalLiteral(k.value.Type, k.value.Text)
		same[i] = k
	}
	return predicateOf(same)
}

// canonicalLiteral is the canonical form of a key property's value: equal for all spellings that a service may take for
// the same. These are GUIDs of either case, decimals with and without a sign and zeros that say nothing, times of day
// with and without parts that are 0, and texts as [canonicalText] has them.
func canonicalLiteral(t edm.Primitive, text string) string {
	switch {
	case t == edm.Guid:
		return strings.ToLower(text)
	case t == edm.Decimal:
		return value.SameDecimal(text)
	case t == edm.Time:
		return value.SameTime(text)
	case t == edm.String:
		return canonicalText(text)
	}
	return text
}

// canonicalText is the canonical form of a text in a key: equal for all spellings that a service may take for the same.
func canonicalText(text string) string {
	return strings.ToUpper(strings.TrimLeft(strings.TrimSpace(text), "0"))
}

// hasSpellings tells whether services may take another spelling of a key for the same: of texts, SAP's conversion exits
// pad with zeros and change case, and databases cut blanks.
func hasSpellings(k keyValue) bool {
	switch k.value.Type {
	case edm.Guid, edm.Decimal, edm.Time:
		return true
	case edm.String:
		text := k.value.Text
		if text == "" || text[0] == '0' || text[0] == ' ' || text[len(text)-1] == ' ' {
			return true
		}
		for i := range len(text) {
			if c := text[i]; c >= 'a' && c <= 'z' || c < ' ' || c >= 0x80 {
				return true
			}
		}
	}
	return false
}

// initial tells whether the value of a key property says nothing, as those of entities say that the service is to
// number.
func initial(text string) bool {
	return strings.Trim(text, "0-. ") == "" || strings.HasPrefix(text, "$")
}

// anyInitial reports whether a value of a key is initial.
func anyInitial(keys []keyValue) bool {
	return slices.ContainsFunc(keys, func(k keyValue) bool { return initial(k.value.Text) })
}
