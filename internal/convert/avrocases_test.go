package convert

import (
	encodinghex "encoding/hex"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// readAvroCases returns the rows of avro-cases.tsv, divided into inputs and AvroData's results.
func readAvroCases(t *testing.T) (inputs, results [][]string) {
	t.Helper()
	for _, columns := range readTSV(t, "avro-cases.tsv", 0) {
		inputColumns := map[string]int{"write": 3, "read": 5}[columns[0]]
		inputs = append(inputs, columns[:inputColumns])
		results = append(results, columns[inputColumns:])
	}
	return inputs, results
}

// readAvro returns the document that our converter reads from Avro bytes of a schema, for which the registry has a
// version or, with "", no version, and the Avro schema that it writes for that document. Errors begin with "!".
func readAvro(t *testing.T, options, schema, payload, version string) (document, writtenSchema string) {
	t.Helper()
	b := &record.Batch{Registry: record.NewRegistry()}
	settings := map[string]string{"schema.registry.url": "http://registry.test",
		"flatten.singleton.unions": "false"} // missing in the fork
	for _, pair := range strings.Fields(options) {
		name, value, _ := strings.Cut(pair, "=")
		settings[name] = value
	}
	open := func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/schemas/ids/"):
				return newResponse(r, 200, `{"schema":`+strconv.Quote(schema)+`}`), nil
			case r.URL.Path == "/subjects/copied-value" && version != "":
				return newResponse(r, 200, `{"subject":"copied-value","id":1,"version":`+version+`}`), nil
			}
			return newResponse(r, 404, `{"error_code":40401,"message":"Subject not found."}`), nil
		}), slog.New(slog.DiscardHandler))
	}
	c, err := New(ClassAvro, settings, Options{Schemas: b.Registry, OpenRegistry: open})
	require.NoError(t, err)
	data, err := encodinghex.DecodeString(payload)
	require.NoError(t, err)
	d, err := c.Decode(t.Context(), "copied", append([]byte{0, 0, 0, 0, 1}, data...), b)
	if err != nil {
		return "!" + fault.Class(err) + ": " + err.Error(), ""
	}
	if d.Encoding == wit.Absent {
		return "null", ""
	}
	out, _, err := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false").
		Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	assert.NoError(t, err, schema, payload)
	text, err := avroText(t, settings, b.Registry.Get(d.Schema).Nodes)
	if err != nil {
		return string(out), "!" + err.Error()
	}
	return string(out), text
}

// Versions, defaults of unions, aliases, names, decimals and unions with several values are converted as by AvroData.
// If AvroData writes Avro that no Avro library reads, our converter returns an error. TestRealStoredAnswers compares
// with AvroData itself.
func TestAvroCases(t *testing.T) {
	inputs, results := readAvroCases(t)
	for i, input := range inputs {
		var ours []string
		if input[0] == "write" {
			ours = avroOf(t, input[1], input[2])
		} else {
			document, schema := readAvro(t, input[1], input[2], input[3], input[4])
			ours = []string{document, schema}
		}
		if sameAvro(input, results[i], ours) {
			continue
		}
		t.Errorf("%s\nAvroData %s\nours     %s", strings.Join(input, "\t"), strings.Join(results[i], "\n         "),
			strings.Join(ours, "\n         "))
	}
}

// sameAvro reports whether our result equals AvroData's, or differs as RATIONALE.md explains.
func sameAvro(input, theirs, ours []string) bool {
	isRejected := strings.HasPrefix(ours[0], "!")
	switch {
	case strings.Contains(theirs[0], "Not a record: "):
		// AvroData writes a name that begins with a dot without the dot, and does not find it again.
		return !isRejected && payload(ours[2]) == payload(input[2])
	case strings.HasPrefix(theirs[0], "!") && !strings.HasSuffix(theirs[0], "Mismatching schema."):
		return isRejected
	case len(theirs) == 3 && strings.Contains(theirs[2], ": Namespace part "):
		// Avro does not read the namespace that AvroData writes.
		return isRejected == (input[1] != "scrub.invalid.names=true") && (isRejected || (theirs[1] == ours[1] &&
			payload(ours[2]) == payload(input[2])))
	case input[0] == "read":
		_, defaultValue, _ := strings.Cut(input[2], `"default":`)
		defaultValue, _, _ = strings.Cut(defaultValue, `},{"name":"g"`)
		member := `,"default":` + defaultValue
		if defaultValue != "" && strings.Contains(ours[1], member) && !strings.Contains(theirs[1], member) {
			// AvroData loses values that are not of the first type, and members that it does not find.
			return !isRejected && sameJSON(strings.Replace(ours[1], member, "", 1), strings.Replace(theirs[1],
				`,"default":null`, "", 1))
		}
		// JsonConverter cannot write defaults of structures that AvroData made.
		return !isRejected && sameJSON(theirs[1], ours[1]) && (strings.HasPrefix(theirs[0], "!") || sameJSON(theirs[0],
			ours[0]))
	}
	return slices.EqualFunc(theirs, ours, sameJSON)
}

// payload returns the text of a document from its payload on.
func payload(document string) string {
	_, payload, _ := strings.Cut(document, `"payload":`)
	return payload
}

// A logical type's name on another type, which a transform such as SetSchemaMetadata can set, is rejected: Avro has no
// timestamp of an int. So is a default of a union without a value.
func TestMisnamedAvroTypesAreRejected(t *testing.T) {
	union := wit.SchemaNode{Kind: wit.Struct, Name: wit.Ptr("io.confluent.connect.avro.Union"),
		Fields: []wit.Field{{Name: "int", Node: 2}}}
	union.DefaultValue = wit.Ptr([]byte{0})
	for name, test := range map[string]struct {
		nodes []wit.SchemaNode
		value string
		want  string // the error
	}{
		"timestamp": {[]wit.SchemaNode{{Kind: wit.Int32, Name: wit.Ptr(wit.NameTimestamp)}}, "\x02",
			"Invalid type for Timestamp, underlying representation should be int64 but was int32"},
		"date": {[]wit.SchemaNode{{Kind: wit.String, Name: wit.Ptr(wit.NameDate)}}, "\x02a",
			"Invalid type for Date, underlying representation should be int32 but was string"},
		"decimal": {[]wit.SchemaNode{{Kind: wit.Int64, Name: wit.Ptr(wit.NameDecimal)}}, "\x02",
			"Invalid type for Decimal, underlying representation should be bytes but was int64"},
		"structure": {[]wit.SchemaNode{{Kind: wit.Struct, Name: wit.Ptr(wit.NameTime)}}, "",
			"Invalid type for Time, underlying representation should be int32 but was struct"},
		"default": {[]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "u", Node: 1}}}, union,
			{Kind: wit.Int32, Optional: true}}, "\x02\x02", "the default of a schema: the union has no value"},
	} {
		c, _, b := newAvroPair(t, fakeRegistry(t))
		s, err := b.Registry.Intern(test.nodes)
		require.NoError(t, err)
		b.Data = append(b.Data[:0], test.value...)
		b.Retain(s)
		_, _, err = c.Encode(t.Context(), nil, math.MaxInt32, "t", b,
			wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(test.value))})
		assert.True(t, fault.Class(err) == fault.DataException && err.Error() == test.want,
			"%s: expected %q, found %v", name, test.want, err)
	}
}
