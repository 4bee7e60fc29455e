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
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// replay runs Replay.java of plugins/smt/testdata with Kafka's own transforms and returns what it prints, and says.
func replay(t *testing.T, stdin, of string) (out, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Minute) // the first run fetches Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../../../testdata/peers/kafka/tool.sh", "../../../../plugins/smt/testdata/Replay.java",
		of)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Env = append(os.Environ(), "TIMEOUT=3000", "HEAP=512m")
	c.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	printed, err := c.Output()
	if err != nil {
		t.Fatalf("Replay.java: %v\n%s%s", err, printed, stderr.String())
	}
	return string(printed), stderr.String()
}

// The golden cases are what this Kafka makes.
func TestRealGoldenCases(t *testing.T) {
	files, _ := filepath.Glob("../../../../plugins/smt/testdata/*.golden")
	out, _ := replay(t, "", "../../../../plugins/smt/testdata")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if got, want := lines[len(lines)-1], fmt.Sprintf("%d good, 0 differ", len(files)); got != want {
		t.Errorf("expected %s, found %s", want, got)
	}
}

// answers has Kafka's classes answer cases, each the head of a golden file.
func answers(t *testing.T, cases []string) []string {
	t.Helper()
	out, said := replay(t, strings.Join(cases, ""), "-")
	list := strings.Split(out, "-----\n")
	if len(list) != len(cases)+1 {
		t.Fatalf("Replay.java: expected %d answers, found %d\n%s", len(cases), len(list)-1, said)
	}
	return list[:len(cases)]
}

// wanted is a difference that is meant: what Kafka's outcome and ours look like, and the stage that ours fails at.
type wanted struct {
	kafka, ours, stage *regexp.Regexp
	reason             string
	found              int
}

// failing is the text of the stage that an outcome of ours fails at, "" where it fails at none.
func failing(head, got string) string {
	number, _, fails := strings.Cut(strings.TrimPrefix(got, "stage "), " fails: ")
	n, err := strconv.Atoi(number)
	if list := strings.Split(head, "\n"); fails && err == nil && n < len(list) {
		return list[n]
	}
	return ""
}

// wantedDifferences reads the one file that lists them.
func wantedDifferences(t *testing.T) (list []*wanted) {
	for _, line := range strings.Split(read(t, "../../../../plugins/smt/testdata/differences.tsv"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "\t")
		if len(parts) != 3 && len(parts) != 4 {
			t.Fatalf("differences.tsv: expected three or four columns, found %q", line)
		}
		stage := append(parts, "")[3]
		list = append(list, &wanted{regexp.MustCompile(parts[0]), regexp.MustCompile(parts[1]),
			regexp.MustCompile(stage), parts[2], 0})
	}
	return list
}

// exponents are numbers of which Java 17 writes some with more digits than tell them.
var exponents = regexp.MustCompile(`-?[0-9]+\.[0-9]+E-?[0-9]+`)

