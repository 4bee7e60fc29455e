//go:build real

package convert

import (
	encodinghex "encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// optionsOfAvro are those of ours that AvroDataConfig of the fork has.
var optionsOfAvro = []string{"", "", "enhanced.avro.schema.support=true", "connect.meta.data=false",
	"enhanced.avro.schema.support=true connect.meta.data=false", "scrub.invalid.names=true",
	"allow.optional.map.keys=true", "scrub.invalid.names=true enhanced.avro.schema.support=true",
	"ignore.default.for.nullables=true"}

// Values of all types, under all options, become what AvroData makes of them: the same schema and the same bytes; and
// its bytes become the same document again. Apicurio's registry-utils-converter holds a fork of Confluent's AvroData,
// which is not on Maven Central.
func TestRealAvro(t *testing.T) {
	all := avroCorpus(4000)
	file := filepath.Join(t.TempDir(), "documents")
	var text strings.Builder
	for i, document := range all {
		fmt.Fprintf(&text, "%s\t%s\n", optionsOfAvro[i%len(optionsOfAvro)], document)
	}
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	answers := runTool(t, "avro", "Avro.java", file)
	if len(answers) != len(all) {
		t.Fatalf("expected %d answers, found %d", len(all), len(answers))
	}
	refused, redefined, longer, wrong := 0, 0, 0, 0
	for i, document := range all {
		ours := avroOf(t, optionsOfAvro[i%len(optionsOfAvro)], document)
		if strings.HasPrefix(answers[i], "!") {
			refused++
			switch {
			case strings.Contains(answers[i], "Can't redefine"):
				// Ours numbers the second type of a name.
				redefined++
				continue
			case strings.HasPrefix(ours[0], "!"):
				continue
			}
		}
		kafkas := strings.Split(answers[i], "\t")
		if len(kafkas) != 3 {
			kafkas = append(kafkas, "", "", "")[:3]
		}
		if strings.Contains(kafkas[0], `"items":"MapEntry"`) && strings.Contains(ours[0], "MapEntry_2") {
			// AvroData takes entries of another type for the first ones, and cannot read what it wrote.
			redefined++
			continue
		}
		if (sameJSON(kafkas[0], ours[0]) || sameButDigits(kafkas[0], ours[0])) && kafkas[1] == ours[1] {
			if sameJSON(kafkas[2], ours[2]) || strings.HasPrefix(kafkas[2], "!") && strings.HasPrefix(ours[2], "!") {
				continue
			}
			if sameButDigits(kafkas[2], ours[2]) {
				longer++
				continue
			}
		}
		if wrong++; wrong <= 15 {
			t.Errorf("%s document %s\nAvroData %s\nours     %s", optionsOfAvro[i%len(optionsOfAvro)], document,
				strings.Join(kafkas, "\n         "),
				strings.Join(ours, "\n         "))
		}
	}
	t.Logf("%d documents, %d refused by AvroData, %d of them for a name twice, %d with a number of more digits, %d "+
		"differ", len(all), refused, redefined, longer, wrong)
	if refused > len(all)/3 {
		t.Errorf("expected few documents to be refused, found %d of %d", refused, len(all))
	}
}

// avroReadings are Avro of other writers than AvroData: options, schema, bytes.
var avroReadings = [][3]string{
	{"", `{"type":"enum","name":"a.E","symbols":["X","Y"],"doc":"d","default":"X"}`, "02"},
	{"", `{"type":"fixed","name":"a.F","size":3}`, "010203"},
	{"",
		`{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},{"name":"n","type":["string","null"]}]}`, "0400ff02"},
	{"",
		`{"type":"record","name":"R","fields":[{"name":"u","type":["null","int","string",{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}]},{"name":"v","type":["int","string"]}]}`, "060a020261"},
	{"enhanced.avro.schema.support=true",
		`{"type":"record","name":"n.R","fields":[{"name":"u","type":["null",{"type":"enum","name":"E","symbols":["A","B"]},"long",{"type":"array","items":"long"}]}]}`, "0604020400"},
	{"", `{"type":"array","items":"int"}`, "0302020400"},
	{"", `{"type":"map","values":{"type":"array","items":["null","boolean"]}}`, "02026104020100" + "00"},
	{"",
		`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"value","type":"string"},{"name":"key","type":"int"}]}}`, "0202610600"},
	{"",
		`{"type":"record","name":"R","doc":"rd","fields":[{"name":"a","type":{"type":"int","connect.type":"int16"},"doc":"fd","default":7},{"name":"s","type":{"type":"string","avro.java.string":"String"}}]}`, "0e0278"},
	{"",
		`{"type":"record","name":"R","fields":[{"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"o","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"m","type":{"type":"int","logicalType":"time-millis"}}]}`, "020406"},
	{"connect.meta.data=false",
		`{"type":"record","name":"R","doc":"rd","fields":[{"name":"a","type":{"type":"int","connect.doc":"x","connect.parameters":{"p":"1"}},"default":1}]}`, "0e"},
	{"",
		`{"type":"record","name":"R","fields":[{"name":"l","type":{"type":"record","name":"P","fields":[{"name":"x","type":"double"}]}},{"name":"r","type":"P"}]}`, "000000000000f03f0000000000000040"},
	{"", `"null"`, ""},
	{"", `{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"int","logicalType":"date"},"default":3}]}`,
		"02"},
	{"", `{"type":"record","name":"R","fields":[{"name":"i","type":{"type":"int","connect.type":"int99"}}]}`, "02"},
	{"", `{"type":"string","connect.version":"x"}`, "0261"},
	{"", sharedTypes, "020400000402"},
	{"enhanced.avro.schema.support=true", sharedTypes, "020400000402"},
	{"",
		`{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"record","name":"m.P","fields":[{"name":"q","type":{"type":"fixed","name":"F","size":1}},{"name":"r","type":"F"}]}},{"name":"b","type":"m.F"},{"name":"c","type":{"type":"map","values":"m.P"}}]}`, "010203020261050600"},
	{"",
		`{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"record","name":"P","namespace":"","fields":[{"name":"x","type":"int"}]}},{"name":"b","type":"P"}]}`, "0204"},
	{"",
		`{"type":"record","name":"R","namespace":"n","fields":[{"name":"next","type":["null","R"]}]}`, "00"},
}

// sharedTypes defines types in a namespace and names them again without it.
const sharedTypes = `{"type":"record","name":"R","namespace":"n","fields":[` +
	`{"name":"a","type":{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}},{"name":"b","type":"P"},` +
	`{"name":"c","type":["null",{"type":"array","items":"n.P"}]},` +
	`{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"f","type":["string","E","P"]}]}`

// What other writers wrote becomes what AvroData makes of it.
func TestRealAvroReads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "readings")
	var text strings.Builder
	for _, r := range avroReadings {
		fmt.Fprintf(&text, "%s\n", strings.Join(r[:], "\t"))
	}
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	answers := runTool(t, "avro", "Avro.java", file)
	if len(answers) != len(avroReadings) {
		t.Fatalf("expected %d answers, found %d", len(avroReadings), len(answers))
	}
	for i, r := range avroReadings {
		b := &record.Batch{Registry: record.NewRegistry()}
		settings := map[string]string{"schema.registry.url": fakeRegistry(t, r[1])}
		for _, pair := range strings.Fields(r[0]) {
			name, value, _ := strings.Cut(pair, "=")
			settings[name] = value
		}
		c, err := New(ClassAvro, settings, Use{Schemas: b.Registry, Registry: openRegistry})
		require.NoError(t, err)
		payload, _ := encodinghex.DecodeString(r[2])
		got := ""
		if d, err := c.Decode(t.Context(), "copied", append([]byte{0, 0, 0, 0, 1}, payload...), b); err != nil {
			got = "!" + err.Error()
		} else if d.Form == wit.Absent {
			got = "null"
		} else if out, _, err := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false").
			Encode(t.Context(), nil, math.MaxInt32, "t", b, d); err != nil {
			t.Error(err)
		} else {
			got = namedTime.ReplaceAllString(string(out), "")
		}
		if !sameJSON(answers[i], got) && !(strings.HasPrefix(answers[i], "!") && strings.HasPrefix(got, "!")) {
			t.Errorf("%s %s\nAvroData %s\nours     %s", r[1], r[2], answers[i], got)
		}
	}
}

