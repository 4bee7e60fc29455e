package convert

import (
	"bytes"
	"context"
	encodinghex "encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/avro"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

func openRegistry(s registry.Settings) (*registry.Client, error) {
	return registry.Open(s, nil, slog.New(slog.DiscardHandler))
}

// fakeRegistry returns the URL of a schema registry of this test with Avro schemas, whose IDs are 1, 2 and so on.
func fakeRegistry(t testing.TB, schemas ...string) string {
	t.Helper()
	return newFakeRegistry(t, sr.TypeAvro, schemas...)
}

// newFakeRegistry is fakeRegistry for any schema language.
func newFakeRegistry(t testing.TB, language sr.SchemaType, schemas ...string) string {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	for i, text := range schemas {
		r.SeedSchema("seeded", i+1, i+1, sr.Schema{Schema: text, Type: language})
	}
	return r.URL()
}

func appendLength(n int) []byte { return connectdata.AppendNumber(nil, int64(n)) }

// recordingRegistry returns a function that opens clients of a registry without a socket. The registry stores the last
// schema's text in text, returns ID 1 for it, and finds no versions.
func recordingRegistry(text *string) func(registry.Settings) (*registry.Client, error) {
	var body []byte
	return func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/versions"):
				var err error
				if body, err = io.ReadAll(r.Body); err == nil {
					var registered struct{ Schema string }
					err = json.Unmarshal(body, &registered)
					*text = registered.Schema
				}
				return newResponse(r, 200, `{"id":1}`), err
			case strings.HasPrefix(r.URL.Path, "/schemas/ids/"):
				return newResponse(r, 200, string(body)), nil
			}
			return newResponse(r, 404, `{"error_code":40401,"message":"Subject not found."}`), nil
		}), slog.New(slog.DiscardHandler))
	}
}

// anythingText returns the Avro schema of values without a schema, as it is registered.
var anythingText = sync.OnceValue(func() string {
	b := &record.Batch{Registry: record.NewRegistry()}
	text := new(string)
	c, err := New(ClassAvro, map[string]string{"schema.registry.url": "http://registry.test"},
		Options{Schemas: b.Registry, OpenRegistry: recordingRegistry(text)})
	if err == nil {
		b.Data = []byte{connectdata.TagTrue}
		_, _, err = c.Encode(context.Background(), nil, 100, "t", b, wit.ValueSlice{Encoding: wit.Schemaless, Size: 1})
	}
	if err != nil {
		panic(err)
	}
	return *text
})

// newAvroPair returns an Avro converter with a registry, and a JSON converter that reads and writes the same batch.
func newAvroPair(t testing.TB, url string, settings ...string) (avro, json Converter, b *record.Batch) {
	t.Helper()
	return newPair(t, ClassAvro, url, settings...)
}

// newPair is newAvroPair for any class.
func newPair(t testing.TB, class, url string, settings ...string) (c, json Converter, b *record.Batch) {
	t.Helper()
	b = &record.Batch{Registry: record.NewRegistry()}
	settingValues := map[string]string{"schema.registry.url": url}
	for i := 0; i < len(settings); i += 2 {
		settingValues[settings[i]] = settings[i+1]
	}
	c, err := New(class, settingValues, Options{Schemas: b.Registry, OpenRegistry: openRegistry})
	require.NoError(t, err)
	return c, newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false"), b
}

// datumOf reads a document with json and appends its value to b.
func datumOf(t testing.TB, json Converter, b *record.Batch, document string) wit.ValueSlice {
	t.Helper()
	d, err := json.Decode(t.Context(), "t", []byte(document), b)
	require.NoError(t, err)
	return d
}

// The golden file contains what AvroData writes for documents with options: the schema, the bytes, and the document
// that is read back. TestRealStoredAnswers compares the file with AvroData itself.
func TestWritesWhatAvroDataWrites(t *testing.T) {
	for _, row := range readTSV(t, "avro.tsv", 5) {
		options := row[0]
		document := row[1]
		got := avroOf(t, options, document)
		assert.True(t, sameAvro([]string{"write", options, document}, row[2:], got),
			"%s document %s\nAvroData %s\nours     %s", options, document, strings.Join(row[2:], "\n         "),
			strings.Join(got, "\n         "))
	}
}

