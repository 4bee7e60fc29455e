//go:build real

package convert

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// runJava runs a program of testdata/convert with Kafka's classes and returns the lines that it prints.
func runJava(t *testing.T, program string, args ...string) []string {
	t.Helper()
	return runTool(t, "kafka", program, args...)
}

// runTool is runJava with the classes that a peer fetches.
func runTool(t *testing.T, peer, program string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // the first run fetches Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../testdata/peers/"+peer+"/tool.sh", append([]string{"../../testdata/convert/" +
		program}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", program, err, out, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// ask has a program answer lines, each by a line.
func ask(t *testing.T, peer, program string, lines []string) (answers []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	answers = runTool(t, peer, program, file)
	if len(answers) != len(lines) {
		t.Fatalf("%s: expected %d answers, found %d", program, len(lines), len(answers))
	}
	return answers
}

// The stored answers about strings and Avro are what this Kafka and this AvroData make.
func TestRealStoredAnswers(t *testing.T) {
	compare := func(peer, program string, given, answers [][]string) {
		var lines []string
		for _, g := range given {
			lines = append(lines, strings.Join(g, "\t"))
		}
		for i, answer := range ask(t, peer, program, lines) {
			assert.Equal(t, strings.Join(answers[i], "\t"), answer, program, lines[i])
		}
	}
	var given, answers [][]string
	for _, row := range readTSV(t, "strings.tsv", 4) {
		given, answers = append(given, row[:3]), append(answers, row[3:])
	}
	compare("kafka", "Decode.java", given, answers)
	given, answers = readAvroCases(t)
	for i := range given {
		given[i] = given[i][1:]
	}
	for _, row := range readTSV(t, "avro.tsv", 4) {
		given, answers = append(given, []string{"", row[0]}), append(answers, row[1:])
	}
	compare("avro", "Avro.java", given, answers)
}

// The golden cases are what this Kafka writes.
func TestRealGoldenCases(t *testing.T) {
	lines := runJava(t, "Replay.java", "../../testdata/convert")
	want := fmt.Sprintf("%d good, 0 differ", len(goldens(t, "../../testdata/convert")))
	assert.Equal(t, want, lines[len(lines)-1], strings.Join(lines, "\n"))
}

// The lines of primitives.tsv are what this Kafka makes.
func TestRealPrimitives(t *testing.T) {
	lines := runJava(t, "Primitives.java", "../../testdata/convert/primitives.tsv")
	if got := lines[len(lines)-1]; !strings.HasSuffix(got, " good, 0 differ") {
		t.Errorf("expected no difference, found\n%s", strings.Join(lines, "\n"))
	}
}

// Kafka's converter and ours read documents of all types and write them again: byte for byte the same, and what Kafka
// refuses ours refuses. Where a value is not of its schema's type ours may refuse what Kafka takes for 0
// (TestRealDifferences). Of 30,000 odd documents they make the same, or one of the differences that have a name;
// CONVERT_SEED has others tried.
func TestRealDocuments(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("CONVERT_SEED"), 10, 64)
	all := append(corpus(10_000), oddCorpus(seed, 30_000)...)
	answers := ofKafka(t, all)
	report(t, all, answers)
	for i, w := range all {
		if w.odd {
			continue
		}
		if verdict, ours := w.compare(t.Context(), answers[i]); verdict != "same" {
			t.Errorf("%s: %s\nKafka %s\nours  %s", verdict, w.document, answers[i], ours)
		}
	}
}

