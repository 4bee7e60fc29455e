//go:build real

package transform

import (
	"bytes"
	"context"
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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// runReplay runs Replay.java of plugins/smt/testdata with Kafka's own transforms and returns its standard output and
// standard error. The folder has the cases; - means that they are in stdin.
func runReplay(t *testing.T, stdin, folder string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Minute) // the first run downloads Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../../testdata/peers/kafka/tool.sh",
		"../../../plugins/smt/testdata/Replay.java", folder)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Env = append(os.Environ(), "TIMEOUT=3000", "HEAP=512m")
	c.Stdin = strings.NewReader(stdin)
	var errOut bytes.Buffer
	c.Stderr = &errOut
	out, err := c.Output()
	require.True(t, err == nil, "Replay.java: %v\n%s%s", err, out, errOut.String())
	return string(out), errOut.String()
}

// The golden cases equal the results of this version of Kafka.
func TestRealGoldenCases(t *testing.T) {
	files, _ := filepath.Glob("../../../plugins/smt/testdata/*.golden")
	out, _ := runReplay(t, "", "../../../plugins/smt/testdata")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	assert.Equal(t, fmt.Sprintf("%d good, 0 differ", len(files)), lines[len(lines)-1])
}

// kafkaOutcomes returns the results of Kafka's classes for cases, each the head of a golden file.
func kafkaOutcomes(t *testing.T, cases []string) []string {
	t.Helper()
	out, stderr := runReplay(t, strings.Join(cases, ""), "-")
	list := strings.Split(out, "-----\n")
	require.True(t, len(list) == len(cases)+1,
		"Replay.java: expected %d results, found %d\n%s", len(cases), len(list)-1, stderr)
	return list[:len(cases)]
}

// intendedDifference has patterns of Kafka's outcome and ours, and the stage at which ours fails.
type intendedDifference struct {
	kafka  *regexp.Regexp
	ours   *regexp.Regexp
	stage  *regexp.Regexp
	reason string
	count  int // how often it occurred
}

// failedStage returns the text of the stage at which our outcome failed, or "".
func failedStage(head, got string) string {
	number, _, fails := strings.Cut(strings.TrimPrefix(got, "stage "), " fails: ")
	n, err := strconv.Atoi(number)
	if list := strings.Split(head, "\n"); fails && err == nil && n < len(list) {
		return list[n]
	}
	return ""
}

// readDifferences reads the file that lists the intended differences.
func readDifferences(t *testing.T) (list []*intendedDifference) {
	for _, line := range strings.Split(read(t, "../../../plugins/smt/testdata/differences.tsv"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "\t")
		require.True(t, len(parts) == 3 || len(parts) == 4,
			"differences.tsv: expected three or four columns, found %q", line)
		stage := append(parts, "")[3]
		list = append(list, &intendedDifference{
			kafka:  regexp.MustCompile(parts[0]),
			ours:   regexp.MustCompile(parts[1]),
			stage:  regexp.MustCompile(stage),
			reason: parts[2],
		})
	}
	return list
}

// exponents matches numbers that Java 17 may write with more digits than needed.
var exponents = regexp.MustCompile(`-?[0-9]+\.[0-9]+E-?[0-9]+`)

// shortenFloats rewrites numbers of 64 or 32 bits with the fewest digits, as Java does since 19 and as Culvert does.
func shortenFloats(text string, bits int) string {
	return exponents.ReplaceAllStringFunc(text, func(n string) string {
		v, err := strconv.ParseFloat(n, bits)
		if err != nil {
			return n
		}
		return strconv.FormatFloat(v, 'E', -1, bits)
	})
}