// person is a document that JsonConverter reads: a struct with a name and two fields.
const person = `{"schema":{"type":"struct","name":"a.Person","fields":[{"type":"int32","field":"id"},{"type":"string","optional":true,"field":"name"}]},"payload":{"id":7,"name":"Ada"}}`

// A schema is registered once per topic, under the subject that the strategy specifies; the value is copied after the
// zero byte and the id.
func TestAvroValueIsCopied(t *testing.T) {
	for strategy, subject := range map[string]string{
		"": "orders-value",
		"io.confluent.kafka.serializers.subject.TopicNameStrategy":       "orders-value",
		"io.confluent.kafka.serializers.subject.RecordNameStrategy":      "a.Person",
		"io.confluent.kafka.serializers.subject.TopicRecordNameStrategy": "orders-a.Person",
	} {
		fake := srfake.New()
		t.Cleanup(fake.Close)
		var requests []string
		fake.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			requests = append(requests, r.Method+" "+r.URL.Path)
			return false
		})
		c, json, b := newAvroPair(t, fake.URL(), "value.subject.name.strategy", strategy)
		d := datumOf(t, json, b, person)
		for range 3 {
			out, isNull, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "orders", b, d)
			want := append([]byte("x\x00\x00\x00\x00\x01"), b.Bytes(d)...)
			require.True(t, err == nil && !isNull && bytes.Equal(out, want),
				"expected %x, found %x, %v, %v", want, out, isNull, err)
		}
		// Bytes are copied without being read, even those that no reader would accept, into the caller's buffer.
		invalid := b.Bytes(d)
		for i := range invalid {
			invalid[i] |= 0x80
		}
		dst := make([]byte, 0, 100)
		out, _, err := c.Encode(t.Context(), dst, math.MaxInt32, "orders", b, d)
		assert.True(t, err == nil && bytes.Equal(out[5:], invalid) && &out[:1][0] == &dst[:1][0],
			"expected %x unchanged in the caller's buffer, found %x, %v", invalid, out, err)
		allocations := testing.AllocsPerRun(100, func() {
			out, _, err = c.Encode(t.Context(), dst, math.MaxInt32, "orders", b, d)
		})
		assert.True(t, allocations == 0 && err == nil,
			"expected no allocation for a row, found %v, %v", allocations, err)
		assert.Equal(t, []string{"POST /subjects/" + subject + "/versions"}, requests, strategy)
	}
}

// Requests to an unreachable registry are repeated until it responds, and the status reports it in the meantime: no
// record is at fault.
func TestUnreachableRegistryIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		b := &record.Batch{Registry: record.NewRegistry()}
		var client *registry.Client
		var err error
		client, err = registry.OpenWith(registry.Settings{URLs: []string{"http://registry.test"}},
			roundTrip(func(r *http.Request) (*http.Response, error) {
				requests++
				if requests < 5 {
					if !strings.Contains(client.Outage(), "has not responded") && requests > 1 {
						t.Errorf("expected a status that reports the outage, found %q", client.Outage())
					}
					if requests == 3 && !strings.HasSuffix(client.Outage(), ": <html>") {
						t.Errorf("expected the last error in the status, found %q", client.Outage())
					}
					return [...]func() (*http.Response, error){
						func() (*http.Response, error) { return nil, errors.New("connection refused") },
						func() (*http.Response, error) { return newResponse(r, 503, "<html>"), nil },
						func() (*http.Response, error) { return newResponse(r, 200, "<html>hello</html>"), nil },
						func() (*http.Response, error) { return newResponse(r, 200, "{}"), nil },
					}[requests-1]()
				}
				return newResponse(r, 200, `{"id":9}`), nil
			}), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		c, err := New(ClassAvro, map[string]string{"schema.registry.url": "http://registry.test"},
			Options{Schemas: b.Registry,
				OpenRegistry: func(registry.Settings) (*registry.Client, error) { return client, nil }})
		require.NoError(t, err)
		json := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, person))
		assert.True(t, err == nil && len(out) >= 5 && out[4] == 9 && requests == 5,
			"expected the value after 5 requests, found %x, %v after %d", out, err, requests)
		assert.Equal(t, "", client.Outage())
		// A stopping task does not wait for a registry.
		ctx, cancel := context.WithCancelCause(t.Context())
		requests = 0
		time.AfterFunc(time.Second, func() { cancel(errors.New("the task ends")) })
		_, _, err = c.Encode(ctx, nil, math.MaxInt32, "other", b, datumOf(t, json, b, person))
		assert.Equal(t, "the task ends", fmt.Sprint(err))
	})
}