// report compares all answers, fails where one differs, and counts what they come to.
func report(t *testing.T, all []rewriting, answers []string) {
	t.Helper()
	counts := map[string]int{}
	refused, wrong := 0, 0
	for i, w := range all {
		if strings.HasPrefix(answers[i], "!") {
			refused++
		}
		verdict, ours := w.compare(t.Context(), answers[i])
		if counts[verdict]++; verdict != "" {
			continue
		}
		if wrong++; wrong <= 30 {
			t.Errorf("reader %q, writer %q, document %.600s\nKafka %.300s\nours  %.300s", w.reader, w.writer,
				strconv.QuoteToASCII(w.document), answers[i], ours)
		}
	}
	t.Logf("%d documents, %d refused by Kafka: %v", len(all), refused, counts)
	if refused < len(all)/50 || refused > len(all)*3/4 {
		t.Errorf("expected some documents to be refused and some not, found %d of %d", refused, len(all))
	}
}

// Every type with every value, in all settings: the same or a wanted difference. The lines of grid.tsv are what this
// Kafka makes.
func TestRealGrid(t *testing.T) {
	var all []rewriting
	for _, reader := range []string{"true", "false"} {
		for _, writer := range []string{"false decimal.format=NUMERIC", "true decimal.format=BASE64",
			"false decimal.format=BASE64 replace.null.with.default=false"} {
			all = append(all, grid("replace.null.with.default="+reader, "schemas.enable="+writer)...)
		}
	}
	answers := ofKafka(t, all)
	report(t, all, answers)
	for i, row := range readTSV(t, "grid.tsv", 4) {
		if row[3] != answers[i] {
			t.Errorf("%q: Kafka makes %s", row, answers[i])
		}
	}
}

// The wanted differences are what this Kafka makes, and what ours does.
func TestRealDifferences(t *testing.T) {
	cases := differences(t)
	all := make([]rewriting, len(cases))
	for i, c := range cases {
		all[i] = c.rewriting
	}
	answers := ofKafka(t, all)
	for i, c := range cases {
		kafka := answers[i]
		if strings.HasPrefix(kafka, "!") {
			kafka, _, _ = strings.Cut(kafka, ":")
		}
		assert.Equal(t, c.kafka, kafka, c.name, c.document, answers[i])
	}
}

// ofKafka is Kafka's answers.
func ofKafka(t *testing.T, all []rewriting) (answers []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "documents")
	var text strings.Builder
	for _, w := range all {
		fmt.Fprintf(&text, "%s\t%s\t%s\n", w.reader, w.writer, base64.StdEncoding.EncodeToString([]byte(w.document)))
	}
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	lines := runJava(t, "Rewrite.java", file)
	if len(lines) != len(all)+1 {
		t.Fatalf("expected %d answers, found %d", len(all)+1, len(lines))
	}
	return lines[1:] // behind Java's version
}

// corpus is documents by chance, always the same.
func corpus(n int) []rewriting {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	onOff := []string{"true", "false"}
	var all []rewriting
	for range n {
		w := rewriting{
			reader: "replace.null.with.default=" + g.of(onOff...),
			writer: fmt.Sprintf("schemas.enable=%s decimal.format=%s replace.null.with.default=%s", g.of(onOff...),
				g.of("BASE64", "NUMERIC"), g.of(onOff...)),
		}
		if g.in(6) {
			w.reader += " schemas.enable=false"
			w.document = g.plain(2)
		} else {
			schema := g.schema(3)
			w.document = fmt.Sprintf(`{"schema":%s,"payload":%s}`, schema, g.value(schema, 30))
		}
		w.odd, g.odd = g.odd, false
		all = append(all, w)
	}
	return all
}

type generator struct {
	*rand.Rand
	odd bool
}

// in is true once in n times.
func (g *generator) in(n int) bool { return g.IntN(n) == 0 }

func (g *generator) of(choices ...string) string { return choices[g.IntN(len(choices))] }