// envNumber returns a number from the environment.
func envNumber(t *testing.T, name string, defaultValue uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return defaultValue
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// oracle returns a generator of cases, and their number: CULVERT_ORACLE_CASES or defaultValue.
func oracle(t *testing.T, stream uint64, defaultValue int) (g chance, cases int) {
	seed := envNumber(t, "CULVERT_ORACLE_SEED", 3)
	t.Logf("CULVERT_ORACLE_SEED=%d", seed)
	return chance{rand.New(rand.NewPCG(seed, stream))}, int(envNumber(t, "CULVERT_ORACLE_CASES", uint64(defaultValue)))
}

// Random chains on random records: the plugin in its sandbox returns the same as Kafka's classes. `make oracle-fuzz`
// runs 100,000 cases, with another seed each time; CULVERT_ORACLE_SEED repeats a run.
func TestRealChains(t *testing.T) {
	g, cases := oracle(t, 4, 2000)
	failed, dropped, refused := compare(t, cases, func() string {
		var head strings.Builder
		for stage := range 1 + g.IntN(4) {
			head.WriteString("stage " + g.stage(stage == 0, 0) + "\n")
		}
		return head.String() + "record " + g.record()
	})
	if failed == 0 || dropped == 0 || refused == 0 || failed+dropped+refused > cases*3/4 {
		t.Errorf("expected some chains to fail, to drop the record or to be rejected, and a quarter of %d to succeed, "+
			"found %d, %d, %d", cases, failed, dropped, refused)
	}
}

// compare runs cases, each stages and a record, with Kafka's classes and the plugin, and counts Kafka's outcomes.
func compare(t *testing.T, cases int, head func() string) (failed, dropped, refused int) {
	t.Helper()
	const callCases = 10_000 // in one run of Replay.java
	m, reg, _ := manager(t, nil)
	intended := readDifferences(t)
	different := 0
	tried := 0
	unread := 0
	for tried < cases {
		var heads []string
		for range min(callCases, cases-tried) {
			heads = append(heads, head()+"\n-----\n")
		}
		tried += len(heads)
		for i, want := range kafkaOutcomes(t, heads) {
			if strings.HasPrefix(want, "record refused: ") { // another test compares what converters accept
				unread++
				continue
			}
			golden := parseGolden(t, heads[i]+want)
			c, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: golden.stages})
			if err != nil || strings.Contains(want, " refused: ") {
				refused++
				if sameRefusal(want, err) || refusedByName(err) {
					continue
				}
				ours := fmt.Sprint("refused: ", err)
				k := slices.IndexFunc(intended, func(w *intendedDifference) bool {
					return w.kafka.MatchString(want) && w.ours.MatchString(ours)
				})
				if k >= 0 {
					intended[k].count++
				} else {
					different++
					if different <= 20 {
						t.Errorf("%s(Kafka)\n%s(ours)\n%v", heads[i], want, err)
					}
				}
				continue
			}
			if strings.HasPrefix(want, "stage ") { // the host replaces tabs in a plugin's messages with blanks
				want = strings.ReplaceAll(want, "\t", " ")
			}
			b := golden.batch(t, reg)
			rowErrs, err := c.Apply(t.Context(), b)
			if err != nil {
				t.Fatalf("%v\n%s", err, heads[i])
			}
			got := outcome(t, b, rowErrs)
			checkCopies(t, golden, c, reg, got)
			c.Close()
			switch {
			case strings.HasPrefix(want, "stage "):
				failed++
			case want == "dropped\n":
				dropped++
			}
			if equalOutcome(want, got) || refusedLater(want, got) ||
				equalOutcome(shortenFloats(want, 64), shortenFloats(got, 64)) ||
				equalOutcome(shortenFloats(want, 32), shortenFloats(got, 32)) {
				continue
			}
			k := slices.IndexFunc(intended, func(w *intendedDifference) bool {
				return w.kafka.MatchString(want) && w.ours.MatchString(strings.TrimSuffix(got, "\n")) &&
					w.stage.MatchString(failedStage(heads[i], got))
			})
			if k >= 0 {
				intended[k].count++
			} else {
				different++
				if different <= 20 {
					t.Errorf("%s(-Kafka +ours):\n%s", heads[i], cmp.Diff(want, got))
				}
			}
		}
		t.Logf("%d chains: %d are refused, %d fail, %d drop the record, %d have a record that JsonConverter does not "+
			"take, %d differ", tried, refused, failed, dropped, unread, different)
	}
	for _, w := range intended {
		t.Logf("%d wanted differences: %s", w.count, w.reason)
	}
	return failed, dropped, refused
}