// roundTrip is an [http.RoundTripper] without a socket.
type roundTrip func(*http.Request) (*http.Response, error)

func (t roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// newResponse returns the response to a request.
func newResponse(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Request: r, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body))}
}

// A rejection by the registry stops the task if it concerns the schema or the user, and is the record's fault if the
// record's ID is unknown.
func TestRegistryRejections(t *testing.T) {
	fake := srfake.New(srfake.WithAuth("Basic dTpw"))
	t.Cleanup(fake.Close)
	fake.SeedSchema("t-value", 1, 1, sr.Schema{Schema: `"int"`})
	write := func(settings ...string) error {
		c, json, b := newAvroPair(t, fake.URL(), append([]string{"basic.auth.credentials.source", "USER_INFO",
			"basic.auth.user.info", "u:p"}, settings...)...)
		_, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, person))
		return err
	}
	for name, err := range map[string]error{
		"schema unknown": write("auto.register.schemas", "false"),
		"newest differs": write("auto.register.schemas", "false", "use.latest.version", "true"),
		"number differs": write("auto.register.schemas", "false", "use.schema.id", "1"),
		"wrong password": write("basic.auth.user.info", "u:q"),
		"incompatible":   writeIncompatible(t),
	} {
		assert.True(t, fault.IsFatal(err), "%s: expected an error that stops the task, found %v", name, err)
	}
	require.NoError(t, write())
	c, _, b := newAvroPair(t, fake.URL(), "basic.auth.credentials.source", "USER_INFO", "basic.auth.user.info", "u:p")
	for _, data := range []string{"", "\x00", "\x01abcdefgh", "{}", "\x00\x00\x00\x00\x63x"} {
		_, err := c.Decode(t.Context(), "t", []byte(data), b)
		assert.True(t, fault.Class(err) == fault.DataException && !fault.IsFatal(err),
			"%q: expected a data error, found %v", data, err)
	}
	if d, err := c.Decode(t.Context(), "t", nil, b); err != nil || d.Encoding != wit.Absent {
		t.Errorf("expected a tombstone to be read as null, found %v, %v", d, err)
	}
}