// shortest writes such numbers of 64 or 32 bits with the fewest digits, as Java does since 19 and as is decided here.
func shortest(text string, bits int) string {
	return exponents.ReplaceAllStringFunc(text, func(n string) string {
		v, err := strconv.ParseFloat(n, bits)
		if err != nil {
			return n
		}
		return strconv.FormatFloat(v, 'E', -1, bits)
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

// oracle is what makes cases, and how many of them: CULVERT_ORACLE_CASES or as many by default.
func oracle(t *testing.T, stream uint64, byDefault int) (g chance, cases int) {
	seed := number(t, "CULVERT_ORACLE_SEED", 3)
	t.Logf("CULVERT_ORACLE_SEED=%d", seed)
	return chance{rand.New(rand.NewPCG(seed, stream))}, int(number(t, "CULVERT_ORACLE_CASES", uint64(byDefault)))
}

// Chains by chance on records by chance: the plugin in its sandbox makes of them what Kafka's classes make.
// `make oracle-fuzz` has it try 100,000, of another seed each time; CULVERT_ORACLE_SEED has it try the same again.
func TestRealChains(t *testing.T) {
	g, cases := oracle(t, 4, 1000)
	failed, dropped, refused := compare(t, cases, func() string {
		var head strings.Builder
		for stage := range 1 + g.IntN(4) {
			head.WriteString("stage " + g.stage(stage == 0) + "\n")
		}
		return head.String() + "record " + g.record()
	})
	if failed == 0 || dropped == 0 || refused == 0 || failed+dropped+refused > cases*3/4 {
		t.Errorf("expected chains of which some are refused, fail and drop, and a quarter do neither")
	}
}

// compare has Kafka's classes and the plugin answer cases, each stages and a record, and counts what Kafka did.
func compare(t *testing.T, cases int, head func() string) (failed, dropped, refused int) {
	t.Helper()
	const atOnce = 10_000
	m, reg, _ := manager(t, nil)
	meant := wantedDifferences(t)
	differ, tried, unread := 0, 0, 0
	for tried < cases {
		var heads []string
		for range min(atOnce, cases-tried) {
			heads = append(heads, head()+"\n-----\n")
		}
		tried += len(heads)
		for i, want := range answers(t, heads) {
			if strings.HasPrefix(want, "record refused: ") { // what a converter takes is compared elsewhere
				unread++
				continue
			}
			golden := parseGolden(t, heads[i]+want)
			c, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: golden.stages})
			if err != nil || strings.Contains(want, " refused: ") {
				if refused++; sameRefusal(want, err) || refusedByName(err) {
					continue
				}
				ours := fmt.Sprint("refused: ", err)
				at := slices.IndexFunc(meant, func(w *wanted) bool {
					return w.kafka.MatchString(want) && w.ours.MatchString(ours)
				})
				if at >= 0 {
					meant[at].found++
				} else if differ++; differ <= 20 {
					t.Errorf("%s(Kafka)\n%s(ours)\n%v", heads[i], want, err)
				}
				continue
			}
			if strings.HasPrefix(want, "stage ") { // tabs of a plugin's words are blanks outside
				want = strings.ReplaceAll(want, "\t", " ")
			}
			b := golden.batch(t, reg)
			faults, err := c.Apply(t.Context(), b)
			if err != nil {
				t.Fatalf("%v\n%s", err, heads[i])
			}
			got := outcome(t, b, faults)
			again(t, golden, c, reg, got)
			c.Close()
			switch {
			case strings.HasPrefix(want, "stage "):
				failed++
			case want == "dropped\n":
				dropped++
			}
			if equalOutcome(want, got) || refusedLater(want, got) ||
				equalOutcome(shortest(want, 64), shortest(got, 64)) ||
				equalOutcome(shortest(want, 32), shortest(got, 32)) {
				continue
			}
			at := slices.IndexFunc(meant, func(w *wanted) bool {
				return w.kafka.MatchString(want) && w.ours.MatchString(strings.TrimSuffix(got, "\n")) &&
					w.stage.MatchString(failing(heads[i], got))
			})
			if at >= 0 {
				meant[at].found++
			} else if differ++; differ <= 20 {
				t.Errorf("%s(-Kafka +ours):\n%s", heads[i], cmp.Diff(want, got))
			}
		}
		t.Logf("%d chains: %d are refused, %d fail, %d drop the record, %d have a record that JsonConverter does not "+
			"take, %d differ", tried, refused, failed, dropped, unread, differ)
	}
	for _, w := range meant {
		t.Logf("%d wanted: %s", w.found, w.reason)
	}
	return failed, dropped, refused
}

// refusedLater reports whether Kafka's transforms made a value that its converter refuses, and ours failed with the
// same message where it arose.
func refusedLater(want, got string) bool {
	_, message, fails := strings.Cut(strings.TrimSpace(got), " fails: org.apache.kafka.connect.errors.DataException: ")
	return fails && strings.Contains(want, "cannot be converted: "+message)
}

// sameRefusal reports whether Kafka refuses the settings of a chain, and ours does at the same stage with the same
// text. What is refused by the JVM, which Kafka does not look for, is in words of ours, as is what is wrong with a
// regular expression.
func sameRefusal(want string, err error) bool {
	stage, why, refused := strings.Cut(strings.TrimSuffix(want, "\n"), " refused: ")
	if !refused || err == nil {
		return false
	}
	_, ours, found := strings.Cut(err.Error(), stage+", ")
	_, ours, _ = strings.Cut(ours, ": ") // after the class of the stage
	why, isKafkas := strings.CutPrefix(why, "org.apache.kafka.common.config.ConfigException: ")
	if !found || !isKafkas {
		return found
	}
	if before, _, is := strings.Cut(why, "Invalid regex: "); is {
		ours, _, _ = strings.Cut(ours, "Invalid regex: ")
		why = before
	}
	if before, _, is := strings.Cut(why, kafka+"InsertField$InsertionSpec@"); is {
		return strings.HasPrefix(ours, oneLine(before)) // Kafka names the field by the number of an object
	}
	return ours == oneLine(why) || ours == blanks(why)
}

// blanks puts a blank in the place of each control character.
func blanks(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// oneLine is a refusal of Kafka's as ours are written: a value with control characters is quoted, others are blanks.
func oneLine(why string) string {
	value, setting, found := strings.Cut(strings.TrimPrefix(why, "Invalid value "), " for configuration ")
	if found && strings.ContainsFunc(value, unicode.IsControl) {
		why = "Invalid value " + strconv.Quote(value) + " for configuration " + setting
	}
	return blanks(why)
}

// refusedByName reports whether we refuse a regular expression, or the pattern of a date, for a part that RATIONALE
// names.
func refusedByName(err error) bool {
	return err != nil && (strings.Contains(err.Error(), " is not supported near index ") ||
		strings.Contains(err.Error(), " is not supported; supported are yMdHhmsSEazZX"))
}

// chance makes stages and records.
type chance struct{ *rand.Rand }

func (g chance) of(choices ...string) string { return choices[g.IntN(len(choices))] }
func (g chance) in(n int) bool               { return g.IntN(n) == 0 }

const kafka = "org.apache.kafka.connect.transforms."

func (g chance) name() string {
	return g.of("id", "id", "name", "price", "Größe", "at", "nested", "a.b", "new", "nested.id", "list", "day")
}
func (g chance) topic() string  { return g.of("orders", "sap-orders", "products", "a.b.c") }
func (g chance) header() string { return g.of("h", "source", "ü") }
func (g chance) side() string   { return g.of("Value", "Value", "Value", "Key") }

// kinds of what Cast casts to, one of them wrong.
func (g chance) kind() string {
	return g.of("int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "string", "STRING",
		"String")
}

// stage is one transform, its settings right most of the time. Only the first may give two entries of a map one name:
// which of them counts depends on the places of Kafka's hash table, and so on the stages before.
func (g chance) stage(first bool) string {
	s := map[string]any{}
	put := func(class string, settings ...string) {
		s["type"] = kafka + class
		for i := 0; i < len(settings); i += 2 {
			s[settings[i]] = settings[i+1]
		}
	}
	replacesNulls := true
	switch g.IntN(19) {
	case 0:
		put("Filter")
		s["predicate"], s["negate"] = g.predicate(), g.in(2)
		replacesNulls = false
	case 1:
		i := g.IntN(6)
		put("RegexRouter", "regex", []string{"(.*)", "orders", "(.*)-(.*)", "[a-z]+", `(\w+)\.(\w+)\..*`,
			"(?<n>o)rders"}[i],
			"replacement", []string{"sap.$1", "sales", "$2_$1", "x$0", "$2", "${n}x"}[i])
		replacesNulls = false
	case 2, 3:
		put("InsertField$" + g.side())
		for _, what := range []string{"topic", "partition", "timestamp", "static", "offset"} {
			if g.in(3) || what == "static" && g.in(2) {
				s[what+".field"] = g.name() + g.of("", "", "?", "!")
			}
		}
		if s["static.field"] != nil || g.in(20) {
			s["static.value"] = g.of("SAP", "ä", "7", "")
		}
	case 4, 5:
		put("ReplaceField$" + g.side())
		if g.in(2) {
			s["exclude"] = g.names()
		}
		if g.in(4) {
			s["include"] = g.names() + "," + g.names()
		}
		if g.in(2) {
			if s["renames"] = g.name() + ":" + g.of("n3", "n3", "n3", ""); first {
				s["renames"] = g.name() + ":" + g.of("n2", "n3", "id", g.name())
			}
			if g.in(3) {
				s["renames"] = s["renames"].(string) + "," + g.name() + ":n4"
			}
		}
		if g.in(12) {
			s[g.of("exclude", "include")] = g.of("id,", ",", "id,id", "id,,name", " ,id")
		}
	case 6:
		put("TimestampRouter")
		if g.in(2) {
			s["timestamp.format"] = g.datePattern()
		}
		if g.in(3) {
			s["topic.format"] = g.of("${timestamp}-${topic}", "by.${timestamp}", "${topic}.$1", "$$${topic}\\")
		}
		replacesNulls = false
	case 7:
		put("ValueToKey", "fields", g.names())
	case 8, 9:
		fields := g.names()
		put("HeaderFrom$"+g.side(), "operation", g.of("move", "copy"), "fields", fields, "headers",
			strings.Repeat(g.header()+",", strings.Count(fields, ","))+g.header())
		if g.in(40) {
			s["headers"] = g.of("a,b,c,d,e,f", "", "h,h")
		}
	case 10, 11:
		put("ExtractField$"+g.side(), "field", g.of("id", "nested", g.name()))
		if g.in(2) {
			s["field.syntax.version"] = g.of("V2", "v2", "V1")
			s["field"] = g.of("nested.id", "nested.`a.b`", "`id`", "nested.nested.id", "id", "nested.list",
				"`nested.id",
				"", "nested.", ".id", "`a.b`", "nested.nested", "`nes`ted.id", "`a\\`.b`", g.name())
		}
	case 12:
		put("HoistField$"+g.side(), "field", g.of("id", "nested", "line", ""))
		replacesNulls = false
	case 13:
		if put("SetSchemaMetadata$" + g.side()); !g.in(4) {
			s["schema.name"] = g.of("A", "b.C", "", "org.apache.kafka.connect.data.Date")
		}
		if g.in(2) {
			s["schema.version"] = g.of("1", "-7", " 3 ", "x", "2147483648", "٣", "+１２")
		}
	case 14:
		put("MaskField$"+g.side(), "fields", g.names())
		if g.in(2) {
			s["replacement"] = g.of("17", "-2.75", "x", "300", "1e2", "99999999999", "", "0x10", " 5 ", "1.", ".5",
				"+3")
		}
	case 15:
		put("InsertHeader", "header", g.header(), "value.literal", g.of("", "null", "text", "-7", "1.5", "[1, 300]",
			`{"a": 1}`, "2024-02-29", "true", "[a]", `{"a": null}`, "12:00:00.000Z", "24:00:00.000Z", `"q"`, "70000",
			"-0.0", "1e400"))
		if g.in(3) {
			s = map[string]any{"type": kafka + "DropHeaders", "headers": g.header() + "," + g.header()}
		}
		replacesNulls = false
	case 16:
		put("Flatten$" + g.side())
		if g.in(2) {
			s["delimiter"] = g.of(".", "", "_", " ", "::")
		}
		if !first {
			s["delimiter"] = "_"
		}
		replacesNulls = false
	case 17:
		put("Cast$"+g.side(), "spec", g.name()+":"+g.kind())
		for g.in(2) {
			s["spec"] = s["spec"].(string) + "," + g.name() + ":" + g.kind()
		}
		if g.in(3) {
			s["spec"] = g.kind()
		}
		if g.in(20) {
			s["spec"] = g.of("id:", "id:bytes", "id:text", "int8,int16", "id:int8:int16", "", "array", "a:int8,int16",
				" id : int8 ")
		}
	case 18:
		put("TimestampConverter$"+g.side(), "target.type", g.of("string", "unix", "Date", "Time", "Timestamp"),
			"field", g.of("", "id", "at", "day", "name", g.name()))
		if !g.in(4) {
			s["format"] = g.of("yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss.SSS", "yyyyMMdd", "yyyy-MM-dd'T'HH:mm:ssX",
				g.datePattern())
		}
		if g.in(3) {
			s["unix.precision"] = g.of("seconds", "milliseconds", "microseconds", "nanoseconds", "Seconds")
		}
	}
	if replacesNulls && g.in(4) {
		if s["replace.null.with.default"] = g.of("false", "FALSE", "true", " false "); g.in(15) {
			s["replace.null.with.default"] = g.of("1", "0", "", "yes")
		}
	}
	if s["predicate"] == nil && g.in(5) {
		s["predicate"], s["negate"] = g.predicate(), g.in(2)
	}
	text, _ := json.Marshal(s)
	return string(text)
}

// names are one to three fields, mostly those that structures have.
func (g chance) names() string {
	list := g.of("id", "id", "id", g.name())
	for g.in(4) {
		list += g.of(",", ",", ", ") + g.of("id", "name", g.name())
	}
	return list
}

// manyX is none of SimpleDateFormat, which Kafka's TimestampRouter finds out at the first record and ours at once.
var manyX = regexp.MustCompile("X{4,}")

// datePattern is letters of SimpleDateFormat in any order, without those that we refuse by name.
func (g chance) datePattern() string {
	const letters = "yMdHhmsSEazZX"
	var b strings.Builder
	for range 1 + g.IntN(5) {
		b.WriteString(strings.Repeat(letters[g.IntN(len(letters)):][:1], 1+g.IntN(4)) + g.of("", "-", ".", "'T'", "''"))
	}
	return manyX.ReplaceAllString(b.String(), "XXX")
}

func (g chance) predicate() map[string]any {
	switch g.IntN(4) {
	case 0:
		return map[string]any{"type": kafka + "predicates.RecordIsTombstone"}
	case 1:
		return map[string]any{"type": kafka + "predicates.HasHeaderKey", "name": g.header()}
	}
	return map[string]any{"type": kafka + "predicates.TopicNameMatches", "pattern": g.of("orders", ".*orders", "sap.*",
		"[ap].*", "x.*", "x.*|orders", ".*s$", g.of("", "(", ".+"))}
}

func (g chance) record() string {
	r := fmt.Sprintf(`{"topic":%q`, g.topic())
	sink := g.in(4) // records of a sink have a partition and an offset
	if sink || g.in(2) {
		r += fmt.Sprintf(`,"partition":%d`, g.IntN(9))
	}
	if !g.in(4) {
		r += fmt.Sprintf(`,"timestamp":%d`, g.IntN(2_000_000_000_000))
	}
	if sink {
		r += fmt.Sprintf(`,"offset":%d`, g.IntN(1_000_000_000_000))
	}
	if !g.in(10) {
		key := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,"name":"K"},"payload":{"id":7}}`
		if g.in(3) {
			key = g.datum(1)
		}
		r += `,"key":` + key
	}
	if g.in(2) {
		list := []string{}
		for range 1 + g.IntN(3) {
			list = append(list, fmt.Sprintf(`[%q,%s]`, g.header(), g.of(
				`{"schema":{"type":"string","optional":false},"payload":"x"}`, `{"schema":null,"payload":1}`,
				`{"schema":null,"payload":null}`, `{"schema":null,"payload":{"a":[1,"x"]}}`, g.datum(1))))
		}
		r += `,"headers":[` + strings.Join(list, ",") + `]`
	}
	if g.in(14) {
		return r + "}"
	}
	return r + `,"value":` + g.datum(2) + "}"
}

// datum is a key or value with or without schema.
func (g chance) datum(depth int) string {
	switch g.IntN(14) {
	case 0, 1, 2, 3:
		return `{"schema":null,"payload":` + g.plain(depth) + `}`
	case 4:
		return `{"schema":null,"payload":` + g.scalar() + `}`
	case 5: // something that is no structure
		schema, payload := g.leaf()
		optional := g.in(2)
		if optional && g.in(3) {
			payload = "null"
		}
		return fmt.Sprintf(`{"schema":{%s,"optional":%t},"payload":%s}`, schema, optional, payload)
	case 6: // a structure that may be null, and is some of the time
		schema, payload := g.fields(depth)
		if g.in(2) {
			payload = "null"
		}
		return `{"schema":` + strings.TrimSuffix(schema, "false}") + `true},"payload":` + payload + `}`
	}
	schema, payload := g.fields(depth)
	return `{"schema":` + schema + `,"payload":` + payload + `}`
}

// scalar is a value without schema.
func (g chance) scalar() string {
	return g.of("1", "-70000", "9223372036854775807", "1.5", "-0.0", "1e300", `"x"`, `""`, `"7"`, `"2024-02-29"`,
		"null", "[1,2]",
		`[{"a":1}]`, "true", "false", "[]", "{}", "1700000000000", `" 12 "`, `"1e3"`, `"0x1p3"`, `"-128"`, `"TRUE"`,
		"128", "1e20")
}

// plain is an object without schema.
func (g chance) plain(depth int) string {
	var list []string
	for _, name := range []string{"id", "name", "price", "Größe", "at", "nested", "a.b", "list", "day", "n2",
		"nested.id"} {
		if g.in(3) {
			continue
		}
		value := g.scalar()
		if name == "nested" && depth > 0 {
			value = g.plain(depth - 1)
		}
		list = append(list, strconv.Quote(name)+":"+value)
	}
	return "{" + strings.Join(list, ",") + "}"
}

func (g chance) logical(kind, name string) string {
	return fmt.Sprintf(`"type":%q,"name":"org.apache.kafka.connect.data.%s","version":1`, kind, name)
}

// leaf is the schema of something that is no structure, without its end, and a value.
func (g chance) leaf() (schema, payload string) {
	text := func() string {
		return g.of(`""`, `"text"`, `"2024-02-29"`, `"17"`, `"-1.5"`, `"true"`, `"2024-02-29 10:11:12.345"`, `" 9"`,
			`"a longer text, of more than sixty-four bytes so that its length takes two of them"`)
	}
	whole := func(low, high int64) string {
		return g.of("0", "1", "-1", fmt.Sprint(low), fmt.Sprint(high), fmt.Sprint(low+g.Int64N(high/2-low/2)))
	}
	real := func() string {
		return g.of("0.0", "-0.0", "1.0", "1e10", "-2.75", "123456.789", "1e-5", fmt.Sprint(g.IntN(1000))+".25")
	}
	switch g.IntN(20) {
	case 0:
		return `"type":"int8"`, whole(-128, 127)
	case 1:
		return `"type":"int16"`, whole(-32768, 32767)
	case 2:
		return `"type":"int32"`, whole(-1<<31, 1<<31-1)
	case 3:
		return `"type":"int64"`, g.of("1700000000000", whole(-1<<63, 1<<63-1))
	case 4:
		return `"type":"float"`, real()
	case 5:
		return `"type":"double"`, real()
	case 6:
		return `"type":"boolean"`, g.of("true", "false")
	case 7:
		return `"type":"bytes"`, g.of(`"AQID"`, `""`)
	case 8:
		return `"type":"array","items":{"type":"string","optional":true}`, g.of(`["x",null,"ä"]`, `[]`)
	case 9:
		return `"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":true}`,
			g.of(`{"a":1}`, `{"b":null}`, "{}")
	case 10:
		return g.logical("bytes", "Decimal") + `,"parameters":{"scale":"2"}`, g.of(`"AQ=="`, `"AJY="`, `"/w=="`,
			`"AJYAAAAAAAAAAAAA"`)
	case 11:
		return g.logical("int32", "Date"), g.of("0", "-1", "19782", "2932896")
	case 12:
		return g.logical("int32", "Time"), g.of("0", "86399999", "43200000")
	case 13:
		return g.logical("int64", "Timestamp"), g.of("0", "-1", "1700000000000", "86400000", "-62135769600000",
			"1709164800000")
	case 14:
		return `"type":"string","name":"com.example.Text","version":3,"doc":"d","parameters":{"p":"q"}`, text()
	case 15:
		return `"type":"int64"`, "1700000000123"
	}
	return `"type":"string"`, text()
}

// fields are a structure: its schema in the JSON converter's words, and a value.
func (g chance) fields(depth int) (schema, payload string) {
	var schemas, values []string
	for _, name := range []string{"id", "name", "price", "Größe", "at", "nested", "a.b", "list", "day"} {
		if g.in(3) && name != "id" {
			continue
		}
		s, v := g.leaf()
		leaf := true
		if name == "nested" && depth > 0 {
			inner, value := g.fields(depth - 1)
			s, v, leaf = strings.TrimSuffix(strings.TrimPrefix(inner, "{"), `,"optional":false}`), value, false
		}
		optional := g.in(2)
		if leaf && !strings.Contains(s, `"map"`) && !strings.Contains(s, `"array"`) && g.in(5) {
			s += `,"default":` + v
			if strings.HasPrefix(s, `"type":"string",`) {
				s = s[:len(s)-len(v)] + `"given"`
			}
		}
		if optional && g.in(3) {
			v = "null"
		}
		schemas = append(schemas, fmt.Sprintf(`{%s,"optional":%t,"field":%q}`, s, optional, name))
		values = append(values, fmt.Sprintf(`%q:%s`, name, v))
	}
	name := ""
	if g.in(3) {
		name = `"name":"com.example.S","version":2,`
	}
	return `{"type":"struct","fields":[` + strings.Join(schemas, ",") + `],` + name + `"optional":false}`, "{" +
		strings.Join(values, ",") + "}"
}
