//go:build real

package convert

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// runJava runs a program of testdata/convert with Kafka's classes and returns the lines that it prints.
func runJava(t *testing.T, program string, args ...string) []string {
	t.Helper()
	return runTool(t, "kafka", program, args...)
}

// runTool is runJava with the classes that a peer downloads.
func runTool(t *testing.T, peer, program string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // the first run downloads Kafka
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

// ask sends lines to a program and returns its results, one per line.
func ask(t *testing.T, peer, program string, lines []string) (answers []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	answers = runTool(t, peer, program, file)
	if len(answers) != len(lines) {
		t.Fatalf("%s: expected %d results, found %d", program, len(lines), len(answers))
	}
	return answers
}

// The stored results of Kafka's converters, of AvroData and of the library that writes JSON Schemas equal the current
// results of these classes.
func TestRealStoredAnswers(t *testing.T) {
	compare := func(peer, program string, given, answers [][]string) {
		t.Helper()
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
		given = append(given, row[:3])
		answers = append(answers, row[3:])
	}
	compare("kafka", "Decode.java", given, answers)
	given, answers = readAvroCases(t)
	for i := range given {
		given[i] = given[i][1:]
	}
	for _, row := range readTSV(t, "avro.tsv", 5) {
		given = append(given, row[:2])
		answers = append(answers, row[2:])
	}
	compare("avro", "Avro.java", given, answers)
	given = nil
	answers = nil
	for _, row := range readTSV(t, "jsonschema-writes.tsv", 6) {
		if row[0] != "generalized.sum.type.support=true" { // everit rejects values of this option
			given = append(given, row[3:5])
			answers = append(answers, []string{row[3], "valid"})
		}
	}
	compare("jsonschema", "JsonSchema.java", given, answers)
}

// documents.tsv, grid.tsv and the wanted differences agree with Kafka's converter.
func TestRealDocuments(t *testing.T) {
	var all []rewriting
	var stored []string
	for _, row := range readTSV(t, "documents.tsv", 5) {
		all = append(all, storedDocument(t, row))
		stored = append(stored, row[4])
	}
	for _, row := range readTSV(t, "grid.tsv", 4) {
		all = append(all, rewriting{row[0], row[1], row[2]})
		stored = append(stored, row[3])
	}
	rows := len(all)
	for _, c := range differences(t) {
		all = append(all, c.rewriting)
		stored = append(stored, c.kafka)
	}
	file := filepath.Join(t.TempDir(), "documents")
	var text strings.Builder
	for _, w := range all {
		fmt.Fprintf(&text, "%s\t%s\t%s\n", w.reader, w.writer, base64.StdEncoding.EncodeToString([]byte(w.document)))
	}
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	answers := runJava(t, "Rewrite.java", file)
	exact := answers[0] == "17" // other versions of Java write other digits
	answers = answers[1:]
	if len(answers) != len(all) {
		t.Fatalf("expected %d answers, found %d", len(all), len(answers))
	}
	for i, answer := range answers {
		if i >= rows && strings.HasPrefix(answer, "!") {
			answer, _, _ = strings.Cut(answer, ":") // differences.tsv contains only the class of an error
		}
		if answer != stored[i] && (exact || (!sameButDigits(answer, stored[i]) && !sameButDigits(stored[i], answer))) {
			t.Errorf("%+v: expected the stored %s, found %s", all[i], stored[i], answer)
		}
	}
}

// The golden cases equal what this version of Kafka writes.
func TestRealGoldenCases(t *testing.T) {
	lines := runJava(t, "Replay.java", "../../testdata/convert")
	want := fmt.Sprintf("%d good, 0 differ", len(goldens(t, "../../testdata/convert")))
	assert.Equal(t, want, lines[len(lines)-1], strings.Join(lines, "\n"))
}

// The lines of primitives.tsv equal what this version of Kafka writes.
func TestRealPrimitives(t *testing.T) {
	lines := runJava(t, "Primitives.java", "../../testdata/convert/primitives.tsv")
	if got := lines[len(lines)-1]; !strings.HasSuffix(got, " good, 0 differ") {
		t.Errorf("expected no difference, found\n%s", strings.Join(lines, "\n"))
	}
}
