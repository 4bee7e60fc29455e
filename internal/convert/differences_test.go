package convert

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
)

// rewriting is a document that Kafka's JsonConverter and ours read and write again.
type rewriting struct {
	reader   string // the settings for reading
	writer   string // the settings for writing
	document string
}

// logical begins the names of logical types.
const logical = "org.apache.kafka.connect.data."

// rewrite returns the document as our converters write it, or "!" and the class of the error.
func (r rewriting) rewrite(t *testing.T) string {
	t.Helper()
	text, err := r.tryRewrite(t.Context())
	if err != nil {
		return "!" + fault.Class(err)
	}
	return text
}

// tryRewrite returns the document as our converters write it, or "(null)".
func (r rewriting) tryRewrite(ctx context.Context) (string, error) {
	b := &record.Batch{Registry: record.NewRegistry()}
	reader, err := New(ClassJSON, settingsOf(r.reader), Options{Schemas: b.Registry})
	if err != nil {
		return "", err
	}
	writer, err := New(ClassJSON, settingsOf(r.writer), Options{Schemas: b.Registry})
	if err != nil {
		return "", err
	}
	return r.rewriteWith(ctx, reader, writer, b)
}

// rewriteWith returns the document as these converters write it.
func (r rewriting) rewriteWith(ctx context.Context, reader, writer Converter, b *record.Batch) (string, error) {
	d, err := reader.Decode(ctx, "t", []byte(r.document), b)
	if err != nil {
		return "", err
	}
	out, isNull, err := writer.Encode(ctx, nil, math.MaxInt32, "t", b, d)
	if err == nil && isNull {
		return "(null)", nil
	}
	return string(out), err
}

func settingsOf(text string) map[string]string {
	settings := map[string]string{}
	for pair := range strings.SplitSeq(text, " ") {
		name, value, _ := strings.Cut(pair, "=")
		settings[name] = value
	}
	return settings
}

// wantedCase is a line of differences.tsv.
type wantedCase struct {
	rewriting
	name  string
	kafka string
	ours  string
}

// differences returns the wanted differences between our JsonConverter and Kafka's.
func differences(t *testing.T) (cases []wantedCase) {
	t.Helper()
	for _, row := range readTSV(t, "differences.tsv", 6) {
		cases = append(cases, wantedCase{
			rewriting: rewriting{reader: row[1], writer: row[2], document: row[3]},
			name:      row[0],
			kafka:     row[4],
			ours:      row[5],
		})
	}
	return cases
}

// Every wanted difference occurs, and RATIONALE.md explains it.
func TestWantedDifferences(t *testing.T) {
	rationale, err := os.ReadFile("../../RATIONALE.md")
	require.NoError(t, err)
	words := strings.Join(strings.Fields(string(rationale)), " ")
	for _, c := range differences(t) {
		if got := c.rewrite(t); got != c.ours || got == c.kafka {
			t.Errorf("%s: %s: expected %s, and something else than Kafka's %s, found %s", c.name, c.document, c.ours,
				c.kafka, got)
		}
		assert.True(t, strings.Contains(words, c.name), "RATIONALE.md does not name %q", c.name)
	}
}

// documents.tsv contains ordinary and odd documents of all types, each with the result of Kafka's converter. Our result
// is equal, or differs as the row specifies.
func TestDocumentsMatchKafka(t *testing.T) {
	for _, row := range readTSV(t, "documents.tsv", 5) {
		w := storedDocument(t, row)
		if verdict, ours := w.compare(t.Context(), row[4]); verdict != row[3] {
			t.Errorf("reader %q, writer %q, document %q: expected %q, found %q\nKafka %s\nours  %s", w.reader, w.writer,
				w.document, row[3], verdict, row[4], ours)
		}
	}
}

// Converters that have converted other documents, with one registry, return the same results as new converters: for
// each document, the previous one, one's schema with the other's payload, and a copy with another letter in the schema.
func TestResultsDoNotDependOnEarlierDocuments(t *testing.T) {
	b := &record.Batch{Registry: record.NewRegistry()}
	pairs := map[string][2]Converter{}
	var previous string
	for n, row := range readTSV(t, "documents.tsv", 5) {
		w := storedDocument(t, row)
		pair := pairs[w.reader+w.writer]
		if pair[0] == nil {
			var err error
			if pair[0], err = New(ClassJSON, settingsOf(w.reader), Options{Schemas: b.Registry}); err != nil {
				continue // TestDocumentsMatchKafka compares the error
			}
			pair[1], err = New(ClassJSON, settingsOf(w.writer), Options{Schemas: b.Registry})
			require.NoError(t, err)
			pairs[w.reader+w.writer] = pair
		}
		schema, _, _ := strings.Cut(w.document, `,"payload":`)
		_, payload, _ := strings.Cut(previous, `,"payload":`)
		other := []byte(w.document)
		for i := range schema {
			if pos := (n + i) % len(schema); 'a' <= other[pos] && other[pos] < 'z' {
				other[pos]++
				break
			}
		}
		mixed := schema + `,"payload":` + payload
		for _, document := range []string{w.document, previous, w.document, mixed, string(other), w.document} {
			doc := rewriting{reader: w.reader, writer: w.writer, document: document}
			b.Data = b.Data[:0]
			got, err := doc.rewriteWith(t.Context(), pair[0], pair[1], b)
			want, wantErr := doc.tryRewrite(t.Context())
			assert.True(t, got == want && fmt.Sprint(err) == fmt.Sprint(wantErr),
				"reader %q, writer %q, document %q:\nalone        %s %v\nafter others %s %v", w.reader, w.writer,
				document, want, wantErr, got, err)
		}
		previous = w.document
	}
}