// writeIncompatible returns the error for a schema that the registry rejects as incompatible.
func writeIncompatible(t *testing.T) error {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"error_code":409,"message":"Schema being registered is incompatible with an earlier schema"}`)
		return true
	})
	c, json, b := newAvroPair(t, fake.URL())
	_, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, person))
	assert.True(t, err != nil && strings.Contains(err.Error(), "incompatible with an earlier schema") &&
		(strings.Contains(err.Error(), "a.Person") || strings.Contains(err.Error(), `"Person"`)),
		"expected an error with the registry's message and the schema, found %v", err)
	return err
}

// Confluent's own defaults, as generated files contain them, have no effect and are accepted.
func TestDefaultsOfUnsupportedSettings(t *testing.T) {
	settings := map[string]string{
		"schema.registry.url":      "http://r",
		"rule.executors":           "",
		"proxy.host":               "",
		"use.latest.with.metadata": "",
		"proxy.port":               "-1",
	}
	for _, class := range []string{"AvroConverter", "JsonSchemaConverter"} {
		if _, err := New(class, settings, Options{Schemas: record.NewRegistry()}); err != nil {
			t.Errorf("%s: expected the defaults to be accepted, found %v", class, err)
		}
		_, err := New(class, map[string]string{"schema.registry.url": "http://r", "proxy.port": "8080"},
			Options{Schemas: record.NewRegistry()})
		assert.Equal(t, "Value 8080 for configuration proxy.port is not built yet; built: -1", fmt.Sprint(err), class)
		_, err = New(class, map[string]string{"schema.registry.url": "http://r", "rule.executors": "encrypt"},
			Options{Schemas: record.NewRegistry()})
		assert.Equal(t, "Value encrypt for configuration rule.executors is not built yet; leave the setting out",
			fmt.Sprint(err), class)
	}
}

// Settings for writing do not matter to a converter that only reads.
func TestReaderIgnoresWriterSettings(t *testing.T) {
	settings := map[string]string{"schema.registry.url": "http://r",
		"key.schema.id.serializer": "io.confluent.kafka.serializers.schema.id.HeaderSchemaIdSerializer"}
	for _, class := range []string{"AvroConverter", "JsonSchemaConverter"} {
		_, err := New(class, settings, Options{Schemas: record.NewRegistry(), ReadOnly: true})
		assert.True(t, err == nil && len(settings) == 2,
			"%s: expected unchanged settings and no error, found %v, %v", class, settings, err)
		_, err = New(class, settings, Options{Schemas: record.NewRegistry()})
		assert.True(t, err != nil, "%s: expected a writer to reject it", class)
	}
}

// The error for an invalid setting names it, and does not contain a password.
func TestInvalidAvroSettings(t *testing.T) {
	for settings, want := range map[string]string{
		"":                                  `Missing required configuration "schema.registry.url" which has no default value.`,
		"schema.registry.url=registry:8081": "schema.registry.url",
		"schema.registry.url=http://r enhanced.avro.schema.support=maybe":         "enhanced.avro.schema.support",
		"schema.registry.url=http://r value.subject.name.strategy=x.Mine":         "value.subject.name.strategy",
		"schema.registry.url=http://r basic.auth.credentials.source=SASL_INHERIT": "basic.auth.credentials.source",
		"schema.registry.url=http://r basic.auth.credentials.source=USER_INFO " +
			"basic.auth.user.info=abc": "basic.auth.user.info",
		"schema.registry.url=http://r bearer.auth.credentials.source=OAUTHBEARER":            "bearer.auth.credentials.source",
		"schema.registry.url=http://r generalized.sum.type.support=true":                     "generalized.sum.type.support",
		"schema.registry.url=http://r value.schema.id.serializer=x.HeaderSchemaIdSerializer": "value.schema.id.serializer",
		"schema.registry.url=http://r rule.executors=encrypt":                                "rule.executors",
		"schema.registry.url=http://r use.latest.with.metadata=a=b":                          "use.latest.with.metadata",
		"schema.registry.url=http://r schema.registry.proxy.host=p":                          "proxy.host",
	} {
		settingValues := map[string]string{}
		for _, pair := range strings.Fields(settings) {
			name, value, _ := strings.Cut(pair, "=")
			settingValues[name] = value
		}
		_, err := New("AvroConverter", settingValues, Options{Schemas: record.NewRegistry()})
		if fault.Class(err) != fault.ConfigException || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "abc") { // the password
			t.Errorf("%s: expected an error that names %s, found %v", settings, want, err)
		}
	}
}

// Names that Avro does not allow are rejected with advice; [TestAvroCases] shows how they are written differently.
func TestInvalidAvroNames(t *testing.T) {
	const invalidName = `{"schema":{"type":"struct","name":"1a.b-c","fields":[{"type":"int32","field":"x.y"}]},"payload":{"x.y":1}}`
	c, json, b := newAvroPair(t, fakeRegistry(t))
	_, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, invalidName))
	assert.True(t, fault.Class(err) == "org.apache.avro.SchemaParseException" &&
		strings.Contains(err.Error(), "scrub.invalid.names"), "expected an error with advice, found %v", err)
	const sameNames = `{"schema":{"type":"struct","fields":[{"type":"struct","name":"N","field":"a","fields":[{"type":"int32","field":"x"}]},{"type":"struct","name":"N","field":"b","fields":[{"type":"string","field":"y"}]},{"type":"struct","name":"N","optional":true,"field":"c","fields":[{"type":"int32","field":"x"}]}]},"payload":{"a":{"x":1},"b":{"y":"q"},"c":{"x":2}}}`
	if got := avroOf(t, "", sameNames); !strings.Contains(got[0], `"name":"N_2"`) || strings.Count(got[2], `"name":"N"`) != 3 {
		t.Errorf("expected the second type to be written as N_2, and read as N again, found %q", got)
	}
}

// A union of very many types, for each of which all others are written as nulls, is rejected as the record's fault.
func TestUnionBranchesAreBounded(t *testing.T) {
	union := func(n int) string {
		branches := make([]string, n)
		for i := range branches {
			branches[i] = fmt.Sprintf(`{"type":"fixed","name":"F%d","size":0}`, i)
		}
		return "[" + strings.Join(branches, ",") + "]"
	}
	c, _, b := newAvroPair(t, fakeRegistry(t, union(conversion.MaxUnionBranches), union(conversion.MaxUnionBranches+1)))
	if d, err := c.Decode(t.Context(), "copied", []byte{0, 0, 0, 0, 1, 4}, b); err != nil || d.Size == 0 {
		t.Errorf("expected a value of the third type, found %v, %v", d, err)
	}
	_, err := c.Decode(t.Context(), "copied", []byte{0, 0, 0, 0, 2, 4}, b)
	assert.True(t, fault.Class(err) == fault.DataException && strings.Contains(err.Error(), "expected at most 1000"),
		"expected an error about 1001 types, found %v", err)
}

// Any bytes in a topic are read or rejected in time, and never grow beyond their limit.
func FuzzAvro(f *testing.F) {
	schemas := []string{`{"type":"array","items":{"type":"record","name":"E","fields":[]}}`,
		`{"type":"map","values":["null","string",{"type":"fixed","name":"F","size":2}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":["int","null"]},{"name":"e","type":{"type":"enum","name":"X","symbols":["A"]}},{"name":"d","type":{"type":"bytes","logicalType":"decimal","scale":1,"precision":4}}]}`, anythingText()}
	c, _, b := newAvroPair(f, fakeRegistry(f, schemas...))
	for id := range schemas {
		f.Add(byte(id), []byte{2, 2, 0, 4})
		f.Add(byte(id), []byte{1, 8, 0xfe, 0xff, 0xff, 0xff, 0x0f})
	}
	f.Fuzz(func(t *testing.T, id byte, payload []byte) {
		b.Data = b.Data[:0]
		b.Rows = b.Rows[:0]
		d, err := c.Decode(t.Context(), "copied", append([]byte{0, 0, 0, 0, id%byte(len(schemas)) + 1}, payload...), b)
		if err != nil {
			require.True(t, fault.Class(err) != "", "%v", err)
			return
		}
		if d.Encoding == wit.WithSchema {
			err := connectdata.Check(b.Registry.Get(d.Schema).Nodes, b.Bytes(d))
			require.True(t, err == nil, "read as %x: %v", b.Bytes(d), err)
		} else if d.Encoding == wit.Schemaless {
			err := connectdata.CheckSchemaless(b.Bytes(d))
			require.True(t, err == nil, "read as %x: %v", b.Bytes(d), err)
		}
	})
}

// sameJSON reports whether two texts are equal, or the same JSON but for [withoutItems].
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(withoutItems(x), withoutItems(y))
}