// schema is one as JSON, its members in Kafka's order.
type schema struct {
	Type       string            `json:"type"`
	Items      *schema           `json:"items,omitempty"`
	Keys       *schema           `json:"keys,omitempty"`
	Values     *schema           `json:"values,omitempty"`
	Fields     []*schema         `json:"fields,omitzero"`
	Optional   bool              `json:"optional"`
	Name       string            `json:"name,omitempty"`
	Version    int               `json:"version,omitempty"`
	Doc        string            `json:"doc,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Default    json.RawMessage   `json:"default,omitempty"`
	Field      string            `json:"field,omitempty"`
	scale      int
}

func (s *schema) String() string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSpace(text.String())
}

func (g *generator) schema(depth int) *schema {
	s := &schema{Optional: g.in(3)}
	kinds := []string{"boolean", "int8", "int16", "int32", "int64", "float", "double", "string", "bytes", "Decimal",
		"Date", "Time", "Timestamp"}
	if depth > 0 {
		kinds = append(kinds, "array", "map", "struct", "struct", "struct", "struct")
	}
	switch s.Type = g.of(kinds...); s.Type {
	case "Decimal":
		s.scale = g.IntN(12) - 2
		s.Type, s.Name, s.Version, s.Parameters = "bytes", logical+"Decimal", 1,
			map[string]string{"scale": strconv.Itoa(s.scale)}
	case "Date", "Time":
		s.Type, s.Name, s.Version = "int32", logical+s.Type, 1
	case "Timestamp":
		s.Type, s.Name, s.Version = "int64", logical+s.Type, 1
	case "array":
		s.Items = g.schema(depth - 1)
	case "map":
		s.Keys, s.Values = g.schema(0), g.schema(depth-1)
		if g.in(2) {
			s.Keys = &schema{Type: "string"}
		}
	case "struct":
		s.Fields = []*schema{}
		for i := range g.IntN(6) {
			f := g.schema(depth - 1)
			f.Field = g.of("a", "Größe", "x.y", `q"`, "_1", "<&>") + strconv.Itoa(i)
			s.Fields = append(s.Fields, f)
		}
	}
	if s.Name == "" && g.in(4) {
		s.Name = g.of("N", "a.b.C", "Größe", "x y")
		if g.in(2) {
			s.Version = g.IntN(5) + 1
		}
	}
	if g.in(8) {
		s.Doc = g.of("doc", "<b>&\u2028", `"quoted"`)
	}
	if s.Parameters == nil && g.in(10) {
		s.Parameters = map[string]string{"p": g.of("1", "ä", "")}
	}
	if g.in(6) && !strings.Contains(s.String(), `"struct"`) { // Kafka refuses every default that holds a struct
		s.Default = json.RawMessage(g.value(s, 1000))
	}
	return s
}

// value is a payload of a schema; one in `odd` is something else.
func (g *generator) value(s *schema, odd int) string {
	if s.Optional && g.in(4) || g.in(odd*4) {
		return "null"
	}
	if g.in(odd*2) && s.Name != logical+"Decimal" {
		g.odd = true
		return g.plain(1)
	}
	switch s.Type {
	case "boolean":
		return g.of("true", "false")
	case "int8":
		return strconv.Itoa(g.IntN(256) - 128)
	case "int16":
		return strconv.Itoa(g.IntN(65536) - 32768)
	case "int32":
		if s.Name == logical+"Time" {
			return strconv.Itoa(g.IntN(86_400_000))
		}
		return g.of("0", "-2147483648", "2147483647", strconv.Itoa(int(int32(g.Uint32()))))
	case "int64":
		return g.of("0", "-9223372036854775808", "9223372036854775807", strconv.FormatInt(int64(g.Uint64()), 10),
			strconv.Itoa(g.IntN(2_000_000_000)*1000))
	case "float":
		return g.float(float64(math.Float32frombits(g.Uint32())), 32)
	case "double":
		return g.float(math.Float64frombits(g.Uint64()), 64)
	case "string":
		return g.text()
	case "bytes":
		return g.bytes(s)
	case "array":
		return g.list(func() string { return g.value(s.Items, odd) })
	case "map":
		return g.entry(s, odd)
	}
	return g.members(s, odd)
}