// storedDocument returns the document of a row of documents.tsv.
func storedDocument(t *testing.T, row []string) rewriting {
	t.Helper()
	document, err := base64.StdEncoding.DecodeString(row[2])
	require.NoError(t, err)
	return rewriting{reader: row[0], writer: row[1], document: string(document)}
}

// compare returns "same" if our result equals Kafka's, the name of a wanted difference, or "" with our result.
func (r rewriting) compare(ctx context.Context, kafka string) (verdict, ours string) {
	got, err := r.tryRewrite(ctx)
	if err != nil {
		got = "!" + fault.Class(err)
	}
	isRejected := strings.HasPrefix(kafka, "!")
	if got == kafka || (isRejected && isSameRejection(kafka, err)) || sameButDigits(kafka, got) {
		return "same", got
	}
	if name := difference(kafka, got, err); name != "" {
		return name, got
	}
	if sameUpToOrder(kafka, got) || sameUpToOrder(fewDigits(kafka), fewDigits(got)) {
		return "order of a map", got
	}
	if err != nil {
		got += ": " + err.Error()
	}
	return "", got
}

// wantedDifferences lists beginnings of our errors for documents that Kafka would accept and lose or change data of, by
// the names that testdata/convert/differences.tsv and RATIONALE.md use.
var wantedDifferences = []struct{ name, ours string }{
	{"another type", "expected a JSON value for the type "},
	{"another type", "Invalid type for Decimal"},
	{hidden, "Invalid type for "},
	{"another type", "Arrays should be encoded as JSON arrays"},
	{"logical name on another type", "Invalid Decimal schema: scale parameter not found"},
	{"logical name on another type", "Invalid scale parameter found in Decimal schema"},
	{"logical name on another type", "schema org.apache.kafka.connect.data."},
	{"out of range", "does not fit the type "},
	{"out of range", "does not fit 64 bits"},
	{"out of range", "fits neither a double nor a decimal"},
	{"more places than the scale", "Decimal value has mismatching scale for given Decimal schema"},
	{"bytes that are not UTF-8", "expected a string in UTF-8"},
	{"text behind the document", "expected the end of the document"},
	{"text behind the document", "bytes behind the last"},
}

// difference returns the name of the wanted difference between Kafka's result and ours, or "". ours is our error.
func difference(kafka, got string, ours error) string {
	if ours == nil {
		if strings.Contains(kafka, "Decimal value has mismatching scale") || sameValues(kafka, got) {
			return "fewer places than the scale"
		}
		if replaced := replaceUnpaired(kafka); replaced != kafka && (replaced == got || sameUpToOrder(replaced, got)) {
			return "half a pair of surrogates"
		}
		if floatWords.ReplaceAllString(got, "0.0") == kafka {
			return "words for floats"
		}
		if asDoubles(got) == asDoubles(kafka) {
			return "digits that a double lacks"
		}
	}
	// Where our converter rejects the value, Kafka has rejected its schema before.
	if strings.Contains(kafka, "SchemaBuilderException: Invalid default value") &&
		fault.Class(ours) != fault.SchemaBuilderException {
		return "default of a struct"
	}
	if ours == nil {
		return ""
	}
	// Where Kafka's converter also rejects the document, it reports a later fault.
	for _, d := range wantedDifferences {
		if strings.Contains(ours.Error(), d.ours) && !(d.name == hidden && strings.HasPrefix(kafka, "!")) {
			return d.name
		}
	}
	return ""
}

// asDoubles returns a text in which numbers with a point or an exponent, and infinities, are written as the nearest
// doubles.
func asDoubles(text string) string {
	text = decimalNumbers.ReplaceAllStringFunc(text, func(n string) string {
		f, _ := strconv.ParseFloat(n, 64)
		if !strings.ContainsAny(n, ".E") {
			return n
		}
		return strconv.FormatFloat(f, 'E', -1, 64)
	})
	return strings.ReplaceAll(strings.ReplaceAll(text, `"Infinity"`, "+Inf"), `"-Infinity"`, "-Inf")
}

// hidden names the difference for an invalid value of a duplicate name, which Kafka ignores.
const hidden = "a value that another of its name hides"