// avroCorpus is documents with schemas by chance, always the same.
func avroCorpus(n int) (all []string) {
	g := &generator{Rand: rand.New(rand.NewPCG(3, 4))}
	// AvroData takes a name that stands inside itself for a cycle, and two types of one name are refused by Avro: each
	// has its own.
	numbered := 0
	var named func(s *schema)
	named = func(s *schema) {
		if s == nil {
			return
		}
		if s.Name != "" && !strings.HasPrefix(s.Name, logical) {
			s.Name = fmt.Sprint(g.of("M", "a.b.C", "Größe", "b.ä"), numbered)
			numbered++
		}
		if i := slices.Index([]string{"a", "Größe", "x.y", `q"`, "_1", "<&>"}, strings.TrimRight(s.Field,
			"0123456789")); i >= 0 {
			s.Field = []string{"a", "Größe", "xy", "q", "_1", "B"}[i] + s.Field[len(strings.TrimRight(s.Field,
				"0123456789")):]
		}
		if s.Items != nil && s.Items.Type == "double" {
			s.Items.Type, s.Items.Default, s.Default = "int64", nil, nil // Avro 1.12 reads them as float
		}
		for _, below := range append([]*schema{s.Items, s.Keys, s.Values}, s.Fields...) {
			named(below)
		}
	}
	for len(all) < n {
		s := g.schema(3)
		named(s)
		g.odd = false
		value := g.value(s, 1000)
		if g.odd || strings.Contains(s.String(), `"default":null`) {
			continue
		}
		all = append(all, fmt.Sprintf(`{"schema":%s,"payload":%s}`, s, value))
	}
	return all
}

