package source

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Fields that the host adds to a plugin's offset.
const (
	// fieldRecord is the number of the last row of the page that was delivered, with all rows before it.
	fieldRecord = "record"
	// fieldKeys is the digest of the keys of the rows up to that one.
	fieldKeys = "keys"
	// fieldFingerprint is what the offset belongs to (P7).
	fieldFingerprint = "fingerprint"
	// fieldSubscription is which subscriptions notified of what happened since what was read, see
	// [wakes.subscriptionDigest].
	fieldSubscription = "subscription"
)

// position is a position in a feed: between pages, or after a row of one.
type position struct {
	// fields are the plugin's.
	fields []wit.OffsetEntry
	// inside: after row `row` of the page that fields ask for; `keys` is the digest of the keys up to there.
	inside bool
	row    uint32
	keys   digest
	// beyond is how many rows with the next number were delivered too, beyondKeys the digest with them. It is not
	// stored: offsets move between numbers only (P5).
	beyond     int
	beyondKeys digest
	// topic is where the rows before it went, while more of what they belong to is to come; "" between two loads. It is
	// stored as a part of the fingerprint: rows of one load stand in one topic.
	topic string
}

// topicPart begins the part of a stored fingerprint that names the topic.
const topicPart = ";topic="

// belonging is a fingerprint that names the topic, too; "" is none.
func belonging(fingerprint, topic string) string {
	if topic == "" {
		return fingerprint
	}
	return fingerprint + topicPart + topic
}

// stored is the place as it is stored.
func (p *position) stored(fingerprint, subscription string) []wit.OffsetEntry {
	fields := slices.Clone(p.fields)
	if p.inside {
		fields = append(fields, wit.IntegerEntry(fieldRecord, int64(p.row)),
			wit.StringEntry(fieldKeys, p.keys.String()))
	}
	if subscription != "" {
		fields = append(fields, wit.StringEntry(fieldSubscription, subscription))
	}
	return append(fields, wit.StringEntry(fieldFingerprint, belonging(fingerprint, p.topic)))
}

// Fingerprint is what a stored offset belongs to; false: it does not say.
func Fingerprint(stored []wit.OffsetEntry) (fingerprint string, some bool) {
	_, text, _, err := positionOf(stored)
	if err != nil || text == nil {
		return "", false
	}
	return *text, true
}

// FingerprintDiff names, in the words of the plugin, what a stored offset belongs to and a feed does not (P7); none
// where it is the feed's, or does not say.
func FingerprintDiff(stored []wit.OffsetEntry, w *wit.Feed) (names []string) {
	was, some := Fingerprint(stored)
	is := w.Fingerprint
	if strings.Contains(was, topicPart) {
		is = belonging(is, w.Topic)
	}
	if !some || was == is {
		return nil
	}
	parts := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ';' || unicode.IsSpace(r) })
	}
	more := map[string]int{} // how often the stored one has a part more than the feed's
	for _, part := range parts(was) {
		more[part]++
	}
	for _, part := range parts(is) {
		more[part]--
	}
	for part, n := range more {
		if n != 0 {
			name, _, _ := strings.Cut(part, "=")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// positionOf reads a stored offset. fingerprint is nil where the offset has none: somebody else has written it.
func positionOf(stored []wit.OffsetEntry) (p position, fingerprint *string, subscription string, err error) {
	p.fields = []wit.OffsetEntry{}
	row, keys := false, false
	for _, f := range stored {
		v := f.Value
		switch f.Name {
		case fieldRecord:
			if v.Integer == nil || *v.Integer < 0 || *v.Integer > 1<<32-1 {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected the number of a row", f.Name)
			}
			p.row, row = uint32(*v.Integer), true
		case fieldKeys:
			if v.String == nil || !p.keys.parse(*v.String) {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected a digest of 16 hexadecimal digits",
					f.Name)
			}
			keys = true
		case fieldFingerprint:
			if v.String == nil {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected a text", f.Name)
			}
			fingerprint = v.String
		case fieldSubscription:
			if v.String == nil {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected a text", f.Name)
			}
			subscription = *v.String
		default:
			p.fields = append(p.fields, f)
		}
	}
	// A number without a digest says nothing that can be verified (P2): the page comes again from its start.
	p.inside = row && keys
	return p, fingerprint, subscription, nil
}

// PluginFields are the fields of a stored offset that the plugin knows: those of the host are checked and left out.
func PluginFields(stored []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
	p, _, _, err := positionOf(stored)
	return p.fields, err
}

// reservedField is the first of a plugin's fields that has one of the host's names.
func reservedField(fields []wit.OffsetEntry) (string, bool) {
	for _, f := range fields {
		switch f.Name {
		case fieldRecord, fieldKeys, fieldFingerprint, fieldSubscription:
			return f.Name, true
		}
	}
	return "", false
}

func sameFields(a, b []wit.OffsetEntry) bool {
	return slices.EqualFunc(a, b, func(a, b wit.OffsetEntry) bool {
		return a.Name == b.Name &&
			sameScalar(a.Value, b.Value)
	})
}

func sameScalar(a, b wit.Scalar) bool {
	return (a.Null == nil) == (b.Null == nil) && samePointee(a.Boolean, b.Boolean) &&
		samePointee(a.Integer, b.Integer) &&
		samePointee(a.Real, b.Real) && samePointee(a.String, b.String)
}

func samePointee[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// digest is the hash of the keys of rows, in order: FNV-1a over lengths and bytes. It guards against a service that
// answers otherwise the second time, not against anybody who wants it to collide.
type digest uint64

const noRows digest = 14695981039346656037

func (d *digest) row(b *record.Batch, r *wit.Row) {
	value := r.Key
	if value.Encoding == wit.Absent {
		value = r.Value
	}
	h := uint64(*d)
	for n := value.Size; ; n >>= 8 {
		h = (h ^ uint64(n&0xff)) * 1099511628211
		if n < 256 {
			break
		}
	}
	*d = digest(h)
	d.add(b.Bytes(value))
}

// digestOf is the digest of a text.
func digestOf(text string) string {
	d := noRows
	d.add([]byte(text))
	return d.String()
}

// add goes on with a text.
func (d *digest) add(text []byte) {
	h := uint64(*d)
	for _, c := range text {
		h = (h ^ uint64(c)) * 1099511628211
	}
	*d = digest(h)
}

func (d digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

func (d *digest) parse(s string) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	*d = digest(n)
	return err == nil && len(s) == 16
}

// difference names where two fingerprints part: the line or the part between separators that is not the same.
func difference(stored, now string) string {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("\n;|, ", r) })
	}
	a, b := split(stored), split(now)
	for i := range max(len(a), len(b)) {
		var was, is string
		if i < len(a) {
			was = strings.TrimSpace(a[i])
		}
		if i < len(b) {
			is = strings.TrimSpace(b[i])
		}
		if was != is {
			return fmt.Sprintf("stored %q, now %q", was, is)
		}
	}
	return fmt.Sprintf("stored %q, now %q", stored, now)
}
