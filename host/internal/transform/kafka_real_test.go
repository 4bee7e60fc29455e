//go:build real

package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// replay runs Replay.java of plugins/smt/testdata with Kafka's own transforms and returns the last line that it prints.
func replay(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // the first run fetches Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../../testdata/peers/kafka/tool.sh",
		append([]string{"../../../plugins/smt/testdata/Replay.java"}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("Replay.java: %v\n%s%s", err, out, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// The golden cases are what this Kafka makes.
func TestRealGoldenCases(t *testing.T) {
	files, _ := filepath.Glob("../../../plugins/smt/testdata/*.golden")
	if got, want := replay(t, "../../../plugins/smt/testdata"), fmt.Sprintf("%d good, 0 differ", len(files)); got != want {
		t.Errorf("expected %s, found %s", want, got)
	}
}

// answers has Kafka's classes answer cases, each the head of a golden file.
func answers(t *testing.T, cases []string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "../../../testdata/peers/kafka/tool.sh", "../../../plugins/smt/testdata/Replay.java", "-")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Env = append(os.Environ(), "TIMEOUT=900", "HEAP=512m")
	c.Stdin = strings.NewReader(strings.Join(cases, ""))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("Replay.java: %v\n%s", err, stderr.String())
	}
	list := strings.Split(string(out), "-----\n")
	if len(list) != len(cases)+1 {
		t.Fatalf("Replay.java: expected %d answers, found %d\n%s", len(cases), len(list)-1, stderr.String())
	}
	return list[:len(cases)]
}

// wanted is a difference that is meant: what Kafka's outcome and ours look like.
type wanted struct {
	kafka, ours *regexp.Regexp
	reason      string
	found       int
}

// wantedDifferences reads the one file that lists them.
func wantedDifferences(t *testing.T) (list []*wanted) {
	for _, line := range strings.Split(read(t, "../../../plugins/smt/testdata/differences.tsv"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "\t")
		if len(parts) != 3 {
			t.Fatalf("differences.tsv: expected three columns, found %q", line)
		}
		list = append(list, &wanted{regexp.MustCompile(parts[0]), regexp.MustCompile(parts[1]), parts[2], 0})
	}
	return list
}

// exponents are numbers of which Java 17 writes some with more digits than tell them.
var exponents = regexp.MustCompile(`-?[0-9]+\.[0-9]+E-?[0-9]+`)

// shortest writes such numbers with the fewest digits, as Java does since 19 and as is decided here.
func shortest(text string) string {
	return exponents.ReplaceAllStringFunc(text, func(n string) string {
		v, err := strconv.ParseFloat(n, 64)
		if err != nil {
			return n
		}
		return strconv.FormatFloat(v, 'E', -1, 64)
	})
}

// number is a setting of the environment.
func number(t *testing.T, name string, byDefault uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// Chains by chance on records by chance: the plugin in its sandbox makes of them what Kafka's classes make.
// `make oracle-fuzz` has it try 100,000, of another seed each time; CULVERT_ORACLE_SEED has it try the same again.
func TestRealChains(t *testing.T) {
	const atOnce = 10_000
	cases, seed := int(number(t, "CULVERT_ORACLE_CASES", 1000)), number(t, "CULVERT_ORACLE_SEED", 3)
	t.Logf("CULVERT_ORACLE_SEED=%d", seed)
	g := chance{rand.New(rand.NewPCG(seed, 4))}
	m, reg, _ := manager(t, nil)
	meant := wantedDifferences(t)
	differ, failed, dropped, tried := 0, 0, 0, 0
	for tried < cases {
		var heads []string
		for range min(atOnce, cases-tried) {
			var head strings.Builder
			for range 1 + g.IntN(4) {
				head.WriteString("stage " + g.stage() + "\n")
			}
			heads = append(heads, head.String()+"record "+g.record()+"\n-----\n")
		}
		tried += len(heads)
		for i, want := range answers(t, heads) {
			golden := parseGolden(t, heads[i]+want)
			c, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: golden.stages})
			if err != nil {
				t.Fatalf("%v\n%s", err, heads[i])
			}
			b := golden.batch(t, reg)
			faults, err := c.Apply(t.Context(), b)
			if err != nil {
				t.Fatalf("%v\n%s", err, heads[i])
			}
			got := outcome(t, b, faults)
			c.Close()
			switch {
			case strings.HasPrefix(want, "stage "):
				failed++
			case want == "dropped\n":
				dropped++
			}
			if equalOutcome(want, got) || refusedLater(want, got) || equalOutcome(shortest(want), shortest(got)) {
				continue
			}
			at := slices.IndexFunc(meant, func(w *wanted) bool {
				return w.kafka.MatchString(want) &&
					w.ours.MatchString(got)
			})
			if at >= 0 {
				meant[at].found++
			} else if differ++; differ <= 20 {
				t.Errorf("%s(-Kafka +ours):\n%s", heads[i], cmp.Diff(want, got))
			}
		}
		t.Logf("%d chains: %d fail, %d drop the record, %d differ", tried, failed, dropped, differ)
	}
	for _, w := range meant {
		t.Logf("%d wanted: %s", w.found, w.reason)
	}
	if failed == 0 || dropped == 0 || failed+dropped > cases*2/3 {
		t.Errorf("expected chains of which some fail and drop and most do neither")
	}
}