var floatWords = regexp.MustCompile(`"(NaN|-?Infinity)"`)

// surrogates matches surrogate pairs as Kafka writes them, and unpaired halves. An escaped backslash starts neither.
var surrogates = regexp.MustCompile(`(?i)\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\ud[89a-f][0-9a-f]{2}`)

// replaceUnpaired replaces every unpaired surrogate with a question mark, as Java writes it in UTF-8.
func replaceUnpaired(text string) string {
	return surrogates.ReplaceAllStringFunc(text, func(s string) string {
		if len(s) == len(`\ud83d`) {
			return "?"
		}
		return s
	})
}

// isDeliberate reports whether Connect's converters throw the class on purpose; other classes, such as
// NullPointerException, are accidents, for which any error is the same.
func isDeliberate(class string) bool {
	return class == fault.DataException || class == fault.SchemaBuilderException
}

// prefixes matches the text that our errors have before Kafka's message, which names the field or setting at fault.
var prefixes = regexp.MustCompile(`^(Invalid value for configuration schema\.content: )?(\.\.\. )?(field "([^"\\]|\\.)*": )*`)

// isSameRejection reports whether our error corresponds to the exception of Kafka's result: it has the same class and
// message, followed by the message of the exception's cause.
func isSameRejection(kafka string, err error) bool {
	class, text, _ := strings.Cut(kafka[1:], ": ")
	if err == nil || !isDeliberate(class) {
		return err != nil
	}
	ours := prefixes.ReplaceAllString(err.Error(), "")
	isSameMessage := ours == text || strings.HasPrefix(ours, strings.TrimSuffix(text, ": ")+": ")
	return isSameMessage && fault.Class(err) == class
}

var number = regexp.MustCompile(`-?\d+(\.\d+)?(E-?\d+)?`)

// sameButDigits reports whether the texts differ only in digits of numbers: Java before 19 writes some numbers with
// more digits than are needed to read them back, or with another last digit (JDK-4511638).
func sameButDigits(java, ours string) bool {
	a := number.FindAllString(java, -1)
	b := number.FindAllString(ours, -1)
	if number.ReplaceAllString(java, "#") != number.ReplaceAllString(ours, "#") || len(a) != len(b) {
		return false
	}
	for i := range a {
		x, errX := strconv.ParseFloat(a[i], 64)
		y, errY := strconv.ParseFloat(b[i], 64)
		if a[i] != b[i] && (!strings.ContainsAny(a[i], ".E") || errX != nil ||
			errY != nil || float32(x) != float32(y) || len(a[i]) < len(b[i])) {
			return false
		}
	}
	return true
}

// fewDigits rewrites the numbers with a point in a text as floats, so that a number with more digits than a float needs
// becomes equal.
func fewDigits(text string) string {
	return number.ReplaceAllStringFunc(text, func(n string) string {
		f, err := strconv.ParseFloat(n, 64)
		if err != nil || !strings.ContainsAny(n, ".E") {
			return n
		}
		return strconv.FormatFloat(f, 'E', -1, 32)
	})
}

// sameUpToOrder reports whether the texts differ at most in the order of members, or of pairs of a map whose keys are
// not all texts. Kafka writes maps in the order of a hash table.
func sameUpToOrder(a, b string) bool {
	x := sorted(a)
	y := sorted(b)
	return x != "" && x == y
}

// sorted returns a text of the same JSON with sorted members and pairs, "" for other texts.
func sorted(text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return ""
	}
	var write func(v any) string
	write = func(v any) string {
		var items []string
		switch x := v.(type) {
		case []any:
			isPairs := true
			for _, item := range x {
				pair, ok := item.([]any)
				isPairs = isPairs && ok && len(pair) == 2
				items = append(items, write(item))
			}
			if !isPairs {
				return "[" + strings.Join(items, ",") + "]"
			}
		case map[string]any:
			for name, item := range x {
				items = append(items, strconv.Quote(name)+":"+write(item))
			}
		default:
			return fmt.Sprintf("%#v", v)
		}
		slices.Sort(items)
		return "(" + strings.Join(items, ",") + ")"
	}
	return write(v)
}

// sameValues reports whether the texts differ only in how numbers are written.
func sameValues(a, b string) bool {
	x := decimalNumbers.FindAllString(a, -1)
	y := decimalNumbers.FindAllString(b, -1)
	if decimalNumbers.ReplaceAllString(a, "#") != decimalNumbers.ReplaceAllString(b, "#") || len(x) != len(y) {
		return false
	}
	for i := range x {
		m, _ := new(big.Rat).SetString(x[i])
		n, _ := new(big.Rat).SetString(y[i])
		if m == nil || n == nil || m.Cmp(n) != 0 {
			return false
		}
	}
	return true
}

var decimalNumbers = regexp.MustCompile(`-?\d+(\.\d+)?(E[-+]?\d+)?`)
