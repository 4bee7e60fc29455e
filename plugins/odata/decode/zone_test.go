//go:build !wasip1

package decode

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Results depend on neither the time zone nor the locale of the process: the test runs itself in others (T11).
func TestResultsIgnoreZoneAndLocale(t *testing.T) {
	if os.Getenv("CULVERT_DIGEST") != "" {
		os.Stdout.WriteString("digest " + digest(t) + "\n")
		return
	}
	want := "digest " + digest(t) + "\n"
	for _, env := range [][]string{{"TZ=Asia/Kolkata"}, {"TZ=America/St_Johns"}, {"LANG=tr_TR.UTF-8",
		"LC_ALL=tr_TR.UTF-8"}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestResultsIgnoreZoneAndLocale$")
		cmd.Env = append(append(os.Environ(), "CULVERT_DIGEST=1"), env...)
		out, err := cmd.CombinedOutput()
		assert.True(t, err == nil && bytes.Contains(out, []byte(want)),
			"%v: expected %s, found %s (%v)", env, want, out, err)
	}
}

// digest returns a digest of the results of all golden documents.
func digest(t *testing.T) string {
	files, _ := filepath.Glob(filepath.Join(testdata, "decode", "*.txt"))
	hash := sha256.New()
	for _, file := range files {
		g := readGolden(t, file)
		schema := parseSchema(t, g.layout)
		doc := []byte(g.doc)
		out, err := decodePieces(newDecoder(schema, doc), doc, cuts{size: len(doc) + 1}, g.nested)
		hash.Write(out.Data)
		hash.Write([]byte(describeAll(t, schema, out, err)))
	}
	return hex.EncodeToString(hash.Sum(nil))
}