// withoutItems removes from v the defaults of arrays and maps: AvroData reads nulls for their items if these may be
// null, and loses the items if they have a default of their own; our converter returns the written items.
func withoutItems(v any) any {
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = withoutItems(x[i])
		}
	case map[string]any:
		if x["type"] == "array" || x["type"] == "map" {
			delete(x, "default")
		}
		for name := range x {
			x[name] = withoutItems(x[name])
		}
	}
	return v
}

// avroOf returns the Avro schema that is written for a document, the bytes in hex, and the document that is read from
// them. An error, after "!", is in the place of its step.
func avroOf(t *testing.T, options, document string) []string {
	t.Helper()
	b := &record.Batch{Registry: record.NewRegistry()}
	reader := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
	d, err := reader.Decode(t.Context(), "t", []byte(document), b)
	if err != nil {
		return []string{"!" + err.Error(), "", ""}
	}
	settings := map[string]string{"schema.registry.url": "http://registry.test"}
	registeredText := ""
	for _, pair := range strings.Fields(options) {
		name, value, _ := strings.Cut(pair, "=")
		settings[name] = value
	}
	c, err := New(ClassAvro, settings, Options{Schemas: b.Registry, OpenRegistry: recordingRegistry(&registeredText)})
	require.NoError(t, err)
	text := anythingText()
	isRaw := false
	if d.Encoding == wit.WithSchema {
		nodes := b.Registry.Get(d.Schema).Nodes
		if text, err = avroText(t, settings, nodes); err != nil {
			return []string{"!" + err.Error(), "", ""}
		}
		isRaw = text == `"bytes"` || strings.HasPrefix(text, `{"type":"bytes"`)
	}
	out, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	switch {
	case err != nil:
		return []string{"!" + err.Error(), "", ""}
	case isNull:
		return []string{text, "null", "null"}
	}
	assert.Equal(t, text, registeredText, "the registered schema", document)
	payload := out[5:]
	if isRaw {
		payload = append(bytes.Clone(appendLength(len(payload))), payload...) // Avro.java writes the length, too
	}
	decoded, err := c.Decode(t.Context(), "copied", out, b) // a topic without a subject, so there is no version
	if err != nil {
		return []string{text, encodinghex.EncodeToString(payload), "!" + err.Error()}
	}
	writer := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
	readDocument, _, err := writer.Encode(t.Context(), nil, math.MaxInt32, "t", b, decoded)
	if err != nil {
		return []string{text, encodinghex.EncodeToString(payload), "!" + err.Error()}
	}
	return []string{text, encodinghex.EncodeToString(payload), string(readDocument)}
}

