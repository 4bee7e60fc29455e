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
	"unicode/utf8"

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
	command := exec.CommandContext(ctx, "../../testdata/peers/"+peer+"/tool.sh",
		append([]string{"../../testdata/convert/" + program}, args...)...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	require.True(t, err == nil, "%s: %v\n%s%s", program, err, out, stderr.String())
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// convertWithTool sends lines to a program and returns its results, one per line.
func convertWithTool(t *testing.T, peer, program string, lines []string) (results []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	results = runTool(t, peer, program, file)
	require.Equal(t, len(lines), len(results), program, "results")
	return results
}

// The stored results of Kafka's converters, of AvroData and of the library that writes JSON Schemas equal the current
// results of these classes.
func TestRealStoredAnswers(t *testing.T) {
	compare := func(peer, program string, inputs, stored [][]string) {
		t.Helper()
		var lines []string
		for _, input := range inputs {
			lines = append(lines, strings.Join(input, "\t"))
		}
		for i, result := range convertWithTool(t, peer, program, lines) {
			assert.Equal(t, strings.Join(stored[i], "\t"), result, program, lines[i])
		}
	}
	var inputs, results [][]string
	for _, row := range readTSV(t, "strings.tsv", 4) {
		inputs = append(inputs, row[:3])
		results = append(results, row[3:])
	}
	compare("kafka", "Decode.java", inputs, results)
	inputs, results = readAvroCases(t)
	for i := range inputs {
		inputs[i] = inputs[i][1:]
	}
	for _, row := range readTSV(t, "avro.tsv", 5) {
		inputs = append(inputs, row[:2])
		results = append(results, row[2:])
	}
	compare("avro", "Avro.java", inputs, results)
	inputs = nil
	results = nil
	for _, row := range readTSV(t, "jsonschema-writes.tsv", 6) {
		if row[0] != "generalized.sum.type.support=true" { // everit rejects values of this option
			inputs = append(inputs, row[3:5])
			results = append(results, []string{row[3], "valid"})
		}
	}
	compare("jsonschema", "JsonSchema.java", inputs, results)
}

// All pairs of bytes are read, and all characters written, as Kafka's StringConverter does it. Each pair precedes a
// line feed, which must not get lost.
func TestRealPairsOfBytes(t *testing.T) {
	var lines []string
	for _, name := range []string{"Shift_JIS", "windows-31j", "EUC-KR", "x-windows-949", "GB2312", "GBK",
		"x-mswin-936", "Big5", "x-windows-950"} {
		for high := range 256 {
			var pairs, chars []byte
			for low := range 256 {
				pairs = append(pairs, byte(high), byte(low), '\n')
				chars = utf8.AppendRune(chars, rune(high<<8|low))
			}
			lines = append(lines, fmt.Sprintf("%s\tUTF-8\t%x", name, pairs))
			lines = append(lines, fmt.Sprintf("UTF-8\t%s\t%x", name, chars))
		}
	}
	for i, result := range convertWithTool(t, "kafka", "Decode.java", lines) {
		row := strings.Split(lines[i], "\t")
		assert.Equal(t, result, rewriteText(t, row[0], row[1], row[2]), row)
	}
}

// documents.tsv, grid.tsv and the wanted differences agree with Kafka's converter.
func TestRealDocuments(t *testing.T) {
	var documents []rewriting
	var stored []string
	for _, row := range readTSV(t, "documents.tsv", 5) {
		documents = append(documents, storedDocument(t, row))
		stored = append(stored, row[4])
	}
	for _, row := range readTSV(t, "grid.tsv", 4) {
		documents = append(documents, rewriting{reader: row[0], writer: row[1], document: row[2]})
		stored = append(stored, row[3])
	}
	firstDifference := len(documents)
	for _, c := range differences(t) {
		documents = append(documents, c.rewriting)
		stored = append(stored, c.kafka)
	}
	file := filepath.Join(t.TempDir(), "documents")
	var lines strings.Builder
	for _, w := range documents {
		fmt.Fprintf(&lines, "%s\t%s\t%s\n", w.reader, w.writer, base64.StdEncoding.EncodeToString([]byte(w.document)))
	}
	require.NoError(t, os.WriteFile(file, []byte(lines.String()), 0o600))
	results := runJava(t, "Rewrite.java", file)
	isExact := results[0] == "17" // other versions of Java write other digits
	results = results[1:]
	require.Equal(t, len(documents), len(results), "results")
	for i, result := range results {
		if i >= firstDifference && strings.HasPrefix(result, "!") {
			result, _, _ = strings.Cut(result, ":") // differences.tsv contains only the class of an error
		}
		isSame := result == stored[i] ||
			(!isExact && (sameButDigits(result, stored[i]) || sameButDigits(stored[i], result)))
		if !isSame {
			t.Errorf("%+v: expected the stored %s, found %s", documents[i], stored[i], result)
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
