package encode

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// KeyValue is the value of a key property.
type KeyValue struct {
	Property *edm.Property
	Value    value.Converted
}

// Equal reports whether a service may treat two values of a key property as the same.
func (k KeyValue) Equal(other KeyValue) bool {
	return canonicalLiteral(k.Value.Type, k.Value.Text) == canonicalLiteral(other.Value.Type, other.Value.Text)
}

// KeySource is the part of a record that contains the key of the entity.
type KeySource int

const (
	RecordValue KeySource = iota
	RecordKey             // may be the value of the only key property, instead of a struct
)

// AppendKeyValues appends the values of the key properties. With an error it returns no keys.
func (t *Type) AppendKeyValues(keys []KeyValue, config *sinkconfig.Config, rowValue *rowvalue.Value,
	source KeySource) ([]KeyValue, error) {
	for i, name := range t.Key {
		property := t.keys[i]
		if property == nil {
			return nil, odataerror.DataError("the key property " + name + " of " + t.QualifiedName() +
				" isn't declared in $metadata")
		}
		keys = append(keys, KeyValue{})
		ok, err := t.ReadKeyValue(&keys[len(keys)-1], config, property, rowValue, source)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, odataerror.DataError("the key needs property " + name + " of " + t.QualifiedName() +
				": expected a struct of all key properties")
		}
	}
	if len(keys) == 0 {
		return nil, odataerror.DataError(t.QualifiedName() + " has no key")
	}
	return keys, nil
}

// ReadKeyValue sets key to the value of one key property. ok is false if the value does not contain it. The key of a
// draft is an error.
func (t *Type) ReadKeyValue(key *KeyValue, config *sinkconfig.Config, property *edm.Property, rowValue *rowvalue.Value,
	source KeySource) (ok bool, err error) {
	var member rowvalue.Value
	ok = rowValue.Field(&member, property.Name)
	if property == t.Active && !member.Present { // drafts are not written
		*key = KeyValue{Property: property, Value: value.Converted{Type: edm.Boolean, Text: "true"}}
		return true, nil
	}
	if !ok && source == RecordKey && t.hasOneKey() {
		var fields rowvalue.Cursor
		rowValue.Fields(&fields)
		fields.Next()
		if fields.Mismatch { // the record key is not a struct or map
			member = *rowValue
			ok = true
		}
	}
	if !ok || !member.Present {
		return false, nil
	}
	key.Property = property
	if err = Convert(&key.Value, config, property, &member); err != nil {
		return false, odataerror.DataError("key property " + property.Name + ": " + err.Error())
	}
	if property == t.Active && key.Value.Text != "true" {
		return false, t.draftError()
	}
	return true, nil
}

// Predicate returns the key predicate of an entity, "" without keys.
func Predicate(dialect *edm.Dialect, keys []KeyValue) string {
	return string(AppendPredicate(nil, dialect, keys))
}

// AppendPredicate appends the result of [Predicate].
func AppendPredicate(dst []byte, dialect *edm.Dialect, keys []KeyValue) []byte {
	for i := range keys {
		literal := uri.Literal{Type: keys[i].Value.Type, TypeName: keys[i].Property.Type.Name, Text: keys[i].Value.Text}
		dst = uri.AppendKey(dst, dialect, i, len(keys), keys[i].Property.Name, literal)
	}
	return dst
}

// CanonicalPredicate returns the same text for all keys that a service may treat as the same.
func CanonicalPredicate(dialect *edm.Dialect, keys []KeyValue, predicate string) string {
	hasOtherSpellings := false
	for i := range keys {
		hasOtherSpellings = hasOtherSpellings || keys[i].hasOtherSpellings()
	}
	if !hasOtherSpellings {
		return predicate
	}
	canonical := make([]KeyValue, len(keys))
	for i, key := range keys {
		key.Value.Text = canonicalLiteral(key.Value.Type, key.Value.Text)
		canonical[i] = key
	}
	return Predicate(dialect, canonical)
}

// canonicalLiteral returns the same text for all literals that a service may treat as the same: GUIDs of either case,
// decimals with other signs and zeros, times with and without zero parts, and [CanonicalText].
func canonicalLiteral(primitive edm.Primitive, text string) string {
	switch {
	case primitive == edm.Guid:
		return strings.ToLower(text)
	case primitive == edm.Decimal:
		return value.NormalizeDecimal(text)
	case primitive == edm.Time:
		return value.NormalizeTime(text)
	case primitive == edm.String:
		return CanonicalText(text)
	}
	return text
}

// CanonicalText ignores case, leading zeros and surrounding blanks.
func CanonicalText(text string) string {
	return strings.ToUpper(strings.TrimLeft(strings.TrimSpace(text), "0"))
}

// hasOtherSpellings reports whether [canonicalLiteral] may change the value, or another spelling of it to the value.
func (k *KeyValue) hasOtherSpellings() bool {
	switch k.Value.Type {
	case edm.Guid, edm.Decimal, edm.Time:
		return true
	case edm.String:
		keyText := k.Value.Text
		if keyText == "" || keyText[0] == '0' || keyText[0] == ' ' || keyText[len(keyText)-1] == ' ' {
			return true
		}
		for i := range len(keyText) {
			if c := keyText[i]; (c >= 'a' && c <= 'z') || c < ' ' || c >= 0x80 {
				return true
			}
		}
	}
	return false
}

// IsInitial reports whether a service may replace a key value, such as "0", "" or "$1", by a number of its own.
func IsInitial(text string) bool {
	return strings.Trim(text, "0-. ") == "" || strings.HasPrefix(text, "$")
}

// HasInitial reports whether any key value is initial.
func HasInitial(keys []KeyValue) bool {
	return slices.ContainsFunc(keys, func(key KeyValue) bool { return IsInitial(key.Value.Text) })
}