// avroText returns the Avro schema that a converter with these settings writes for nodes.
func avroText(t *testing.T, settings map[string]string, nodes []wit.SchemaNode) (string, error) {
	t.Helper()
	const isKey = false
	d, err := Find(ClassAvro, isKey)
	require.NoError(t, err)
	text, err := avro.SchemaText(t.Context(), nodes, avro.OptionsOf(d.table.Values(d.withType(settings, isKey))))
	return string(text), err
}

// A schema in a header, by its id or its GUID, applies to a value without a prefix.
func TestSchemaIDInHeader(t *testing.T) {
	guid := []byte{1, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33, 0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55}
	guidRequests := 0
	open := func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/schemas/guids/11111111-2222-4333-8444-555555555555":
				guidRequests++
				return newResponse(r, 200, `{"schema":"\"string\""}`), nil
			case "/schemas/ids/7":
				return newResponse(r, 200, `{"schema":"\"long\""}`), nil
			}
			return newResponse(r, 404, `{"error_code":40403,"message":"Schema not found."}`), nil
		}), slog.New(slog.DiscardHandler))
	}
	b := &record.Batch{Registry: record.NewRegistry()}
	c, err := New(ClassAvro, map[string]string{"schema.registry.url": "http://registry.test"},
		Options{Schemas: b.Registry, OpenRegistry: open})
	require.NoError(t, err)
	decoder := c.(HeaderDecoder)
	for range 2 {
		d, err := decoder.DecodeBy(t.Context(), "t", guid, []byte("\x04ab"), b)
		if err != nil || string(b.Bytes(d)) != "\x04ab" || b.Registry.Get(d.Schema).Root().Kind != wit.String {
			t.Fatalf("GUID: expected the text ab, found %q, %v", b.Bytes(d), err)
		}
	}
	assert.Equal(t, 1, guidRequests, "requests for the GUID")
	d, err := decoder.DecodeBy(t.Context(), "t", []byte{0, 0, 0, 0, 7}, []byte{2}, b)
	assert.True(t, err == nil && b.Registry.Get(d.Schema).Root().Kind == wit.Int64,
		"ID: expected a long, found %v, %v", d, err)
	d, err = decoder.DecodeBy(t.Context(), "t", guid, nil, b)
	assert.True(t, err == nil && d.Encoding == wit.Absent, "expected a tombstone, found %v, %v", d, err)
	for _, header := range [][]byte{nil, {1, 2}, append([]byte{2}, guid[1:]...)} {
		_, err := decoder.DecodeBy(t.Context(), "t", header, []byte{2}, b)
		assert.True(t, fault.Class(err) == fault.DataException, "% x: expected a data error, found %v", header, err)
	}
	synctest.Test(t, func(t *testing.T) { // the registry may learn of the ID
		_, err := decoder.DecodeBy(t.Context(), "t", []byte{0, 0, 0, 0, 9}, []byte{2}, b)
		assert.True(t, fault.Class(err) == fault.DataException, "unknown ID: expected a data error, found %v", err)
	})
}