// refusedLater tells whether Kafka's transforms made a value that its converter refuses, and ours failed with the same
// message where it arose.
func refusedLater(want, got string) bool {
	_, message, fails := strings.Cut(strings.TrimSpace(got), " fails: org.apache.kafka.connect.errors.DataException: ")
	return fails && strings.Contains(want, "cannot be converted: "+message)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// chance makes stages and records.
type chance struct{ *rand.Rand }

func (g chance) of(choices ...string) string { return choices[g.IntN(len(choices))] }
func (g chance) in(n int) bool               { return g.IntN(n) == 0 }

const kafka = "org.apache.kafka.connect.transforms."

func (g chance) name() string {
	return g.of("id", "name", "price", "Größe", "at", "nested", "a.b", "new")
}
func (g chance) topic() string { return g.of("orders", "sap-orders", "products", "a.b.c") }

func (g chance) stage() string {
	s := map[string]any{}
	switch g.IntN(21) {
	case 20:
		s["type"], s["field"] = kafka+"TimestampConverter$Value", g.of("id", "name", "at", "")
		s["target.type"], s["format"] = g.of("string", "unix", "Date", "Time", "Timestamp"), g.datePattern()
	case 19:
		s["type"], s["spec"] = kafka+"Cast$"+g.of("Value", "Value", "Key"), g.of("id", "price")+":"+g.of("string",
			"boolean", "int32", "float64")
		if g.in(3) {
			s["spec"] = g.name() + ":string"
		}
	case 18:
		s["type"], s["delimiter"] = kafka+"Flatten$"+g.of("Value", "Value", "Key"), g.of(".", "", "_")
	case 17:
		s["type"], s["header"] = kafka+"InsertHeader", g.header()
		s["value.literal"] = g.of("", "null", "text", "-7", "1.5", "[1, 300]", `{"a": 1}`, "2024-02-29", "true", "[a]")
	case 16:
		s["type"], s["fields"] = kafka+"MaskField$"+g.of("Value", "Value", "Key"), g.names()
		if g.in(3) {
			s["replacement"] = g.of("17", "-2.75", "x")
		}
	case 12, 13:
		s["type"], s["field"] = kafka+"ExtractField$"+g.of("Value", "Value", "Key"), g.of("id", "nested", "name")
		if strings.HasSuffix(s["type"].(string), "Key") {
			s["field"] = "id"
		}
		if g.in(3) {
			s["field.syntax.version"], s["field"] = "V2", g.of("nested.id", "nested.`a.b`", "`id`", "nested.nested.id")
		}
	case 14:
		s["type"], s["field"] = kafka+"HoistField$"+g.of("Value", "Key"), g.of("id", "nested", "line")
		if g.in(2) {
			s = map[string]any{"type": kafka + "DropHeaders", "headers": g.header() + "," + g.header()}
		}
	case 15:
		s["type"], s["schema.name"] = kafka+"SetSchemaMetadata$"+g.of("Value", "Key"), g.of("A", "b.C")
		if g.in(2) {
			s["schema.version"] = g.of("1", "-7")
		}
	case 8:
		s["type"] = kafka + "TimestampRouter"
		if g.in(2) {
			s["timestamp.format"] = g.datePattern()
		}
		if g.in(3) {
			s["topic.format"] = g.of("${timestamp}-${topic}", "by.${timestamp}", "${topic}.$1", "$$${topic}\\")
		}
	case 9:
		s["type"], s["fields"] = kafka+"ValueToKey", g.names()
	case 10, 11:
		fields := g.names()
		s["type"], s["operation"] = kafka+"HeaderFrom$Value", g.of("move", "copy")
		if g.in(3) {
			s["type"], fields = kafka+"HeaderFrom$Key", "id"
		}
		s["fields"] = fields
		s["headers"] = strings.Repeat(g.header()+",", strings.Count(fields, ",")) + g.header()
	case 0:
		s["type"] = kafka + "Filter"
		s["predicate"], s["negate"] = g.predicate(), g.in(2)
	case 1:
		s["type"], s["regex"] = kafka+"RegexRouter", g.of("(.*)", "orders", "(.*)-(.*)", "[a-z]+", `(\w+)\.(\w+)\..*`)
		s["replacement"] = map[string]string{"(.*)": "sap.$1", "orders": "sales", "(.*)-(.*)": "$2_$1", "[a-z]+": "x$0",
			`(\w+)\.(\w+)\..*`: "$2"}[s["regex"].(string)]
	case 2, 3, 4:
		s["type"] = kafka + "InsertField$" + g.of("Value", "Value", "Key")
		for _, what := range []string{"topic", "partition", "timestamp", "static"} {
			if g.in(2) {
				s[what+".field"] = g.name() + g.of("", "?")
			}
		}
		if s["topic.field"] != nil && g.in(2) {
			// Partition and timestamp may be null: Kafka then makes a struct that no converter takes, ours fails at
			// once.
			s["topic.field"] = g.name() + "!"
		}
		if s["static.field"] != nil {
			s["static.value"] = g.of("SAP", "ä", "7")
		} else {
			s["static.field"], s["static.value"] = "source", "x"
		}
	default:
		s["type"] = kafka + "ReplaceField$" + g.of("Value", "Value", "Value", "Key")
		what := g.of("exclude", "include", "renames")
		if s[what] = g.name(); what == "renames" {
			s[what] = g.name() + ":" + g.name() + "2"
			if g.in(3) {
				s["exclude"] = g.name()
			}
		} else if g.in(2) {
			s[what] = g.name() + "," + g.name()
		}
	}
	if g.in(4) && s["type"] != kafka+"DropHeaders" && s["type"] != kafka+"InsertHeader" &&
		s["type"] != kafka+"Filter" && s["type"] != kafka+"RegexRouter" && s["type"] != kafka+"TimestampRouter" &&
		s["delimiter"] == nil {
		s["replace.null.with.default"] = "false"
	}
	if s["predicate"] == nil && g.in(3) {
		s["predicate"], s["negate"] = g.predicate(), g.in(2)
	}
	text, _ := json.Marshal(s)
	return string(text)
}

// names are one to three fields, mostly those that structures have.
func (g chance) names() string {
	list := g.of("id", "id", "id", g.name())
	for g.in(5) {
		list += "," + g.of("id", "name", g.name())
	}
	return list
}

func (g chance) header() string { return g.of("h", "source", "ü") }

// datePattern is letters of SimpleDateFormat in any order.
func (g chance) datePattern() string {
	const letters = "GyMdkHmsSEDFwWahKzZYuXL"
	var b strings.Builder
	for range 1 + g.IntN(5) {
		b.WriteString(strings.Repeat(letters[g.IntN(len(letters)):][:1], 1+g.IntN(4)) + g.of("", "-", ".", "'T'", "''"))
	}
	return strings.ReplaceAll(b.String(), "XXXX", "X")
}

func (g chance) predicate() map[string]any {
	switch g.IntN(4) {
	case 0:
		return map[string]any{"type": kafka + "predicates.RecordIsTombstone"}
	case 1:
		return map[string]any{"type": kafka + "predicates.HasHeaderKey", "name": g.header()}
	}
	return map[string]any{"type": kafka + "predicates.TopicNameMatches", "pattern": g.of("orders", ".*orders", "sap.*",
		"[ap].*", "x.*")}
}

func (g chance) record() string {
	r := fmt.Sprintf(`{"topic":%q`, g.topic())
	if g.in(2) {
		r += fmt.Sprintf(`,"partition":%d`, g.IntN(9))
	}
	if !g.in(4) {
		r += fmt.Sprintf(`,"timestamp":%d`, g.IntN(2_000_000_000_000))
	}
	r += `,"key":{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,"name":"K"},"payload":{"id":7}}`
	if g.in(2) {
		r += `,"headers":[["` + g.header() + `",{"schema":{"type":"string","optional":false},"payload":"x"}],["` +
			g.header() + `",{"schema":null,"payload":` +
			g.of("1", "null", `{"a":[1,"x"]}`, "true") + `}]]`
	}
	switch g.IntN(14) {
	case 3:
		return r + `,"value":` + strings.Replace(g.structure(1), `"optional":false},"payload"`,
			`"optional":true},"payload"`, 1) + "}"
	case 4:
		// with an id that may be null: of a required one ExtractField would make a null that no converter writes, and
		// ours fails at once
		return r + `,"value":{"schema":{"type":"struct","fields":[{"type":"int32","optional":true,"field":"id"}],"optional":true},"payload":null}}`
	case 0:
		return r + "}"
	case 1, 5, 6, 7:
		return r + `,"value":{"schema":null,"payload":` + g.plain(2) + `}}`
	case 2:
		return r + `,"value":{"schema":{"type":"string","optional":false},"payload":"text"}}`
	}
	return r + `,"value":` + g.structure(2) + "}"
}

// plain is an object without schema.
func (g chance) plain(depth int) string {
	var list []string
	for _, name := range []string{"id", "name", "price", "Größe", "at", "nested", "a.b"} {
		if g.in(3) {
			continue
		}
		value := g.of("1", "-70000", "9223372036854775807", "1.5", "-0.0", "1e300", `"x"`, `""`, `"7"`, `"2024-02-29"`, "null", "[1,2]",
			`[{"a":1}]`, "true", "false", "[]", "{}")
		if name == "nested" && depth > 0 {
			value = g.plain(depth - 1)
		}
		list = append(list, strconv.Quote(name)+":"+value)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// structure is a struct with its schema, in the JSON converter's words.
func (g chance) structure(depth int) string {
	schema, payload := g.fields(depth)
	return `{"schema":` + schema + `,"payload":` + payload + `}`
}

func (g chance) fields(depth int) (schema, payload string) {
	var schemas, values []string
	for _, name := range []string{"id", "name", "price", "Größe", "at", "nested", "a.b"} {
		if g.in(3) && name != "id" {
			continue
		}
		var s, v string
		switch g.IntN(6) {
		case 0:
			s, v = `"type":"int64"`, fmt.Sprint(g.Int64())
		case 1:
			s, v = `"type":"double"`, fmt.Sprint(g.IntN(1000))+".25"
		case 2:
			s, v = `"type":"bytes"`, `"AQID"`
		case 3:
			s, v = `"type":"array","items":{"type":"string","optional":true}`, `["x",null,"ä"]`
		default:
			s, v = `"type":"string"`, g.of(`""`, `"text"`,
				`"a longer text, of more than sixty-four bytes so that its length takes two of them"`)
		}
		if name == "nested" && depth > 0 {
			inner, value := g.fields(depth - 1)
			s, v = strings.TrimSuffix(strings.TrimPrefix(inner, "{"), `,"optional":false}`), value
		}
		optional := g.in(2)
		if optional && g.in(3) {
			v = "null"
		}
		if strings.Contains(s, `"string"`) && !strings.Contains(s, "array") && !strings.Contains(s, "struct") &&
			g.in(5) {
			s += `,"default":"given"`
		}
		schemas = append(schemas, fmt.Sprintf(`{%s,"optional":%t,"field":%q}`, s, optional, name))
		values = append(values, fmt.Sprintf(`%q:%s`, name, v))
	}
	return `{"type":"struct","fields":[` + strings.Join(schemas, ",") + `],"optional":false}`, "{" +
		strings.Join(values, ",") + "}"
}
