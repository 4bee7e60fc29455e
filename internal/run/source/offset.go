package source

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Fields that the host adds to a plugin's offset.
const (
	// fieldRecord is the index of the last row of the page that was delivered, with all rows before it.
	fieldRecord = "record"
	// fieldKeys is the digest of the keys up to that row.
	fieldKeys = "keys"
	// fieldFingerprint identifies the query of the offset.
	fieldFingerprint = "fingerprint"
	// fieldSubscription is [notificationQueue.subscriptionDigest].
	fieldSubscription = "subscription"
	// fieldBeginning is only in the offset that is stored before the first row: the digest of the request.
	fieldBeginning = "beginning"
)

// position is a position in a feed: between pages, or after a row of a page.
type position struct {
	fields  []wit.OffsetEntry // the plugin's
	midPage bool              // the position is after row of the page that fields identify
	row     uint32            // the index of the last row that was delivered completely
	keys    digest            // of the keys up to that row
	// extraRows is how many rows with the next index were delivered, too, extraKeys the digest including these. They
	// are not stored: after a crash, the other rows of that index would be lost (RATIONALE.md P5).
	extraRows int
	extraKeys digest
	// topic is the topic for all rows of the current load, empty between loads. It is stored as a part of the
	// fingerprint.
	topic string
	// beginning is the digest of the first request of a load, until an offset after its rows is stored. Then some of
	// these rows may have been delivered. It is empty otherwise.
	beginning string
}

const topicPart = ";topic="

func withTopic(fingerprint, topic string) string {
	if topic == "" {
		return fingerprint
	}
	return fingerprint + topicPart + topic
}

// Fingerprint returns the fingerprint of a stored offset, and whether it has one.
func Fingerprint(stored []wit.OffsetEntry) (fingerprint string, ok bool) {
	_, value, _, err := parsePosition(stored)
	if err != nil || value == nil {
		return "", false
	}
	return *value, true
}

// FingerprintDiff returns the names of the parts by which the fingerprints of a stored offset and a feed differ. It
// returns nil if they match or the offset has no fingerprint.
func FingerprintDiff(stored []wit.OffsetEntry, spec *wit.Feed) (names []string) {
	prior, ok := Fingerprint(stored)
	current := spec.Fingerprint
	if strings.Contains(prior, topicPart) {
		current = withTopic(current, spec.Topic)
	}
	if !ok || prior == current {
		return nil
	}
	parts := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ';' || unicode.IsSpace(r) })
	}
	countDiff := map[string]int{} // occurrences in the stored one minus those in the feed's
	for _, part := range parts(prior) {
		countDiff[part]++
	}
	for _, part := range parts(current) {
		countDiff[part]--
	}
	for part, n := range countDiff {
		if n != 0 {
			name, _, _ := strings.Cut(part, "=")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parsePosition is the reverse of [feed.offsetAt]. fingerprint is nil if the offset has none.
func parsePosition(stored []wit.OffsetEntry) (p position, fingerprint *string, subscription string, err error) {
	p.fields = []wit.OffsetEntry{}
	var hasRow, hasKeys bool
	for _, f := range stored {
		v := f.Value
		switch f.Name {
		case fieldRecord:
			if v.Integer == nil || *v.Integer < 0 || *v.Integer > math.MaxUint32 {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected a row number", f.Name)
			}
			p.row = uint32(*v.Integer)
			hasRow = true
		case fieldKeys:
			if v.String == nil || !p.keys.parse(*v.String) {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected a digest of 16 hexadecimal digits",
					f.Name)
			}
			hasKeys = true
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
		case fieldBeginning:
			if v.String == nil {
				return p, nil, "", fmt.Errorf("stored offset, field %s: expected a text", f.Name)
			}
			p.beginning = *v.String
		default:
			p.fields = append(p.fields, f)
		}
	}
	// An index without a digest cannot be verified: the page is read again from its start.
	p.midPage = hasRow && hasKeys
	return p, fingerprint, subscription, nil
}

// PluginFields returns the plugin's fields of a stored offset and checks the host's fields.
func PluginFields(stored []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
	p, _, _, err := parsePosition(stored)
	return p.fields, err
}

func reservedField(fields []wit.OffsetEntry) (string, bool) {
	for _, f := range fields {
		switch f.Name {
		case fieldRecord, fieldKeys, fieldFingerprint, fieldSubscription, fieldBeginning:
			return f.Name, true
		}
	}
	return "", false
}

func sameFields(a, b []wit.OffsetEntry) bool {
	return slices.EqualFunc(a, b, func(a, b wit.OffsetEntry) bool {
		x := a.Value
		y := b.Value
		return a.Name == b.Name && (x.Null == nil) == (y.Null == nil) && samePointee(x.Boolean, y.Boolean) &&
			samePointee(x.Integer, y.Integer) && samePointee(x.Real, y.Real) && samePointee(x.String, y.String)
	})
}

func samePointee[T comparable](a, b *T) bool { return a == b || (a != nil && b != nil && *a == *b) }

// digest is the FNV-1a hash of the lengths and bytes of row keys, in order. It detects that a service responds with
// other rows the second time; it does not resist an attacker.
type digest uint64

const (
	emptyDigest digest = 14695981039346656037 // FNV's offset basis
	fnvPrime    uint64 = 1099511628211
)

// addRow adds the length and bytes of the key of a row, or of its value if it has no key.
func (d *digest) addRow(b *record.Batch, r *wit.Row) {
	value := r.Key
	if value.Encoding == wit.Absent {
		value = r.Value
	}
	h := uint64(*d)
	for n := value.Size; ; n >>= 8 { // its bytes, the lowest first
		h = (h ^ uint64(n&0xff)) * fnvPrime
		if n < 256 {
			break
		}
	}
	*d = digest(h)
	d.add(b.Bytes(value))
}

func digestOf(text string) string {
	d := emptyDigest
	d.add([]byte(text))
	return d.String()
}

func (d *digest) add(text []byte) {
	h := uint64(*d)
	for _, c := range text {
		h = (h ^ uint64(c)) * fnvPrime
	}
	*d = digest(h)
}

func (d digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

func (d *digest) parse(s string) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	*d = digest(n)
	return err == nil && len(s) == 16
}

// describeDiff returns the first part by which two fingerprints differ, or both fingerprints if all parts are equal.
func describeDiff(stored, current string) string {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("\n;|, ", r) })
	}
	storedParts := split(stored)
	currentParts := split(current)
	for i := range max(len(storedParts), len(currentParts)) {
		var storedPart, currentPart string
		if i < len(storedParts) {
			storedPart = strings.TrimSpace(storedParts[i])
		}
		if i < len(currentParts) {
			currentPart = strings.TrimSpace(currentParts[i])
		}
		if storedPart != currentPart {
			return fmt.Sprintf("stored %q, now %q", storedPart, currentPart)
		}
	}
	return fmt.Sprintf("stored %q, now %q", stored, current)
}

func describeOffset(fields []wit.OffsetEntry) string {
	b := []byte{}
	for i, f := range fields {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, f.Name...), '=')
		switch v := f.Value; {
		case v.String != nil:
			b = append(b, *v.String...)
		case v.Integer != nil:
			b = fmt.Append(b, *v.Integer)
		case v.Real != nil:
			b = fmt.Append(b, *v.Real)
		case v.Boolean != nil:
			b = fmt.Append(b, *v.Boolean)
		default:
			b = append(b, "null"...)
		}
	}
	return string(b)
}