// Options that are missing in the fork of AvroData that we compare with behave as in Confluent's AvroData.
func TestConfluentAvroOptions(t *testing.T) {
	const keys = `{"schema":{"type":"map","keys":{"type":"string","optional":true},"values":{"type":"int32",` +
		`"optional":false},"optional":false},"payload":{"a":1}}`
	const null = `{"schema":{"type":"struct","fields":[{"type":"int32","optional":true,"default":7,"field":"a"}],` +
		`"optional":false},"payload":{"a":null}}`
	for _, test := range []struct {
		options      string
		document     string
		schemaPrefix string
		bytes        string
		readDocument string
	}{
		{document: keys, schemaPrefix: `{"type":"array","items":{"type":"record","name":"MapEntry",`,
			bytes: "020202610200", readDocument: keys},
		{options: "allow.optional.map.keys=true", document: keys, schemaPrefix: `{"type":"map","values":"int"`,
			bytes:        "0202610200",
			readDocument: strings.Replace(keys, `"string","optional":true`, `"string","optional":false`, 1)},
		{document: null, schemaPrefix: `{"type":"record",`, bytes: "000e",
			readDocument: strings.Replace(null, `{"a":null}`, `{"a":7}`, 1)},
		{options: "ignore.default.for.nullables=true", document: null, schemaPrefix: `{"type":"record",`, bytes: "02",
			readDocument: null},
	} {
		got := avroOf(t, test.options, test.document)
		assert.True(t, strings.HasPrefix(got[0], test.schemaPrefix) && got[1] == test.bytes &&
			got[2] == test.readDocument, "%s %s\nexpected %s… %s %s\nfound    %s %s %s", test.options, test.document,
			test.schemaPrefix, test.bytes, test.readDocument, got[0], got[1], got[2])
	}
	const union = `{"type":"record","name":"R","fields":[{"name":"u","type":["string"]}]}`
	for flatten, want := range map[string]string{
		"true": `{"type":"string","optional":false,"field":"u"}`,
		"false": `{"type":"struct","fields":[{"type":"string","optional":true,"field":"string"}],"optional":false,` +
			`"name":"io.confluent.connect.avro.Union","field":"u"}`,
	} {
		c, json, b := newAvroPair(t, fakeRegistry(t, union), "flatten.singleton.unions", flatten)
		d, err := c.Decode(t.Context(), "copied", []byte("\x00\x00\x00\x00\x01\x00\x02x"), b)
		require.NoError(t, err)
		got, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		assert.True(t, err == nil && strings.Contains(string(got), `"fields":[`+want+`]`),
			"flatten.singleton.unions=%s: expected %s, found %s, %v", flatten, want, got, err)
	}
}

