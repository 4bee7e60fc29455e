//go:build real

package config

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// properties.tsv agrees with the java.util.Properties of this machine.
func TestRealProperties(t *testing.T) {
	files, answers := storedProperties(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	java := exec.CommandContext(ctx, "../../testdata/peers/kafka/tool.sh", "testdata/Load.java")
	java.WaitDelay = time.Minute
	var stderr bytes.Buffer
	java.Stdin = strings.NewReader(strings.Join(files, "\n") + "\n")
	java.Stderr = &stderr
	out, err := java.Output()
	require.True(t, err == nil, "Java: %v\n%s", err, stderr.Bytes())
	assert.Equal(t, answers, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"))
}