// The golden file is what this AvroData makes; AVRO_GOLDEN=write makes it again.
func TestRealAvroGolden(t *testing.T) {
	const golden = "../../testdata/convert/avro.tsv"
	documents := avroCorpus(400)
	file := filepath.Join(t.TempDir(), "documents")
	require.NoError(t, os.WriteFile(file, []byte("\t"+strings.Join(documents, "\n\t")+"\n"), 0o600))
	var text strings.Builder
	n := 0
	for i, answer := range runTool(t, "avro", "Avro.java", file) {
		if !strings.Contains(answer, "!") && !strings.Contains(answer, `"float"`) && !strings.Contains(answer,
			`"items":"MapEntry"`) && n < 150 {
			n++
			fmt.Fprintf(&text, "%s\t%s\n", documents[i], answer)
		}
	}
	if os.Getenv("AVRO_GOLDEN") == "write" {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o644))
	}
	if content, err := os.ReadFile(golden); err != nil || string(content) != text.String() {
		t.Errorf("%s is not what AvroData makes (%v)", golden, err)
	}
}

// The answers in avro-cases.tsv are those of this AvroData; AVRO_GOLDEN=write makes them again.
func TestRealAvroCases(t *testing.T) {
	given, _ := readAvroCases(t)
	var lines, text strings.Builder
	for _, g := range given {
		fmt.Fprintln(&lines, strings.Join(g[1:], "\t"))
	}
	file := filepath.Join(t.TempDir(), "cases")
	require.NoError(t, os.WriteFile(file, []byte(lines.String()), 0o600))
	answers := runTool(t, "avro", "Avro.java", file)
	if len(answers) != len(given) {
		t.Fatalf("expected %d answers, found %d", len(given), len(answers))
	}
	for i, g := range given {
		fmt.Fprintf(&text, "%s\t%s\n", strings.Join(g, "\t"), answers[i])
	}
	if os.Getenv("AVRO_GOLDEN") == "write" {
		require.NoError(t, os.WriteFile(avroCases, []byte(text.String()), 0o644))
	}
	if content, err := os.ReadFile(avroCases); err != nil || string(content) != text.String() {
		t.Errorf("%s is not what AvroData makes (%v)", avroCases, err)
	}
}

// Names that Avro does not take are written as AvroData writes them: of fields, of types and of their namespaces.
func TestRealAvroNames(t *testing.T) {
	var all []string
	for _, name := range []string{"/BIC/ZFIELD", "Ähnlich", "$id", "a*b", "a~b", "abc+-.*_", "1a", "x y", "_x", "-",
		".",
		"é.ü", "a-b.c-d", "1a.b-c", "n.1a", "n..a", "a.", "😀", "a%2Fb", "a_2Fb", "Z", "a'b\\\\", "\u007f", "*"} {
		all = append(all, fmt.Sprintf(`{"schema":{"type":"struct","name":"%s","fields":[`+
			`{"type":"int32","field":"%[1]s"},{"type":"struct","name":"%[1]s.in","optional":true,"field":"z","fields":[`+
			`{"type":"string","field":"%[1]s"}]}]},"payload":{"%[1]s":1,"z":{"%[1]s":"t"}}}`, name))
	}
	file := filepath.Join(t.TempDir(), "documents")
	if err := os.WriteFile(file, []byte("scrub.invalid.names=true\t"+
		strings.Join(all, "\nscrub.invalid.names=true\t")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	answers := runTool(t, "avro", "Avro.java", file)
	if len(answers) != len(all) {
		t.Fatalf("expected %d answers, found %d", len(all), len(answers))
	}
	for i, document := range all {
		ours := avroOf(t, "scrub.invalid.names=true", document)
		kafkas := strings.Split(answers[i], "\t")
		same := len(kafkas) == len(ours) && sameJSON(kafkas[0], ours[0]) && kafkas[1] == ours[1]
		if len(kafkas) == 3 && strings.Contains(kafkas[2], ": Namespace part ") {
			// AvroData wrote a namespace that Avro refuses to read; ours is written as names are.
			same = kafkas[1] == ours[1]
		}
		if !same && !(strings.HasPrefix(answers[i], "!") && strings.HasPrefix(ours[0], "!")) {
			t.Errorf("document %s\nAvroData %s\nours     %s", document, strings.Join(kafkas, "\n         "),
				strings.Join(ours, "\n         "))
		}
	}
}