// A schema with rules that must run for each value is rejected, whoever set them and in both directions: otherwise
// values would be written or read without them, such as rules that encrypt fields or the whole value.
func TestSchemasWithRulesAreRejected(t *testing.T) {
	const byID = "use.schema.id=1"
	const newest = "use.latest.version=true"
	const lookup = "auto.register.schemas=false"
	domain := func(mode string) string {
		return `{"domainRules":[{"name":"r","type":"ENCRYPT","mode":"` + mode + `"}]}`
	}
	encoding := func(mode string) string {
		return `{"encodingRules":[{"name":"r","type":"ENCRYPT_PAYLOAD","mode":"` + mode + `"}]}`
	}
	for _, test := range []struct {
		setting  string
		rules    string
		canWrite bool
		canRead  bool
	}{
		{rules: `null`, canWrite: true, canRead: true},
		{rules: `{}`, canWrite: true, canRead: true},
		{rules: domain("WRITE"), canRead: true},
		{rules: domain("READ"), canWrite: true},
		{rules: domain("WRITEREAD")},
		{
			rules: `{"domainRules":[{"name":"r","type":"ENCRYPT","mode":"WRITEREAD","disabled":true},` +
				`{"name":"r","type":"ENCRYPT","mode":"WRITE"}]}`,
			canRead: true,
		},
		{rules: domain("LATER")}, // a possible future mode
		{
			rules:    `{"domainRules":[{"name":"r","type":"ENCRYPT","mode":"WRITEREAD","disabled":true}]}`,
			canWrite: true, canRead: true,
		},
		{rules: `{"migrationRules":[{"name":"r","type":"JSONATA","mode":"UPGRADE"}]}`, canWrite: true, canRead: true},
		{rules: encoding("WRITEREAD")},
		{rules: encoding("READ"), canWrite: true},
		{setting: byID, rules: domain("WRITEREAD")},
		{setting: byID, rules: domain("READ"), canWrite: true},
		{setting: newest, rules: domain("WRITE"), canRead: true},
		{setting: newest, rules: encoding("WRITEREAD")},
		{setting: lookup, rules: domain("WRITEREAD")},
		{setting: lookup, rules: domain("READ"), canWrite: true},
	} {
		open := func(s registry.Settings) (*registry.Client, error) {
			return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
				return newResponse(r, 200, `{"subject":"t-value","id":1,"version":1,"schema":"\"int\"","ruleSet":`+
					test.rules+`}`), nil
			}), slog.New(slog.DiscardHandler))
		}
		settings := map[string]string{"schema.registry.url": "http://r"}
		if name, value, ok := strings.Cut(test.setting, "="); ok {
			settings["auto.register.schemas"] = "false"
			settings[name] = value
		}
		b := &record.Batch{Registry: record.NewRegistry()}
		converter, err := New(ClassAvro, settings, Options{Schemas: b.Registry, OpenRegistry: open})
		require.NoError(t, err)
		json := newConverter(t, ClassJSON, b.Registry)
		d := datumOf(t, json, b, `{"schema":{"type":"int32","optional":false},"payload":7}`)
		_, _, writeErr := converter.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		_, readErr := converter.Decode(t.Context(), "t", []byte("\x00\x00\x00\x00\x01\x0e"), b)
		_, guidErr := converter.(HeaderDecoder).DecodeBy(t.Context(), "t", append([]byte{1}, make([]byte, 16)...),
			[]byte("\x0e"), b)
		for action, result := range map[string]struct {
			isAllowed bool
			err       error
		}{
			"write":        {test.canWrite, writeErr},
			"read":         {test.canRead, readErr},
			"read by GUID": {test.canRead, guidErr},
		} {
			isRejected := fault.IsFatal(result.err) &&
				strings.Contains(result.err.Error(), `the rule "r" of type "ENCRYPT`)
			assert.True(t, (!result.isAllowed || result.err == nil) && (result.isAllowed || isRejected),
				"%s %s, %s: expected success to be %v, found %v", test.setting, test.rules, action, result.isAllowed,
				result.err)
		}
	}
}

// Timestamps and times of day without a type in Kafka Connect keep Avro's logical type as their name, so that a sink
// knows the unit of their integers. A type with its own name keeps that name.
func TestLogicalTypesUnknownToConnect(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"long","logicalType":"time-micros"}`:                                "time-micros",
		`{"type":"long","logicalType":"timestamp-micros"}`:                           "timestamp-micros",
		`{"type":"long","logicalType":"Timestamp-Nanos"}`:                            "timestamp-nanos",
		`{"type":"long","logicalType":"local-timestamp-millis"}`:                     "local-timestamp-millis",
		`{"type":"long","logicalType":"local-timestamp-micros"}`:                     "local-timestamp-micros",
		`{"type":"long","logicalType":"local-timestamp-nanos"}`:                      "local-timestamp-nanos",
		`["null",{"type":"long","logicalType":"timestamp-micros"}]`:                  "timestamp-micros",
		`{"type":"long","logicalType":"timestamp-millis"}`:                           wit.NameTimestamp,
		`{"type":"long","connect.name":"io.debezium.time.NanoTime"}`:                 "io.debezium.time.NanoTime",
		`{"type":"long","logicalType":"timestamp-micros","connect.name":"a.Moment"}`: "a.Moment",
		`{"type":"long","logicalType":"x"}`:                                          "",
		`{"type":"int","logicalType":"timestamp-micros"}`:                            "",
	} {
		reader, _, b := newAvroPair(t, fakeRegistry(t, schema))
		payload := []byte{0, 0, 0, 0, 1, 2}
		if schema[0] == '[' {
			payload = append(payload, 2)
		}
		d, err := reader.Decode(t.Context(), "t", payload, b)
		require.NoError(t, err)
		name := ""
		if n := b.Registry.Get(d.Schema).Root(); n.Name != nil {
			name = *n.Name
		}
		assert.True(t, name == want, "%s: expected the name %q, found %q", schema, want, name)
	}
}