// refusedLater reports whether Kafka's transforms created a value that its converter rejects, and ours failed with the
// same message where the value was created.
func refusedLater(want, got string) bool {
	_, message, fails := strings.Cut(strings.TrimSpace(got), " fails: org.apache.kafka.connect.errors.DataException: ")
	return fails && strings.Contains(want, "cannot be converted: "+message)
}

// sameRefusal reports whether Kafka rejects the settings of a chain, and ours rejects them at the same stage with the
// same text. Errors of the JVM, which Kafka does not check for, have our own texts, and so have errors in regular
// expressions.
func sameRefusal(want string, err error) bool {
	stage, why, refused := strings.Cut(strings.TrimSuffix(want, "\n"), " refused: ")
	if !refused || err == nil {
		return false
	}
	_, ours, found := strings.Cut(err.Error(), stage+", ")
	_, ours, _ = strings.Cut(ours, ": ") // after the class of the stage
	why, ok := strings.CutPrefix(why, "org.apache.kafka.common.config.ConfigException: ")
	if !found || !ok {
		return found
	}
	if start, _, ok := strings.Cut(why, "Invalid regex: "); ok {
		ours, _, _ = strings.Cut(ours, "Invalid regex: ")
		why = start
	}
	if start, _, ok := strings.Cut(why, kafka+"InsertField$InsertionSpec@"); ok {
		return strings.HasPrefix(ours, oneLine(start)) // Kafka's text contains the identity of an object
	}
	return ours == oneLine(why) || ours == replaceControls(why)
}

// replaceControls replaces each control character with a blank.
func replaceControls(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// oneLine returns an error of Kafka in the form of ours: a value with control characters is quoted, others are blanks.
func oneLine(why string) string {
	value, setting, ok := strings.Cut(strings.TrimPrefix(why, "Invalid value "), " for configuration ")
	if ok && strings.ContainsFunc(value, unicode.IsControl) {
		why = "Invalid value " + strconv.Quote(value) + " for configuration " + setting
	}
	return replaceControls(why)
}

// refusedByName reports whether our error rejects a regular expression for an unsupported part that RATIONALE.md names.
func refusedByName(err error) bool {
	return err != nil && strings.Contains(err.Error(), " is not supported near index ")
}

// chance generates stages and records.
type chance struct{ *rand.Rand }

// pick returns one of the choices, oneIn true once in n times.
func (c chance) pick(choices ...string) string { return choices[c.IntN(len(choices))] }
func (c chance) oneIn(n int) bool              { return c.IntN(n) == 0 }

const kafka = "org.apache.kafka.connect.transforms."

func (c chance) name() string {
	return c.pick("id", "id", "name", "price", "Größe", "at", "nested", "a.b", "new", "nested.id", "list", "day")
}
func (c chance) header() string { return c.pick("h", "source", "ü") }
func (c chance) side() string   { return c.pick("Value", "Value", "Value", "Key") }

// kind returns a type for Cast, or an invalid one.
func (c chance) kind() string {
	return c.pick("int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "string", "STRING",
		"String")
}

// names returns one to three field names, mostly those that structs have.
func (c chance) names() string {
	list := c.pick("id", "id", "id", c.name())
	for c.oneIn(4) {
		list += c.pick(",", ",", ", ") + c.pick("id", "name", c.name())
	}
	return list
}

// manyX matches patterns that are invalid for SimpleDateFormat; Kafka's TimestampRouter reports it at the first record
// and ours at once.
var manyX = regexp.MustCompile("X{4,}")

// datePattern returns letters of SimpleDateFormat in any order.
func (c chance) datePattern() string {
	const letters = "GyMdkHmsSEDFwWahKzZYuXL"
	var b strings.Builder
	for range 1 + c.IntN(5) {
		b.WriteString(strings.Repeat(letters[c.IntN(len(letters)):][:1], 1+c.IntN(4)) +
			c.pick("", "-", ".", "'T'", "''"))
	}
	return manyX.ReplaceAllString(b.String(), "XXX")
}

func (c chance) logical(kind, name string) string {
	return fmt.Sprintf(`"type":%q,"name":"org.apache.kafka.connect.data.%s","version":1`, kind, name)
}