// float is a number in one of many forms, the ends of the range among them.
func (g *generator) float(bits float64, size int) string {
	if math.IsNaN(bits) || math.IsInf(bits, 0) {
		bits = 1
	}
	extremes := []string{"0", "1", "0.1", "1e7", "9999999", "1.0E-3", "0.00099", "12345678", "100", "1e21",
		"3.4028235e38", "1.4e-45", "1e-40", "16777216"}
	if size == 64 {
		extremes = append(extremes, "4.9e-324", "1.7976931348623157e308", "1e-310", "9007199254740993", "1e100",
			"123456789012345680")
	}
	return g.of(g.of(extremes...), strconv.FormatFloat(bits, 'g', -1, size),
		strconv.FormatFloat(float64(g.IntN(2_000_000)-1_000_000)/1000, 'f', -1, 64))
}

func (g *generator) text() string {
	var s strings.Builder
	s.WriteByte('"')
	for range g.IntN(12) {
		s.WriteString(g.of("a", "Z", " ", "ä", "€", "中", "😀", "/", "<", "&", ">", "'", "\u2028", "\u007f", "\u0080",
			"\ufeff", `\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`,
			`\u0000`, `\u001f`, `\u00e9`, `\u20AC`, `\uD83D\uDE00`, `\u2029`))
	}
	s.WriteByte('"')
	return s.String()
}

func (g *generator) bytes(s *schema) string {
	raw := make([]byte, g.IntN(9))
	for i := range raw {
		raw[i] = byte(g.Uint32())
	}
	if s.Name != logical+"Decimal" {
		return `"` + base64.StdEncoding.EncodeToString(raw) + `"`
	}
	if s.scale < 0 || len(raw) > 0 && g.in(2) {
		return `"` + base64.StdEncoding.EncodeToString(raw) + `"`
	}
	// A number is taken too, with the schema's scale.
	digits := strconv.Itoa(g.IntN(1_000_000_000))
	if s.scale == 0 {
		return g.of("", "-") + digits
	}
	for len(digits) <= s.scale {
		digits = "0" + digits
	}
	whole := strings.TrimLeft(digits[:len(digits)-s.scale], "0")
	if whole == "" {
		whole = "0"
	}
	return g.of("", "-") + whole + "." + digits[len(digits)-s.scale:]
}

func (g *generator) list(one func() string) string {
	var all []string
	for range g.IntN(4) {
		all = append(all, one())
	}
	return "[" + strings.Join(all, ",") + "]"
}

// entry is a map of at most one entry, since more come in the order of a hash table.
func (g *generator) entry(s *schema, odd int) string {
	object := s.Keys.Type == "string" && !s.Keys.Optional
	switch {
	case g.in(4) && object:
		return "{}"
	case g.in(4):
		return "[]"
	case object:
		return "{" + g.text() + ":" + g.value(s.Values, odd) + "}"
	}
	return "[[" + g.value(s.Keys, odd) + "," + g.value(s.Values, odd) + "]]"
}

func (g *generator) members(s *schema, odd int) string {
	var all []string
	for _, f := range s.Fields {
		if f.Optional && g.in(5) || g.in(odd*4) {
			continue // missing
		}
		name, _ := json.Marshal(f.Field)
		all = append(all, string(name)+g.of(":", ": ")+g.value(f, odd))
	}
	if g.in(12) {
		all = append(all, `"unknown":`+g.plain(1))
	}
	if g.in(4) {
		g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return "{" + strings.Join(all, g.of(",", " , ")) + "}"
}

// plain is a document without schema. Objects have at most one member, since more come in the order of a hash table.
func (g *generator) plain(depth int) string {
	if depth > 0 {
		switch g.IntN(3) {
		case 0:
			return g.list(func() string { return g.plain(depth - 1) })
		case 1:
			return g.of("{}", "{"+g.text()+":"+g.plain(depth-1)+"}")
		}
	}
	return g.of("null", "true", "false", "0", "-7", strconv.FormatInt(int64(g.Uint64()), 10), "1.5", "1e3", "1E-7",
		"12345678.25", g.text())
}
